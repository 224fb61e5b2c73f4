"""What can go wrong with orders."""

from app.chassis.errors import Conflict, NotFound, ValidationFailed, Violation


class OrderNotFound(NotFound):
    """There is no such order."""

    slug, title = "order-not-found", "Order not found"


class OrderTransitionNotAllowed(Conflict):
    """An order cannot go from its present status to the one that was asked for."""

    slug, title = "order-transition-not-allowed", "Order transition not allowed"


class UnknownCustomer(ValidationFailed):
    """The order names a customer that does not exist."""

    def __init__(self) -> None:
        violation = Violation.at(("body", "customer_id"), "is not the id of a customer")
        super().__init__("The order names an unknown customer.", errors=[violation])
