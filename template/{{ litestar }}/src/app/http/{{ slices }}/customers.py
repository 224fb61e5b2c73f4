"""Routes of the customers slice."""

from uuid import UUID

from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.chassis.conditional import Conditions
from app.chassis.http import render_page, render_resource
from app.chassis.listing.pages import OffsetPage, OffsetQuery, wants_count
from app.customers.schemas import CustomerBody, CustomerPatch, CustomerView
from app.customers.service import Customers
from app.http.dependencies import (
    CONDITIONS,
    QUERY,
    JsonRequest,
    MergePatch,
    Prefer,
    as_response,
    links_of,
    provided,
    read_query,
)


@post()
async def create_customer(
    data: JSONBody[CustomerBody], customers: NamedDependency[Customers]
) -> Response[CustomerView]:
    """Register a customer."""
    customer = await customers.register(data)
    location = f"/v1/customers/{customer.id}"
    return as_response(render_resource(customer.view, customer.version, location=location))


@get(opt={QUERY: OffsetQuery})
async def list_customers(
    request: JsonRequest, customers: NamedDependency[Customers], prefer: Prefer = None
) -> Response[OffsetPage[CustomerView]]:
    """List customers, oldest first."""
    query = read_query(request, OffsetQuery)
    page = await customers.page(query, links_of(request), count=wants_count(prefer))
    return as_response(render_page(page))


@get("/{customer_id:str}")
async def get_customer(
    customer_id: FromPath[UUID],
    customers: NamedDependency[Customers],
    conditions: NamedDependency[Conditions],
) -> Response[CustomerView]:
    """Look a customer up."""
    customer = await customers.get(customer_id)
    return as_response(render_resource(customer.view, customer.version, conditions=conditions))


@put("/{customer_id:str}")
async def replace_customer(
    customer_id: FromPath[UUID],
    data: JSONBody[CustomerBody],
    customers: NamedDependency[Customers],
    conditions: NamedDependency[Conditions],
) -> Response[CustomerView]:
    """Replace a customer."""
    customer = await customers.replace(customer_id, data, conditions.for_change())
    return as_response(render_resource(customer.view, customer.version))


@patch("/{customer_id:str}")
async def change_customer(
    customer_id: FromPath[UUID],
    data: MergePatch[CustomerPatch],
    customers: NamedDependency[Customers],
    conditions: NamedDependency[Conditions],
) -> Response[CustomerView]:
    """Change some of a customer's fields."""
    customer = await customers.change(customer_id, data, conditions.for_change())
    return as_response(render_resource(customer.view, customer.version))


@delete("/{customer_id:str}")
async def delete_customer(
    customer_id: FromPath[UUID],
    customers: NamedDependency[Customers],
    conditions: NamedDependency[Conditions],
) -> None:
    """Delete a customer who has no orders."""
    await customers.delete(customer_id, conditions.for_change())


router = Router(
    "/v1/customers",
    route_handlers=[
        create_customer,
        list_customers,
        get_customer,
        replace_customer,
        change_customer,
        delete_customer,
    ],
    dependencies={"customers": provided(Customers), "conditions": CONDITIONS},
    tags=["customers"],
)
