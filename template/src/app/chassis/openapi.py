"""The OpenAPI document: what the framework found out, completed by what every route promises."""

from collections.abc import Iterable, Iterator
from html import escape
from http import HTTPStatus
from typing import Any, cast

from app import about
from app.chassis.errors import PROBLEM_MEDIA_TYPE, ProblemDocument
from app.chassis.versioning import Deprecation

Node = dict[str, Any]

SCHEMAS = "#/components/schemas/{model}"

PLACES = ("path", "query", "header", "cookie")
FRAMEWORK_REFUSALS = ("400", "422")
"""A framework's own ideas of what a refused request is answered with."""
METHODS = ("get", "put", "post", "patch", "delete")
CHANGES = ("put", "patch", "delete")
PROBLEMS: dict[int, str] = {
    400: "The request could not be understood.",
    404: "There is no such resource.",
    406: "None of the accepted media types can be produced.",
    408: "The body did not arrive in time.",
    409: "The request contradicts the present state.",
    410: "The route was retired; `Link` names its successor.",
    412: "The resource has another version now.",
    413: "The body is too large.",
    415: "The body's media type is not read here.",
    422: "The request breaks rules; `errors` lists them.",
    428: "`If-Match` is missing.",
    500: "The service failed.",
    503: "The service is overloaded or draining.",
}
SWAGGER_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({{url: "/openapi.json", dom_id: "#swagger-ui"}})</script>
</body>
</html>
"""
ENTITY_TAG = r'(W/)?"[!#-~]*"'
ENTITY_TAGS: Node = {"type": "string", "pattern": rf"^(\*|{ENTITY_TAG}(, *{ENTITY_TAG})*)$"}
CONDITIONS: dict[str, str] = {
    "if-match": "Versions that the resource must have, as `ETag` named them; `*` is any.",
    "if-none-match": "Versions that the resource must not have; `*` is any.",
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
    _tidy(document)
    schemas: Node = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = ProblemDocument.model_json_schema(ref_template=SCHEMAS)
    schemas |= problem.pop("$defs")
    schemas["ProblemDocument"] = problem
    deprecated = {(plan.method.lower(), plan.path) for plan in planned}
    for method, path, operation in operations(document):
        _simplify(operation)
        _complete_operation(method, path, operation)
        if (method, path) in deprecated:
            operation["deprecated"] = True
            add_problem(operation, 410, PROBLEMS[410])


def refuse_with(document: Node, status: int) -> None:
    """Document validation errors under the status that they have (`HTTP_VALIDATION_STATUS`)."""
    for _, _, operation in operations(document):
        responses = operation["responses"]
        if refusal := responses.pop("422", None):
            responses.setdefault(str(status), refusal)


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
    for parameter in operation.get("parameters", ()):
        name = parameter["name"].lower()
        if name in CONDITIONS:
            parameter["description"] = CONDITIONS[name]
            parameter["required"] = name == "if-match" and method in CHANGES
            # What cannot be read names no version for readers, and is refused in changes.
            if method in CHANGES:
                parameter["schema"] = {**ENTITY_TAGS}
    for status in sorted(_statuses(method, path, operation)):
        add_problem(operation, status, PROBLEMS[status])
    if method == "get" and _has_version(operation):
        responses["304"] = {
            "description": "The client has this version.",
            "headers": {"ETag": ETAG},
        }
    for status, response in responses.items():
        if status == "201":
            response.setdefault("headers", {})["Location"] = LOCATION
        if status in ("200", "201") and _has_version(operation):
            response.setdefault("headers", {})["ETag"] = ETAG


def _tidy(node: Any) -> None:
    """Leave out the defaults that mean none, and the fractions of whole numbers."""
    if isinstance(node, dict):
        fields = cast("Node", node)
        if fields.get("default", ...) is None:
            del fields["default"]
        for key, value in fields.items():
            if isinstance(value, float) and value.is_integer():
                fields[key] = int(value)
            _tidy(value)
    elif isinstance(node, list):
        for item in cast("list[Any]", node):
            _tidy(item)


def _simplify(operation: Node) -> None:
    """Say things in the same words, whichever framework found them out."""
    _summarise(operation)
    if not operation.get("deprecated", True):
        del operation["deprecated"]
    operation["parameters"] = sorted(
        map(_parameter, operation.get("parameters", ())), key=lambda item: PLACES.index(item["in"])
    )
    if not operation["parameters"]:
        del operation["parameters"]
    responses = operation["responses"]
    for status in FRAMEWORK_REFUSALS:
        responses.pop(status, None)
    for status, response in responses.items():
        if response["description"] in ("Successful Response", HTTPStatus(int(status)).description):
            response["description"] = HTTPStatus(int(status)).phrase
        for media_type in response.get("content", {}).values():
            media_type["schema"] = _schema(media_type["schema"])
        if not response.get("headers", True):
            del response["headers"]


def _summarise(operation: Node) -> None:
    """Take the summary from the docstring's first line, not from the function's name."""
    summary, _, rest = operation.get("description", "").partition("\n")
    if summary:
        operation["summary"] = summary.removesuffix(".")
        operation["description"] = rest.strip()
    if not operation.get("description", True):
        del operation["description"]


def _parameter(parameter: Node) -> Node:
    """What can be left out cannot be null; the rest are defaults that need no words."""
    schema = _schema(parameter["schema"])
    options = [
        option
        for option in schema.pop("anyOf", schema.pop("oneOf", ()))
        if option != {"type": "null"}
    ]
    if len(options) == 1:
        schema |= options[0]
    elif options:
        schema["anyOf"] = options
    schema.pop("description", None)
    kept = {key: value for key, value in parameter.items() if value or key == "required"}
    return {**kept, "schema": schema}


def _schema(schema: Node) -> Node:
    """A schema without the name of the function or the parameter that it was found at."""
    plain = {key: value for key, value in schema.items() if key != "title"}
    if plain.get("additionalProperties") == {}:
        plain["additionalProperties"] = True
    return plain


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
        if method in CHANGES:
            statuses |= {409, 412, 428}
        elif "if-match" in _parameter_names(operation):
            statuses.add(412)
    return statuses


def _has_version(operation: Node) -> bool:
    names = _parameter_names(operation)
    return bool(names & {"if-match", "if-none-match"}) or "201" in operation["responses"]


def _parameter_names(operation: Node) -> set[str]:
    return {parameter["name"].lower() for parameter in operation.get("parameters", ())}


def swagger_page() -> str:
    """The page of `/docs`: Swagger UI, reading `/openapi.json`."""
    return SWAGGER_PAGE.format(title=escape(about.TITLE))
