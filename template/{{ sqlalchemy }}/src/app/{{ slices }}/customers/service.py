"""Use cases of customers."""

from uuid import UUID

from psycopg.errors import ForeignKeyViolation, UniqueViolation
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.chassis.conditional import Precondition
from app.chassis.database import Database, transactional
from app.chassis.listing.pages import OffsetPage, OffsetQuery, PageLinks
from app.customers.errors import CustomerHasOrders, CustomerNotFound, EmailTaken
from app.customers.model import Customer
from app.customers.schemas import CustomerBody, CustomerPatch, CustomerView


class Customers:
    """Everything that can be done with customers."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @transactional()
    async def register(self, body: CustomerBody) -> Customer:
        """Add a customer; raises `EmailTaken`."""
        customer = Customer(name=body.name, email=body.email)
        self.database.session.add(customer)
        await self._store()
        return customer

    async def get(self, customer_id: UUID, *, locked: bool = False) -> Customer:
        """Look a customer up, and lock its row for a change; raises `CustomerNotFound`."""
        async with self.database.reading() as session:
            customer = await session.get(Customer, customer_id, with_for_update=locked)
        if customer is None:
            raise CustomerNotFound
        return customer

    async def page(
        self, query: OffsetQuery, links: PageLinks, *, count: bool
    ) -> OffsetPage[CustomerView]:
        """List customers, oldest first; counting them all costs a query of its own."""
        statement = select(Customer).order_by(Customer.created_at, Customer.id)
        async with self.database.reading() as session:
            found = await session.scalars(statement.offset(query.offset).limit(query.limit + 1))
            customers = list(found)
            total = await session.scalar(select(func.count(Customer.id))) if count else None
        return OffsetPage[CustomerView].of(
            [customer.view for customer in customers], query, links, total
        )

    @transactional()
    async def replace(
        self, customer_id: UUID, body: CustomerBody, precondition: Precondition
    ) -> Customer:
        """Replace all that a client may write."""
        customer = await self._based_on(customer_id, precondition)
        customer.name, customer.email = body.name, body.email
        await self._store()
        return customer

    @transactional()
    async def change(
        self, customer_id: UUID, patch: CustomerPatch, precondition: Precondition
    ) -> Customer:
        """Change what the patch names."""
        customer = await self._based_on(customer_id, precondition)
        for field in patch.model_fields_set:
            setattr(customer, field, getattr(patch, field))
        await self._store()
        return customer

    @transactional()
    async def delete(self, customer_id: UUID, precondition: Precondition) -> None:
        """Delete a customer; raises `CustomerHasOrders`."""
        customer = await self._based_on(customer_id, precondition)
        await self.database.session.delete(customer)
        try:
            await self.database.session.flush()
        except IntegrityError as error:
            if isinstance(error.orig, ForeignKeyViolation):
                raise CustomerHasOrders from error
            raise

    async def _based_on(self, customer_id: UUID, precondition: Precondition) -> Customer:
        customer = await self.get(customer_id, locked=True)
        precondition.check(customer.version)
        return customer

    async def _store(self) -> None:
        try:
            await self.database.session.flush()
        except IntegrityError as error:
            if isinstance(error.orig, UniqueViolation):
                raise EmailTaken from error
            raise
