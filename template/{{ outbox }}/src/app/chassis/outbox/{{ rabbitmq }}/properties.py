"""What cannot be read of a message's properties counts as absent.

RabbitMQ passes on what a publisher wrote, also a time that there is not, or text that is no UTF-8.
The client would end the connection over that, and the broker would count all that was on its way
as delivered in vain: together with such a message, the good ones would soon be dead letters.
"""

import structlog
from pamqp.commands import Basic

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class ReadableProperties(Basic.Properties):
    """Properties up to the first that cannot be read."""

    def unmarshal(self, flags: int, data: bytes) -> None:
        """Read what can be read."""
        try:
            super().unmarshal(flags, data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the message's
            log.warning("properties_unreadable", error=type(error).__name__)


def tolerate_unreadable() -> None:
    """Have the client read all messages of this process in that way."""
    Basic.Properties = ReadableProperties
