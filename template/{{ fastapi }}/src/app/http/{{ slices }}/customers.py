"""Routes of the customers slice."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.chassis.http import render_page, render_resource
from app.chassis.identifiers import Id
from app.chassis.listing.pages import OffsetPage, OffsetQuery, wants_count
from app.customers.schemas import CustomerBody, CustomerPatch, CustomerView
from app.customers.service import Customers
from app.http.dependencies import (
    Conditional,
    JsonRoute,
    MergePatch,
    Prefer,
    as_response,
    links_of,
    provided,
)

router = APIRouter(prefix="/v1/customers", tags=["customers"], route_class=JsonRoute)
UseCustomers = Annotated[Customers, Depends(provided(Customers))]


@router.post("", status_code=201, response_model=CustomerView)
async def create_customer(body: CustomerBody, customers: UseCustomers) -> Response:
    """Register a customer."""
    customer = await customers.register(body)
    location = f"/v1/customers/{customer.id}"
    return as_response(render_resource(customer.view, customer.version, location=location))


@router.get("", response_model=OffsetPage[CustomerView])
async def list_customers(
    query: Annotated[OffsetQuery, Query()],
    request: Request,
    customers: UseCustomers,
    prefer: Prefer = None,
) -> Response:
    """List customers, oldest first."""
    page = await customers.page(query, links_of(request), count=wants_count(prefer))
    return as_response(render_page(page))


@router.get("/{customer_id}", response_model=CustomerView)
async def get_customer(
    customer_id: Id, customers: UseCustomers, conditions: Conditional
) -> Response:
    """Look a customer up."""
    customer = await customers.get(customer_id)
    return as_response(render_resource(customer.view, customer.version, conditions=conditions))


@router.put("/{customer_id}", response_model=CustomerView)
async def replace_customer(
    customer_id: Id, body: CustomerBody, customers: UseCustomers, conditions: Conditional
) -> Response:
    """Replace a customer."""
    customer = await customers.replace(customer_id, body, conditions.for_change())
    return as_response(render_resource(customer.view, customer.version))


@router.patch("/{customer_id}", response_model=CustomerView)
async def change_customer(
    customer_id: Id,
    body: MergePatch[CustomerPatch],
    customers: UseCustomers,
    conditions: Conditional,
) -> Response:
    """Change some of a customer's fields."""
    customer = await customers.change(customer_id, body, conditions.for_change())
    return as_response(render_resource(customer.view, customer.version))


@router.delete("/{customer_id}", status_code=204)
async def delete_customer(
    customer_id: Id, customers: UseCustomers, conditions: Conditional
) -> Response:
    """Delete a customer who has no orders."""
    await customers.delete(customer_id, conditions.for_change())
    return Response(status_code=204)
