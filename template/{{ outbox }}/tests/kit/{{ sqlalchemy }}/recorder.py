"""A worker whose only consumer writes a row for each event: `python -m tests.kit.recorder`."""

from sqlalchemy import text

from app.chassis.database import Database, add_database
from app.chassis.event_log import add_event_log
from app.chassis.logging import add_logging
from app.chassis.outbox import Consumers, ReceivedEvent, add_outbox
from app.chassis.outbox.worker import run
from app.chassis.service import Service, assemble
from tests.kit.outbox import EVENT_TYPE


def add_recorder(service: Service) -> None:
    """Consume what `insert_events` causes."""
    database = service.get(Database)

    async def record(event: ReceivedEvent) -> None:
        statement = text("INSERT INTO effects VALUES (:id)")
        await database.session.execute(statement, {"id": event.id})

    service.get(Consumers).add("recorder", {EVENT_TYPE: record})


if __name__ == "__main__":
    run(assemble([add_logging, add_database, add_event_log, add_outbox, add_recorder]))
