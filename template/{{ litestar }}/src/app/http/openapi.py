"""Describes the routes: Litestar finds them, Pydantic writes the schemas of its models."""

from collections.abc import Iterator
from typing import Any, cast

from litestar import Litestar
from litestar._openapi.schema_generation import SchemaCreator
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Schema
from litestar.plugins.pydantic import PydanticSchemaPlugin
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from app.chassis.openapi import SCHEMAS, Node
from app.http.dependencies import QUERY

Use = tuple[type[BaseModel], JsonSchemaMode]


class ModelSchema(Schema):
    """Stands for a model until it is known which models there are, and what for."""

    model: type[BaseModel]

    def to_schema(self) -> dict[str, Any]:
        """Keep the model itself: `_refer_to_models` puts a reference here."""
        return {"model": self.model}


class ModelSchemas(PydanticSchemaPlugin):
    """Keeps Litestar from describing Pydantic's models in its own words."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether `value` is a model."""
        return isinstance(value, type) and issubclass(value, BaseModel)

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: SchemaCreator
    ) -> Schema:
        """Name the model, and nothing more."""
        del schema_creator
        schema = ModelSchema()
        schema.model = field_definition.annotation
        return schema


def describe(api: Litestar) -> Node:
    """The document of every route."""
    document = api.openapi_schema.to_schema()
    document.pop("servers", None)
    schemas: Node = document.setdefault("components", {}).setdefault("schemas", {})
    for path, method, handler in _handlers(api):
        operation = document["paths"][path][method]
        if model := handler.opt.get(QUERY):
            operation.setdefault("parameters", []).extend(_query_parameters(model, schemas))
    _refer_to_models(document["paths"], schemas)
    return document


def _handlers(api: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in api.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if handler.resolve_include_in_schema():
                    yield route.path_format, method.lower(), handler


def _query_parameters(model: type[BaseModel], schemas: Node) -> Iterator[Node]:
    described = model.model_json_schema(ref_template=SCHEMAS)
    schemas |= described.pop("$defs", {})
    required = described.get("required", ())
    for name, schema in described["properties"].items():
        described_as = {"description": schema["description"]} if "description" in schema else {}
        parameter = {"name": name, "in": "query", "required": name in required, "schema": schema}
        yield parameter | described_as


def _refer_to_models(paths: Node, schemas: Node) -> None:
    """Replace each model by a reference; what a client sends and what it gets may differ."""
    places = list(_models(paths, "serialization"))
    references, definitions = models_json_schema(
        list({use for _, use in places}), ref_template=SCHEMAS
    )
    schemas |= definitions.get("$defs", {})
    for node, use in places:
        del node["model"]
        node.update(references[use])


def _models(node: Any, mode: JsonSchemaMode) -> Iterator[tuple[Node, Use]]:
    if isinstance(node, dict):
        fields = cast("Node", node)
        if isinstance(fields.get("model"), type):
            yield fields, (fields["model"], mode)
        for key, child in fields.items():
            yield from _models(child, "validation" if key == "requestBody" else mode)
    elif isinstance(node, list):
        for child in cast("list[Any]", node):
            yield from _models(child, mode)
