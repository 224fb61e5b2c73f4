"""What the HTTP side of every framework shares: its settings, its problems and its limits."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from pydantic import BaseModel, Field, HttpUrl, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from app.chassis.asgi import Scope, header
from app.chassis.conditional import Conditions, etag
from app.chassis.errors import BadRequest, Violation, invalid_request
from app.chassis.listing.pages import CursorPage, OffsetPage, PageLinks
from app.chassis.settings import MOST, CommaSeparated, Duration, PositiveDuration, Settings

JSON = "application/json"
MOST_MEMBERS = 250
"""Of one object in a body: each that nobody knows is an error to be found, and costs time."""

ALLOWED_HOST = re.compile(r"\*|(\*\.)?[a-z0-9._~-]+|\[[0-9a-f:.]+\]")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s*]+")


def is_among(host: str, allowed: Iterable[str]) -> bool:
    """Whether `allowed` names the host, a domain above it (`*.example.com`), or every one."""
    return any(
        entry in ("*", host) or (entry.startswith("*.") and host.endswith(entry[1:]))
        for entry in allowed
    )


class ServerSettings(Settings):
    """Where the server listens and whom it believes."""

    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside or not at all
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    public_url: HttpUrl | None = None
    allowed_hosts: CommaSeparated = ("localhost", "127.0.0.1", "[::1]")
    trusted_proxies: CommaSeparated = ()

    @field_validator("public_url")
    @classmethod
    def _is_no_more_than_a_host(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url and (url.username or url.path not in (None, "/") or url.query or url.fragment):
            raise ValueError("must be a scheme and a host, such as https://api.example.com")
        return url

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        hosts = tuple(host.lower() for host in hosts)
        if not hosts or not all(map(ALLOWED_HOST.fullmatch, hosts)):
            raise ValueError("must be names without scheme and port; *.example.com for subdomains")
        own: HttpUrl | None = info.data.get("public_url")
        if own is not None and not is_among(own.host or "", hosts):
            raise ValueError("must name the host of PUBLIC_URL, too")
        return hosts

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        try:
            networks = [ip_network(proxy) for proxy in proxies]
        except ValueError:
            raise ValueError("must be addresses or networks, such as 10.0.0.0/8") from None
        if not all(network.prefixlen for network in networks):
            raise ValueError("cannot be everybody: they could give themselves any address")
        return proxies

    @property
    def is_public_over_https(self) -> bool:
        """Whether clients reach the service over TLS, which a proxy ends for it."""
        return self.public_url is not None and self.public_url.scheme == "https"

    @property
    def base_url(self) -> str:
        """The service's own address, without a trailing slash."""
        return str(self.public_url or f"http://localhost:{self.port}").rstrip("/")


class HttpSettings(Settings):
    """Limits and habits of the HTTP side."""

    model_config = SettingsConfigDict(env_prefix="HTTP_")

    max_body_bytes: int = Field(default=1_048_576, ge=1024, le=MOST)
    max_header_bytes: int = Field(default=16_384, ge=1024, le=MOST)
    header_timeout: PositiveDuration = timedelta(seconds=10)
    body_timeout: PositiveDuration = timedelta(seconds=10)
    write_timeout: PositiveDuration = timedelta(seconds=30)
    keep_alive_timeout: Duration = timedelta(seconds=65)
    max_concurrent_requests: int = Field(default=1000, ge=1, le=MOST)
    compress_from_bytes: int = Field(default=1024, ge=0, le=MOST)
    validation_status: int = 422
    drain_delay: Duration = timedelta(seconds=5)
    shutdown_grace: Duration = timedelta(seconds=20)
    cors_origins: CommaSeparated = ()

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        origins = tuple(origin.lower() for origin in origins)
        if not all(map(ORIGIN.fullmatch, origins)):
            raise ValueError("must be like https://app.example.com, without a path; no *, no null")
        return origins

    @field_validator("validation_status")
    @classmethod
    def _is_one_of_two(cls, status: int) -> int:
        if status not in (400, 422):
            raise ValueError("must be 400 or 422")
        return status


def parse_json(body: bytes) -> Any:
    """Read JSON as I-JSON has it (RFC 7493): in UTF-8, each member once, and without `NaN`.

    An object may have `MOST_MEMBERS`.

    Raises:
        BadRequest: it is something else.
    """
    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_MEMBERS:
        raise BadRequest(f"An object may have at most {MOST_MEMBERS} members.")
    members = dict(pairs)
    if len(members) < len(pairs):
        raise BadRequest("A member of an object is there more than once.")
    return members


@dataclass(frozen=True)
class Rendered:
    """A response, ready for whichever framework sends it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as ASGI wants them."""
        return [(key.lower().encode(), value.encode()) for key, value in self.headers.items()]


def render_resource(
    view: BaseModel,
    version: int,
    *,
    location: str | None = None,
    conditions: Conditions | None = None,
) -> Rendered:
    """Answer with one resource and its entity tag: 201 with a location, 304 where it is known.

    Raises:
        PreconditionFailed: the client asked for another version, in `If-Match`.
    """
    headers = {"etag": etag(version)}
    body = view.model_dump_json().encode()
    if conditions is not None and conditions.not_modified(version):
        # The length is that of what is not sent: whether it would be compressed depends on it.
        return Rendered(304, {**headers, "content-length": str(len(body))}, b"")
    if location is not None:
        headers["location"] = location
    headers["content-type"] = JSON
    return Rendered(201 if location else 200, headers, body)


def render(view: BaseModel, status: int = 200) -> Rendered:
    """Answer with `view`, leaving out what it does not have."""
    return Rendered(
        status, {"content-type": JSON}, view.model_dump_json(exclude_none=True).encode()
    )


def render_page(
    page: OffsetPage[Any] | CursorPage[Any], fields: frozenset[str] | None = None
) -> Rendered:
    """Answer with a page of a list, its items cut down to `fields`."""
    include: dict[str, Any] | None = None
    if fields is not None:
        include = {**dict.fromkeys(type(page).model_fields, True), "items": {"__all__": fields}}
    headers = {"content-type": JSON}
    if isinstance(page, OffsetPage):
        headers["vary"] = "Prefer"
        if page.total is not None:
            headers["preference-applied"] = "count=exact"
    return Rendered(200, headers, page.model_dump_json(exclude_none=True, include=include).encode())


def page_links(scope: Scope, server: ServerSettings) -> PageLinks:
    """Links to the neighbours of the page that was asked for, on the host that was asked.

    Raises:
        ValidationFailed: a parameter is there more than once.
    """
    host = header(scope, b"host") or ""
    base = server.base_url if server.public_url else f"{scope['scheme']}://{host}"
    if repeated := repeated_parameters(scope):
        raise invalid_request((), more=repeated)
    return PageLinks(base + scope["app.path"], dict(query_of(scope)))


def query_of(scope: Scope) -> list[tuple[str, str]]:
    """Every parameter of the query with its value, also where a name is there twice."""
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def repeated_parameters(scope: Scope) -> list[Violation]:
    """What is wrong with a query that says two things at once."""
    counts = Counter(name for name, _ in query_of(scope))
    return [
        Violation.at(("query", name), "is there more than once")
        for name, count in counts.items()
        if count > 1
    ]
