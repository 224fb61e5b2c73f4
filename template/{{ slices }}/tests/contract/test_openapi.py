"""The OpenAPI document describes what is served (and Zalando's rules for names hold)."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

Operation = dict[str, Any]


@pytest.fixture
def document(client: httpx2.Client) -> dict[str, Any]:
    return client.get("/openapi.json").json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_paths_are_plural_nouns_in_kebab_case(document: dict[str, Any]) -> None:
    for path in document["paths"]:
        segments = [part for part in path.strip("/").split("/") if not part.startswith("{")]
        assert all(re.fullmatch(r"\.?[a-z][a-z0-9.]*(-[a-z0-9]+)*", part) for part in segments)
        if path.startswith("/v1/"):
            assert all(part.endswith("s") for part in segments[1:])


def test_parameters_and_properties_are_in_snake_case(document: dict[str, Any]) -> None:
    snake = re.compile(r"^[a-z_][a-z_0-9]*$")
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "header":
                assert snake.match(parameter["name"])
    for schema in document["components"]["schemas"].values():
        assert all(snake.match(name) for name in schema.get("properties", {}))


def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        if path.startswith("/v1/"):
            for status in ("400", "406", "500", "503"):
                content = operation["responses"][status]["content"]
                assert "application/problem+json" in content, (path, method)


def test_changes_document_their_precondition(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/orders/{order_id}"]["patch"]["responses"]
    assert {"409", "412", "415", "422", "428"} <= set(responses)
    responses = document["paths"]["/v1/orders/{order_id}"]["get"]["responses"]
    assert {"304", "412"} <= set(responses)
    assert "428" not in responses


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
