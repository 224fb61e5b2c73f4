"""What a request's body may be: JSON, a merge patch for PATCH, a form where a route reads one."""

from collections.abc import Collection

from app.chassis.asgi import ASGIApp, Receive, Scope, Send, header
from app.chassis.errors import UnsupportedMediaType
from app.chassis.versioning import VENDOR_TYPE

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"


class MediaTypes:
    """Refuses bodies of another media type before anything reads them (RFC 9110, 15.5.16)."""

    def __init__(self, app: ASGIApp, forms: Collection[str]) -> None:
        self.app = app
        self.forms = forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("POST", "PUT", "PATCH"):
            self._check(scope)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        given = header(scope, b"content-type")
        if given is None and not _has_body(scope):
            return
        media_type = (given or "").partition(";")[0].strip().lower()
        if scope["method"] == "PATCH":
            if media_type != MERGE_PATCH:
                raise UnsupportedMediaType(
                    f"Send a patch as {MERGE_PATCH}.", headers={"Accept-Patch": MERGE_PATCH}
                )
        elif scope["path"] in self.forms:
            if media_type != FORM:
                raise UnsupportedMediaType(f"Send the body as {FORM}.", headers={"Accept": FORM})
        elif media_type not in (JSON, VENDOR_TYPE):
            raise UnsupportedMediaType(f"Send the body as {JSON}.", headers={"Accept": JSON})


def _has_body(scope: Scope) -> bool:
    return header(scope, b"content-length") not in (None, "0") or bool(
        header(scope, b"transfer-encoding")
    )
