"""The inbox: each message has its effect once for each consumer, and a bad one harms no other."""

import asyncio
import hashlib
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import structlog
from psycopg.errors import LockNotAvailable, QueryCanceled
from pydantic import ValidationError
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    and_,
    delete,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from app.chassis.database import Database
from app.chassis.database.failures import DatabaseUnavailable
from app.chassis.logging import without_details
from app.chassis.outbox import cloudevents
from app.chassis.outbox.backoff import pause
from app.chassis.outbox.broker import Message
from app.chassis.outbox.cloudevents import Malformed
from app.chassis.outbox.consumers import Consumer, Consumers
from app.chassis.outbox.process import is_wanted_to_end
from app.chassis.outbox.settings import InboxSettings
from app.chassis.outbox.tables import InboxEntry, InboxFailure

PURGE_BATCH = 1000
REASON_LENGTH = 500
LONGEST_ID = 500

_TRACE_ID = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-")

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

# The transaction idles for as long as the handler waits for something else than the database.
NOTE = text("""
INSERT INTO inbox (consumer, message_id)
SELECT :consumer, :message_id
FROM (SELECT set_config('idle_in_transaction_session_timeout', :patience, true)) AS patient
ON CONFLICT DO NOTHING
RETURNING message_id
""")


class InWork(Exception):
    """Another worker is at this message, and may yet fail: the broker has to keep it."""


class Inbox:
    """Handles messages: the effect and the note that it has happened commit together."""

    def __init__(self, database: Database, settings: InboxSettings, consumers: Consumers) -> None:
        self._database = database
        self._settings = settings
        self._consumers = consumers

    async def receive(self, consumer: Consumer, message: Message) -> None:
        """Handle a message of the broker's; afterwards the broker may forget it.

        A message that cannot be handled is kept in `inbox_failures`.

        Raises:
            DatabaseUnavailable: the database cannot be used; the broker has to keep the message.
            InWork: another worker is at it.
        """
        message = _keepable(message)
        identity = _identity_of(message)
        with _logged_as(consumer, message):
            if message.type not in consumer.handlers:
                log.info("event_ignored")
                return
            try:
                async with self._database.transaction():
                    await self._handle(consumer, message, identity)
            except (InWork, DatabaseUnavailable):
                raise
            except Exception as error:  # noqa: BLE001 - whatever a handler raises, others go on
                await self._keep(consumer, message, identity, error)

    async def retry_next(self) -> bool:
        """Try the failure again whose time came first; returns whether there was one.

        Several workers share the work: a failure that one of them is at is passed over.
        """
        failure = await self._next_due()
        if failure is None:
            return False
        consumer = self._consumers.get(failure.consumer)
        assert consumer is not None
        identity = failure.message_id
        id_ = failure.headers.get("ce-id") or identity
        message = _keepable(Message(id_, failure.type, "", failure.headers, failure.body))
        with _logged_as(consumer, message):
            try:
                async with self._database.transaction():
                    if await self._take(failure):
                        await self._handle(consumer, message, identity)
            except InWork:
                log.info("event_in_work")
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a handler raises, others go on
                await self._postpone(failure, error)
        return True

    async def purge(self) -> int:
        """Delete a batch of notes older than the retention; returns how many there were."""
        key = tuple_(InboxEntry.consumer, InboxEntry.message_id)
        old = (
            select(InboxEntry.consumer, InboxEntry.message_id)
            .where(InboxEntry.handled_at < func.now() - self._settings.retention)
            .order_by(InboxEntry.handled_at)
            .limit(PURGE_BATCH)
            .with_for_update(skip_locked=True)
        )
        async with self._database.transaction() as session:
            deleted = await session.execute(delete(InboxEntry).where(key.in_(old)))
            return cast("CursorResult[Any]", deleted).rowcount

    async def _handle(self, consumer: Consumer, message: Message, identity: str) -> None:
        """Run the handler, unless it has run.

        A duplicate waits here until the first commits, but not longer than for any lock.
        """
        values = {
            "consumer": consumer.name,
            "message_id": identity,
            "patience": f"{2 * self._settings.handler_timeout.total_seconds()}s",
        }
        try:
            noted = await self._database.session.scalar(NOTE, values)
        except DBAPIError as error:
            if isinstance(error.orig, (LockNotAvailable, QueryCanceled)):
                raise InWork from error
            raise
        if noted is None:
            log.info("event_repeated")
            return
        handler, event = consumer.handlers[message.type], cloudevents.read(message)
        session = self._database.session.sync_session
        transaction = session.get_transaction()
        # A task of its own: were it to cancel the one it runs in, that must not be the worker's.
        running = asyncio.ensure_future(handler(event))
        try:
            async with asyncio.timeout(self._settings.handler_timeout.total_seconds()):
                await running
        except ValidationError as error:
            # Not the error itself: it quotes what is not valid.
            told = RuntimeError(f"not valid: {cloudevents.complaints(error)}")
            raise told.with_traceback(error.__traceback__) from None
        except asyncio.CancelledError:
            if is_wanted_to_end():
                raise
            # Else the consumer would end with it, and nobody would hear of it.
            raise RuntimeError("the handler, or what it waited for, was cancelled") from None
        if session.get_transaction() is not transaction:
            raise RuntimeError("the handler has ended the transaction that it is part of")

    async def _keep(
        self, consumer: Consumer, message: Message, identity: str, error: Exception
    ) -> None:
        """Keep a message that failed; one that was kept before stays as it is."""
        values = {
            "consumer": consumer.name,
            "message_id": identity,
            "type": message.type,
            "headers": dict(message.headers),
            "body": message.body,
            "trace": cloudevents.trace_of(message.headers),
            **self._after_failure(1, error),
        }
        async with self._database.transaction() as session:
            await session.execute(insert(InboxFailure).values(values).on_conflict_do_nothing())
        _tell(values, error)

    async def _next_due(self) -> InboxFailure | None:
        # What this release has no handler for is left to one that has.
        handled = [(each.name, type_) for each in self._consumers.all() for type_ in each.handlers]
        async with self._database.transaction() as session:
            failure = await session.scalar(
                select(InboxFailure)
                .where(
                    InboxFailure.status == "retrying",
                    InboxFailure.next_attempt_at <= func.now(),
                    tuple_(InboxFailure.consumer, InboxFailure.type).in_(handled),
                )
                .order_by(InboxFailure.next_attempt_at)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if failure is not None:
                # Should this worker die now, another one tries when the handler must have ended.
                failure.next_attempt_at = func.now() + 2 * self._settings.handler_timeout
            return failure

    async def _take(self, failure: InboxFailure) -> bool:
        """Remove the failure in the transaction of its handler; false if it is gone already."""
        gone = await self._database.session.scalar(
            delete(InboxFailure).where(_is(failure)).returning(InboxFailure.message_id)
        )
        return gone is not None

    async def _postpone(self, failure: InboxFailure, error: Exception) -> None:
        values = self._after_failure(failure.attempts + 1, error)
        async with self._database.transaction() as session:
            await session.execute(update(InboxFailure).where(_is(failure)).values(values))
        _tell(values, error)

    def _after_failure(self, attempts: int, error: Exception) -> dict[str, Any]:
        """What is written down about a failure: when it is tried again, or that it never is."""
        settings = self._settings
        # What is malformed stays so until another release can read it.
        dead = attempts >= settings.max_attempts or isinstance(error, Malformed)
        return {
            "attempts": attempts,
            "reason": _reason(error),
            "status": "dead" if dead else "retrying",
            "next_attempt_at": func.now()
            + pause(attempts, settings.backoff, settings.backoff_limit),
        }


def _reason(error: Exception) -> str:
    """Write an error down as the table takes it, whatever its text is made of."""
    try:
        text = without_details(f"{type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - the failure counts, not what it says
        text = type(error).__name__
    return text[:REASON_LENGTH].replace("\0", "").encode(errors="backslashreplace").decode()


def _identity_of(message: Message) -> str:
    """What a repetition has in common with the first: ids differ within a source (CloudEvents)."""
    source, id_ = (message.headers.get(name) for name in ("ce-source", "ce-id"))
    return _short(f"{source} {id_}") if source and id_ else message.id


def _keepable(message: Message) -> Message:
    """Make it fit into the tables: no index takes a very long id, and no text a NUL."""
    headers = {name.replace("\0", ""): value for name, value in message.headers.items()}
    return message._replace(id=_short(message.id), headers=headers)


def _short(id_: str) -> str:
    if len(id_) <= LONGEST_ID:
        return id_
    return hashlib.sha256(id_.encode(errors="surrogatepass")).hexdigest()


def _is(failure: InboxFailure) -> ColumnElement[bool]:
    return and_(
        InboxFailure.consumer == failure.consumer, InboxFailure.message_id == failure.message_id
    )


def _tell(values: Mapping[str, Any], error: Exception) -> None:
    stack = None if isinstance(error, Malformed) else error
    if values["status"] == "dead":
        log.error(
            "event_dead", reason=values["reason"], attempts=values["attempts"], exc_info=stack
        )
    else:
        log.warning("event_failed", attempts=values["attempts"], exc_info=stack)


@contextmanager
def _logged_as(consumer: Consumer, message: Message) -> Generator[None]:
    """Log what the block does, and the events that it causes, under the trace of the message."""
    with structlog.contextvars.bound_contextvars(
        consumer=consumer.name,
        event_id=message.id,
        event_type=message.type,
        **_trace_context(message.headers),
    ):
        yield


def _trace_context(headers: Mapping[str, str]) -> dict[str, str]:
    found = _TRACE_ID.match(headers.get("traceparent", ""))
    context = {"trace_id": found[1]} if found else {}
    if request_id := headers.get("x-request-id"):
        context["request_id"] = request_id
    return context
