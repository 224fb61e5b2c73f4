"""What a request's body may be: JSON, a merge patch for PATCH, a form where a route reads one."""

from collections.abc import Collection

from app.chassis.asgi import ASGIApp, Message, Receive, Scope, Send, header
from app.chassis.errors import UnsupportedMediaType
from app.chassis.http import JSON
from app.chassis.versioning import VENDOR_TYPE, VERSIONS

MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"
KNOWN = ("", *map(str, VERSIONS))


class MediaTypes:
    """Refuses bodies of another media type when a route starts to read one (RFC 9110, 15.5.16).

    So a route that does not exist, or has no such method, is still 404 or 405.
    """

    def __init__(self, app: ASGIApp, forms: Collection[str]) -> None:
        self.app = app
        self.forms = forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["method"] in ("POST", "PUT", "PATCH") else None
        await self.app(scope, _refusing(refusal) if refusal else receive, send)

    def _refusal(self, scope: Scope) -> UnsupportedMediaType | None:
        given = header(scope, b"content-type")
        if given is None and not _has_body(scope):
            return None
        media_type, version = _parts(given or "")
        name, expected = "Accept", (JSON, VENDOR_TYPE)
        if scope["method"] == "PATCH":
            name, expected = "Accept-Patch", (MERGE_PATCH,)
        elif scope["path"] in self.forms:
            expected = (FORM,)
        if media_type in expected and (media_type != VENDOR_TYPE or version in KNOWN):
            return None
        return UnsupportedMediaType(f"Send the body as {expected[0]}.", headers={name: expected[0]})


def _parts(given: str) -> tuple[str, str]:
    """The media type, and which version of it where that is said."""
    media_type, *parameters = (part.strip() for part in given.lower().split(";"))
    named = dict(part.split("=", 1) for part in parameters if "=" in part)
    return media_type, named.get("version", "").strip('"')


def _refusing(refusal: UnsupportedMediaType) -> Receive:
    async def receive() -> Message:
        raise refusal

    return receive


def _has_body(scope: Scope) -> bool:
    return header(scope, b"content-length") not in (None, "0") or bool(
        header(scope, b"transfer-encoding")
    )
