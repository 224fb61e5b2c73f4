"""Stores each domain event in the outbox, in the transaction that caused it."""

import secrets

import structlog

from app.chassis.database import Database
from app.chassis.events import Event, Events
from app.chassis.identifiers import new_id
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.consumers import Consumers
from app.chassis.outbox.settings import HeartbeatSettings, InboxSettings, OutboxSettings
from app.chassis.outbox.tables import OutboxEntry
from app.chassis.service import Service
from app.chassis.settings import ConfigurationError


def add_outbox(service: Service) -> None:
    """Subscribe the outbox to the domain events, and provide `Consumers`.

    The broker is the relay's and the worker's concern: while it is down, requests succeed and
    their events wait in the table.
    """
    inbox = service.load(InboxSettings)
    broker = service.load(BrokerSettings)
    if inbox.retention <= broker.retention:
        reason = "must be longer than BROKER_RETENTION: a message may be redelivered for that long"
        raise ConfigurationError({"INBOX_RETENTION": reason})
    service.load(OutboxSettings)
    service.load(HeartbeatSettings)
    service.provide(Consumers(broker.topic))
    database = service.get(Database)

    async def store(event: Event) -> None:
        database.session.add(
            OutboxEntry(
                id=new_id(),
                aggregatetype=event.aggregate_type,
                aggregateid=str(event.aggregate_id),
                type=event.type,
                payload=event.data(),
                created=event.occurred_at,
                trace=_trace(),
            )
        )

    service.get(Events).subscribe(store)


def need_broker(service: Service) -> None:
    """Let the process not start without the address of a broker."""
    # The outbox may not have come to load it: it stops at what it cannot use.
    _ = service.load(BrokerSettings).servers


def need_heartbeat(service: Service) -> None:
    """Let the process not start if it could not show that it is alive; others share the setting."""
    service.load(HeartbeatSettings).check()


def _trace() -> dict[str, str]:
    """What ties the event to the request that caused it, as headers for those who consume it."""
    context = structlog.contextvars.get_contextvars()
    trace: dict[str, str] = {}
    if trace_id := context.get("trace_id"):
        trace["traceparent"] = f"00-{trace_id}-{secrets.token_hex(8)}-00"
    if request_id := context.get("request_id"):
        trace["x-request-id"] = str(request_id)
    return trace
