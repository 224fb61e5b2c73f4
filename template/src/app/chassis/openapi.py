"""The OpenAPI document: what the framework found out, completed by what every route promises."""

from collections.abc import Iterable, Iterator
from typing import Any

from app import about
from app.chassis.errors import PROBLEM_MEDIA_TYPE, ProblemDocument
from app.chassis.versioning import Deprecation

Node = dict[str, Any]

METHODS = ("get", "put", "post", "patch", "delete")
PROBLEMS: dict[int, str] = {
    400: "The request could not be understood.",
    404: "There is no such resource.",
    406: "None of the accepted media types can be produced.",
    408: "The body did not arrive in time.",
    409: "The request contradicts the present state.",
    412: "The resource has another version now.",
    413: "The body is too large.",
    415: "The body's media type is not read here.",
    422: "The request breaks rules; `errors` lists them.",
    428: "`If-Match` is missing.",
    500: "The service failed.",
    503: "The service is overloaded or draining.",
}
ETAG: Node = {"description": "The resource's version.", "schema": {"type": "string"}}
LOCATION: Node = {"description": "Where the new resource is.", "schema": {"type": "string"}}


def complete(document: Node, planned: Iterable[Deprecation]) -> None:
    """Add the problems, headers and deprecations to a framework's document."""
    document["info"] = {
        "title": about.TITLE,
        "version": about.VERSION,
        "description": about.DESCRIPTION,
        "contact": {"name": about.OWNER},
    }
    schemas: Node = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    template = "#/components/schemas/{model}"
    problem = ProblemDocument.model_json_schema(ref_template=template)
    schemas |= problem.pop("$defs")
    schemas["ProblemDocument"] = problem
    deprecated = {(plan.method.lower(), plan.path) for plan in planned}
    for method, path, operation in operations(document):
        _complete_operation(method, path, operation)
        if (method, path) in deprecated:
            operation["deprecated"] = True


def operations(document: Node) -> Iterator[tuple[str, str, Node]]:
    """Every operation with its method, in lower case, and the template of its path."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def add_problem(operation: Node, status: int, description: str) -> None:
    """Document that an operation may answer with a problem of this status."""
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    operation["responses"].setdefault(
        str(status),
        {"description": description, "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}}},
    )


def _complete_operation(method: str, path: str, operation: Node) -> None:
    responses = operation["responses"]
    # The framework's own idea of a validation error is not what the service sends.
    responses.pop("422", None)
    for status in sorted(_statuses(method, path, operation)):
        add_problem(operation, status, PROBLEMS[status])
    for status, response in responses.items():
        if status == "201":
            response.setdefault("headers", {})["Location"] = LOCATION
        if status in ("200", "201") and _has_version(operation):
            response.setdefault("headers", {})["ETag"] = ETAG


def _statuses(method: str, path: str, operation: Node) -> set[int]:
    if not path.startswith("/v"):
        return {404} if "{" in path else set()
    statuses = {400, 406, 500, 503}
    if operation.get("parameters"):
        statuses.add(422)
    if "requestBody" in operation:
        statuses |= {408, 409, 413, 415, 422}
    if "{" in path:
        statuses.add(404)
        if method in ("put", "patch", "delete"):
            statuses |= {409, 412, 428}
    return statuses


def _has_version(operation: Node) -> bool:
    names = {parameter["name"].lower() for parameter in operation.get("parameters", ())}
    return bool(names & {"if-match", "if-none-match"}) or "201" in operation["responses"]
