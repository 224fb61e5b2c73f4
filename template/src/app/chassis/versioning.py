"""API versions: by path (`/v1/orders`), by media type (`/orders`), and how one is retired."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

import structlog

from app import about
from app.chassis.asgi import (
    ASGIApp,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    add_vary,
    elements,
    header,
    with_headers,
)
from app.chassis.errors import PROBLEM_MEDIA_TYPE, Gone, NotAcceptable, Problem
from app.chassis.http import JSON

VERSIONS = (1,)
VENDOR_TYPE = f"application/vnd.{about.SLUG}+json"

_VERSIONED = re.compile(r"/v([0-9]{1,4})(?:/|$)")
_UNVERSIONED = ("health", "openapi.json", "docs", "problems", ".well-known")
_PRODUCED = frozenset({JSON, PROBLEM_MEDIA_TYPE, "application/*", "*/*"})

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Accepted:
    """What one media range of `Accept` asks for."""

    media_type: str
    version: str | None
    weight: float


class ContentNegotiation:
    """Serves `/orders` as the version that `Accept` names, and refuses what cannot be produced.

    A path that names its version is served in either media type, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if not _has_versions(path):
            await self.app(scope, receive, send)
            return
        named = _VERSIONED.match(path)
        try:
            versions = (int(named[1]),) if named else VERSIONS
            version, vendor = _choose(header(scope, b"accept"), versions)
            if not named:
                scope["path"] = f"/v{version}{path}"
                scope["raw_path"] = scope["path"].encode()
            await self.app(scope, receive, _negotiated(send, version if vendor else None))
        except Problem as problem:
            problem.headers["Vary"] = "Accept"
            raise


def served_path(scope: Scope) -> str:
    """The path with the version that it is served in; as it is where there is none."""
    path: str = scope["path"]
    if not _has_versions(path) or _VERSIONED.match(path):
        return path
    try:
        version, _ = _choose(header(scope, b"accept"), VERSIONS)
    except NotAcceptable:
        return path
    return f"/v{version}{path}"


def _has_versions(path: str) -> bool:
    return path != "/" and path.split("/")[1] not in _UNVERSIONED


def parse_accept(text: str) -> list[Accepted]:
    """Read `Accept`, heaviest first, refused ones last; what is not well-formed is passed over."""
    ranges: list[Accepted] = []
    for item in elements(text.lower()):
        media_type, *parameters = (part.strip() for part in item.split(";"))
        named = dict(part.split("=", 1) for part in parameters if "=" in part)
        try:
            weight = float(named.get("q", "1"))
        except ValueError:
            continue
        version = named.get("version")
        ranges.append(Accepted(media_type, version and version.strip('"'), weight))
    return sorted(ranges, key=lambda accepted: -accepted.weight)


def _choose(accept: str | None, versions: Sequence[int]) -> tuple[int, bool]:
    """The one of `versions` to serve, and whether the vendor's own media type was asked for."""
    if accept in (None, "", "*/*", JSON):
        return versions[-1], False
    ranges = parse_accept(accept)
    for accepted in ranges:
        if accepted.weight <= 0:
            break
        if accepted.media_type == VENDOR_TYPE:
            if accepted.version is None:
                return versions[-1], True
            if accepted.version in map(str, versions):
                return int(accepted.version), True
        elif accepted.media_type in _PRODUCED and not _refuses_json(ranges):
            return versions[-1], False
    known = ", ".join(f"{VENDOR_TYPE};version={version}" for version in versions)
    raise NotAcceptable(f"This service produces {JSON} and {known}.")


def _refuses_json(ranges: list[Accepted]) -> bool:
    """Whether the range that describes JSON most closely has no weight (RFC 9110, 12.5.1)."""
    weights = {item.media_type: item.weight for item in reversed(ranges)}
    closest = next((name for name in (JSON, "application/*", "*/*") if name in weights), None)
    return closest is not None and weights[closest] <= 0


def _negotiated(send: Send, version: int | None) -> Send:
    """Say that the answer depends on `Accept`, and which version it is."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Header] = list(message["headers"])
            add_vary(headers, b"Accept")
            if version is not None:
                headers = [_vendor(item, version) for item in headers]
            message["headers"] = headers
        await send(message)

    return sending


def _vendor(item: Header, version: int) -> Header:
    key, value = item
    if key.lower() == b"content-type" and value.startswith(JSON.encode()):
        return key, f"{VENDOR_TYPE};version={version}".encode()
    return item


@dataclass(frozen=True)
class Deprecation:
    """The plan to retire one route: from when it is deprecated, and when it stops (RFC 9745, 8594).

    `path` is the route's template (`/v1/orders/{order_id}`), `successor` the one that replaces it.
    """

    method: str
    path: str
    since: datetime
    sunset: datetime
    successor: str
    documentation: str | None = None

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.sunset.tzinfo is None:
            raise ValueError(f"{self.method} {self.path}: the times need a time zone")
        if self.sunset < self.since:
            raise ValueError(f"{self.method} {self.path}: the sunset is before the deprecation")

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches the paths of this route."""
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path)))

    def successor_of(self, path: "re.Match[str]") -> str:
        """The path that replaces the one that `pattern` matched."""
        successor = self.successor
        for name, value in path.groupdict().items():
            successor = successor.replace(f"{{{name}}}", quote(value, safe=""))
        return successor

    def headers(self, successor: str) -> list[Header]:
        """What every response of the route carries."""
        link = f'<{successor}>; rel="successor-version"'
        if self.documentation:
            link += f', <{self.documentation}>; rel="deprecation"'
        return [
            (b"deprecation", f"@{int(self.since.timestamp())}".encode()),
            (b"sunset", format_datetime(self.sunset.astimezone(UTC), usegmt=True).encode()),
            (b"link", link.encode()),
        ]


class Deprecations:
    """Announces deprecated routes, logs their use, and retires them at their sunset."""

    def __init__(self, app: ASGIApp, planned: Iterable[Deprecation]) -> None:
        self.app = app
        self._planned = [(item.method, item.pattern, item) for item in planned]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._plan(scope) if self._planned else None
        if found is None:
            await self.app(scope, receive, send)
            return
        plan, successor = found
        headers = plan.headers(successor)
        log.info("deprecated_route_used", method=plan.method, route=plan.path)
        try:
            if datetime.now(UTC) >= plan.sunset:
                raise Gone(f"This route was retired; use {successor}.", successor=successor)
            await self.app(scope, receive, with_headers(send, headers))
        except Problem as problem:
            problem.headers |= {key.decode(): value.decode() for key, value in headers}
            raise

    def _plan(self, scope: Scope) -> tuple[Deprecation, str] | None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        served = served_path(scope)
        for planned_method, pattern, plan in self._planned:
            if planned_method == method and (path := pattern.fullmatch(served)):
                return plan, plan.successor_of(path)
        return None
