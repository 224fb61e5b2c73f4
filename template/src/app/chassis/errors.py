"""Errors are nouns that know their status; every one reaches the client as a problem (RFC 9457)."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

PROBLEM_MEDIA_TYPE = "application/problem+json"
MOST_VIOLATIONS = 1000
LONGEST_NAME = 100
IN_FRAGMENT = "!$&'()*+,;=:@?~"
"""What RFC 3986 lets stand in a fragment, apart from letters, digits and `-._/`."""

REASONS: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be an array",
    "too_short": "must have {min_length} or more items",
    "too_long": "must have {max_length} items or fewer",
    "uuid_type": "must be a string with a UUID",
    "decimal_type": "must be a number, or a string with one",
    "int_parsing_size": "is too large a number",
}
"""What Pydantic says in Python's terms, or not for a client's ears, by the kind of error."""


def _cut(name: str) -> str:
    """A name as it was sent, unless it is longer than anybody's."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


class Violation(BaseModel):
    """One thing that is wrong with a request."""

    detail: str
    pointer: str | None = Field(default=None, description="JSON Pointer, as a URI fragment.")
    parameter: str | None = Field(default=None, description="Query, path or header parameter.")
    field: str = Field(description="Same place, as a dotted path.")
    message: str = Field(description="Same as detail.")

    @classmethod
    def at(cls, location: Sequence[int | str], detail: str) -> "Violation":
        """Describe the place `location`: `body`, `query`, `path` or `header`, then the way."""
        source, *path = (part if isinstance(part, int) else _cut(part) for part in location)
        field = ".".join(str(part) for part in path)
        if source == "body":
            escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
            parts = (quote(part, IN_FRAGMENT, errors="replace") for part in escaped)
            pointer = "#" + "".join(f"/{part}" for part in parts)
            return cls(detail=detail, pointer=pointer, field=field, message=detail)
        return cls(detail=detail, parameter=field, field=field, message=detail)


class ProblemDocument(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Absolute URI; resolves to the documentation of the problem.")
    title: str
    status: int
    detail: str | None = None
    instance: str | None = None
    request_id: str | None = None
    errors: list[Violation] | None = None


class Problem(Exception):
    """A failure that the client is told about.

    A subclass names one problem type: its docstring is what `GET /problems/{slug}` shows. `uri` is
    that of a type which a standard defines; the others get one of the service's own.
    """

    uri: ClassVar[str | None] = None
    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Iterable[Violation] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.members = members
        super().__init__(detail or self.title)


class InternalError(Problem):
    """The service failed. The failure is logged under the request id that the answer names."""


class BadRequest(Problem):
    """The request could not be understood: malformed JSON, a bad header or an invalid cursor."""

    status, slug, title = 400, "bad-request", "Bad request"


class Forbidden(Problem):
    """The caller is known and may not do this."""

    status, slug, title = 403, "forbidden", "Forbidden"


class NotFound(Problem):
    """There is no such resource, or the caller may not know that there is."""

    status, slug, title = 404, "not-found", "Not found"


class MethodNotAllowed(Problem):
    """The resource exists and does not support this method; `Allow` lists the ones it does."""

    status, slug, title = 405, "method-not-allowed", "Method not allowed"


class NotAcceptable(Problem):
    """None of the media types or versions in `Accept` can be produced."""

    status, slug, title = 406, "not-acceptable", "Not acceptable"


class RequestTimeout(Problem):
    """The request did not arrive in time."""

    status, slug, title = 408, "request-timeout", "Request timeout"


class Conflict(Problem):
    """The request contradicts the resource's present state."""

    status, slug, title = 409, "conflict", "Conflict"


class Gone(Problem):
    """The route was retired after its sunset; `Link` names its successor."""

    status, slug, title = 410, "gone", "Gone"


class PreconditionFailed(Problem):
    """The resource changed since the version named in `If-Match`. Fetch it again, then retry."""

    status, slug, title = 412, "precondition-failed", "Precondition failed"


class ContentTooLarge(Problem):
    """The request's body is larger than the service accepts."""

    status, slug, title = 413, "content-too-large", "Content too large"


class UriTooLong(Problem):
    """The path and the query are longer than the service accepts."""

    status, slug, title = 414, "uri-too-long", "URI too long"


class UnsupportedMediaType(Problem):
    """The body's media type or content coding is not one that this route reads."""

    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"


class ValidationFailed(Problem):
    """The request was understood and breaks rules; `errors` lists every one of them."""

    status, slug, title = 422, "validation-error", "Validation error"


class PreconditionRequired(Problem):
    """A change of this resource must name the version it is based on, in `If-Match`."""

    status, slug, title = 428, "precondition-required", "Precondition required"


class HeadersTooLarge(Problem):
    """The request's header fields are larger than the service accepts."""

    status, slug, title = 431, "headers-too-large", "Request header fields too large"


class Unavailable(Problem):
    """The service, or something it depends on, is overloaded or down. Try again later."""

    status, slug, title = 503, "unavailable", "Service unavailable"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


def problem_types() -> dict[str, type[Problem]]:
    """Every problem type that the service emits, by slug."""
    found: dict[str, type[Problem]] = {}
    pending = [Problem]
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        if kind is not Problem:
            found.setdefault(kind.slug, kind)
    return dict(sorted(found.items()))


_BY_STATUS: Mapping[int, type[Problem]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        NotAcceptable,
        RequestTimeout,
        Conflict,
        ContentTooLarge,
        UnsupportedMediaType,
        ValidationFailed,
        Unavailable,
    )
}


def problem_for_status(
    status: int, detail: str | None = None, headers: Mapping[str, str] | None = None
) -> Problem:
    """Translate a framework's own HTTP error."""
    kind = _BY_STATUS.get(status, BadRequest if status < 500 else InternalError)
    problem = kind(detail)
    problem.headers |= headers or {}
    return problem


def violations(errors: Iterable[Mapping[str, Any]], source: str | None = None) -> list[Violation]:
    """Translate Pydantic's errors; `source` is prepended where their locations lack one.

    All of them, unless there are more than anybody reads: members that nobody knows are free.
    """
    prefix = () if source is None else (source,)
    return [
        Violation.at((*prefix, *entry["loc"]), _reason(entry))
        for entry in islice(errors, MOST_VIOLATIONS)
    ]


def invalid_request(
    errors: Iterable[Mapping[str, Any]],
    source: str | None = None,
    *,
    more: Iterable[Violation] = (),
) -> ValidationFailed:
    """What a request is answered with that Pydantic has refused; `more` is what it did not see."""
    detail = "The request breaks the rules listed in errors."
    return ValidationFailed(detail, errors=[*violations(errors, source), *more])


def _reason(entry: Mapping[str, Any]) -> str:
    if reason := REASONS.get(entry["type"]):
        return reason.format_map(entry.get("ctx", {}))
    return entry["msg"].removeprefix("Value error, ")
