"""Placing many orders in one request: each succeeds or fails on its own."""

from typing import Any

from pydantic import ValidationError

from app.chassis.database import Database, transactional
from app.chassis.database.failures import translated
from app.chassis.errors import Problem, Unavailable, ValidationFailed, Violation, violations
from app.chassis.problems import ProblemRenderer
from app.orders.schemas import BatchResult, BatchResults, PlaceOrder
from app.orders.service import Orders

MOST_VIOLATIONS = 20
"""How much of what is wrong with one order is told, as there may be a hundred of them."""
MOST_LOOKED_AT = 1000
"""Beyond that nothing is told: to find out costs time for each."""


class OrderBatches:
    """Places a batch in one transaction with a savepoint for each order."""

    def __init__(self, orders: Orders, problems: ProblemRenderer) -> None:
        self._orders = orders
        self._problems = problems

    @property
    def database(self) -> Database:
        """The database of the orders."""
        return self._orders.database

    @transactional()
    async def place(self, bodies: list[Any]) -> BatchResults:
        """Place each order, and say for each what became of it."""
        return BatchResults(items=[await self._result(i, body) for i, body in enumerate(bodies)])

    async def _result(self, index: int, body: object) -> BatchResult:
        try:
            with translated():
                async with self.database.savepoint():
                    order = await self._orders.place(_parsed(body))
        except Unavailable:
            raise
        except Problem as problem:
            document = self._problems.document(problem, f"/v1/order-batches#/orders/{index}")
            return BatchResult(
                index=index, status=self._problems.status_of(type(problem)), problem=document
            )
        return BatchResult(index=index, status=201, id=order.id, order=order.view)


def _parsed(body: object) -> PlaceOrder:
    try:
        return PlaceOrder.model_validate(body)
    except ValidationError as error:
        if error.error_count() > MOST_LOOKED_AT:
            errors = [Violation.at(("body",), "breaks more rules than are looked at")]
        else:
            errors = violations(error.errors(include_url=False), "body")[:MOST_VIOLATIONS]
        raise ValidationFailed(
            "The order breaks the rules listed in errors.", errors=errors
        ) from None
