"""Rendering of problems: one document, whoever noticed the failure."""

from structlog.contextvars import get_contextvars

from app.chassis.asgi import Scope
from app.chassis.errors import (
    PROBLEM_MEDIA_TYPE,
    InternalError,
    Problem,
    ProblemDocument,
    ValidationFailed,
    problem_types,
)
from app.chassis.http import HttpSettings, Rendered, ServerSettings

FAILURE = "app.failure"
"""Key of the ASGI scope under which an unexpected exception waits for the request's log line."""


class ProblemRenderer:
    """Turns an exception into a response.

    Types are absolute and stable: they start with `PUBLIC_URL`, never with the request's host.
    """

    def __init__(self, server: ServerSettings, http: HttpSettings) -> None:
        self._types = f"{server.base_url}/problems"
        self._validation_status = http.validation_status

    def type_uri(self, kind: type[Problem]) -> str:
        """The absolute URI of a problem type."""
        return kind.uri or f"{self._types}/{kind.slug}"

    def status_of(self, kind: type[Problem]) -> int:
        """The status that `kind` is sent with; that of validation errors is a setting."""
        return self._validation_status if issubclass(kind, ValidationFailed) else kind.status

    def render(self, error: Exception, scope: Scope) -> Rendered:
        """Render a problem; anything else becomes a plain 500 that reveals nothing."""
        if isinstance(error, Problem):
            problem = error
        else:
            problem = InternalError("The request failed. Quote the request id when you report it.")
            scope[FAILURE] = error
        status = self.status_of(type(problem))
        document = ProblemDocument(
            type=self.type_uri(type(problem)),
            title=problem.title,
            status=status,
            detail=problem.detail,
            instance=scope.get("app.path", scope["path"]) or None,
            request_id=get_contextvars().get("request_id"),
            errors=problem.errors or None,
            **problem.members,
        )
        return Rendered(
            status,
            {**problem.headers, "content-type": PROBLEM_MEDIA_TYPE, "cache-control": "no-store"},
            document.model_dump_json(exclude_none=True).encode(),
        )

    def document(self, problem: Problem, instance: str) -> dict[str, object]:
        """A problem as a part of a larger answer: one item of a batch."""
        scope: Scope = {"path": instance}
        document = ProblemDocument.model_validate_json(self.render(problem, scope).body)
        return document.model_dump(mode="json", exclude_none=True)


def describe(slug: str, renderer: ProblemRenderer) -> dict[str, object] | None:
    """The documentation behind a problem's `type`, or None where no such problem is emitted."""
    kind = problem_types().get(slug)
    if kind is None:
        return None
    return {
        "type": renderer.type_uri(kind),
        "title": kind.title,
        "status": renderer.status_of(kind),
        "description": " ".join((kind.__doc__ or "").split()),
    }
