"""Routes of the orders slice."""

from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.chassis.conditional import Conditions
from app.chassis.http import render, render_page, render_resource
from app.chassis.listing.fields import parse_fields
from app.chassis.listing.pages import CursorPage
from app.http.dependencies import (
    CONDITIONS,
    QUERY,
    JsonRequest,
    MergePatch,
    as_response,
    links_of,
    provided,
    read_query,
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


@post()
async def place_order(
    data: JSONBody[PlaceOrder], orders: NamedDependency[Orders]
) -> Response[OrderView]:
    """Place an order."""
    order = await orders.place(data)
    return as_response(
        render_resource(order.view, order.version, location=f"/v1/orders/{order.id}")
    )


@get(opt={QUERY: OrderQuery})
async def list_orders(
    request: JsonRequest, orders: NamedDependency[Orders]
) -> Response[CursorPage[OrderExcerpt]]:
    """List orders."""
    query = read_query(request, OrderQuery)
    fields = parse_fields(query.fields, OrderView)
    return as_response(render_page(await orders.page(query, links_of(request)), fields))


@get("/{order_id:str}")
async def get_order(
    order_id: FromPath[UUID],
    orders: NamedDependency[Orders],
    conditions: NamedDependency[Conditions],
) -> Response[OrderView]:
    """Look an order up."""
    order = await orders.get(order_id)
    return as_response(render_resource(order.view, order.version, conditions=conditions))


@patch("/{order_id:str}")
async def change_order(
    order_id: FromPath[UUID],
    data: MergePatch[OrderPatch],
    orders: NamedDependency[Orders],
    conditions: NamedDependency[Conditions],
) -> Response[OrderView]:
    """Confirm, cancel or reject an order."""
    order = await orders.change(order_id, data, conditions.for_change())
    return as_response(render_resource(order.view, order.version))


@delete("/{order_id:str}")
async def delete_order(
    order_id: FromPath[UUID],
    orders: NamedDependency[Orders],
    conditions: NamedDependency[Conditions],
) -> None:
    """Delete an order."""
    await orders.delete(order_id, conditions.for_change())


@post(status_code=207)
async def place_orders(
    data: JSONBody[PlaceOrders], orders: NamedDependency[OrderBatches]
) -> Response[BatchResults]:
    """Place up to 100 orders, each on its own."""
    return as_response(render(await orders.place(data.orders), 207))


router = Router(
    "/v1/orders",
    route_handlers=[place_order, list_orders, get_order, change_order, delete_order],
    dependencies={"orders": provided(Orders), "conditions": CONDITIONS},
    tags=["orders"],
)
batches = Router(
    "/v1/order-batches",
    route_handlers=[place_orders],
    dependencies={"orders": provided(OrderBatches)},
    tags=["orders"],
)
