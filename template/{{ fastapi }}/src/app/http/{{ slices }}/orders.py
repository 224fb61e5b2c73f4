"""Routes of the orders slice."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.chassis.http import render, render_page, render_resource
from app.chassis.identifiers import Id
from app.chassis.listing.fields import parse_fields
from app.chassis.listing.pages import CursorPage
from app.http.dependencies import (
    Conditional,
    JsonRoute,
    MergePatch,
    as_response,
    links_of,
    provided,
)
from app.orders.batch import OrderBatches
from app.orders.schemas import (
    BatchResults,
    OrderExcerpt,
    OrderPatch,
    OrderQuery,
    OrderView,
    PlaceOrder,
    PlaceOrders,
)
from app.orders.service import Orders

router = APIRouter(prefix="/v1/orders", tags=["orders"], route_class=JsonRoute)
batches = APIRouter(prefix="/v1/order-batches", tags=["orders"], route_class=JsonRoute)
UseOrders = Annotated[Orders, Depends(provided(Orders))]
UseBatches = Annotated[OrderBatches, Depends(provided(OrderBatches))]


@router.post("", status_code=201, response_model=OrderView)
async def place_order(body: PlaceOrder, orders: UseOrders) -> Response:
    """Place an order."""
    order = await orders.place(body)
    return as_response(
        render_resource(order.view, order.version, location=f"/v1/orders/{order.id}")
    )


@router.get("", response_model=CursorPage[OrderExcerpt])
async def list_orders(
    query: Annotated[OrderQuery, Query()], request: Request, orders: UseOrders
) -> Response:
    """List orders."""
    fields = parse_fields(query.fields, OrderView)
    return as_response(render_page(await orders.page(query, links_of(request)), fields))


@router.get("/{order_id}", response_model=OrderView)
async def get_order(order_id: Id, orders: UseOrders, conditions: Conditional) -> Response:
    """Look an order up."""
    order = await orders.get(order_id)
    return as_response(render_resource(order.view, order.version, conditions=conditions))


@router.patch("/{order_id}", response_model=OrderView)
async def change_order(
    order_id: Id,
    body: MergePatch[OrderPatch],
    orders: UseOrders,
    conditions: Conditional,
) -> Response:
    """Confirm, cancel or reject an order."""
    order = await orders.change(order_id, body, conditions.for_change())
    return as_response(render_resource(order.view, order.version))


@router.delete("/{order_id}", status_code=204)
async def delete_order(order_id: Id, orders: UseOrders, conditions: Conditional) -> Response:
    """Delete an order."""
    await orders.delete(order_id, conditions.for_change())
    return Response(status_code=204)


@batches.post("", status_code=207, response_model=BatchResults)
async def place_orders(body: PlaceOrders, orders: UseBatches) -> Response:
    """Place up to 100 orders, each on its own."""
    return as_response(render(await orders.place(body.orders), 207))
