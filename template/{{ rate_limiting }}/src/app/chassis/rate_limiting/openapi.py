"""Rate limits in the OpenAPI document."""

from app.chassis.health import PROBES
from app.chassis.openapi import Node, add_problem, operations

RETRY_AFTER: Node = {"description": "Seconds to wait.", "schema": {"type": "integer"}}


def describe_rate_limits(document: Node) -> None:
    """Say for every operation that is counted that it may be refused."""
    for _, path, operation in operations(document):
        if path in PROBES:
            continue
        add_problem(operation, 429, "The caller's quota of requests is used up.")
        operation["responses"]["429"].setdefault("headers", {})["Retry-After"] = RETRY_AFTER
