"""What can go wrong with customers."""

from app.chassis.errors import Conflict, NotFound


class CustomerNotFound(NotFound):
    """There is no such customer."""

    slug, title = "customer-not-found", "Customer not found"


class EmailTaken(Conflict):
    """Another customer has this email address."""

    slug, title = "email-taken", "Email address taken"


class CustomerHasOrders(Conflict):
    """The customer still has orders; delete those first."""

    slug, title = "customer-has-orders", "Customer has orders"
