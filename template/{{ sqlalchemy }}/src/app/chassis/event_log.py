"""Significant business events in the log (guide 5.2), written once their change has committed."""

import structlog

from app.chassis.database import Database
from app.chassis.events import Event, Events
from app.chassis.service import Service

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.events")


def add_event_log(service: Service) -> None:
    """Provide `Events`, with the log as its first subscriber."""
    events = Events()
    database = service.get(Database)

    async def log_after_commit(event: Event) -> None:
        database.after_commit(lambda: log.info(event.type, aggregate_id=str(event.aggregate_id)))

    events.subscribe(log_after_commit)
    service.provide(events)
