"""A message has its effect once, and one that cannot be handled is kept and harms no other."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

import psycopg
import psycopg.sql
import pytest
from pydantic import BaseModel
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from app.chassis.database import Database, add_database
from app.chassis.event_log import add_event_log
from app.chassis.events import Events
from app.chassis.logging import add_logging
from app.chassis.outbox import Consumers, ReceivedEvent, add_outbox
from app.chassis.outbox.adapter import connected
from app.chassis.outbox.broker import Message
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.inbox import Inbox, InWork
from app.chassis.outbox.process import Stop
from app.chassis.outbox.settings import InboxSettings
from app.chassis.outbox.worker import Worker
from app.chassis.service import Service, assemble
from tests.kit.brokers import publish
from tests.kit.outbox import Sql

pytestmark = pytest.mark.anyio

TYPE = "thing.happened"
TRACE = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "x-request-id": "r-1"}


class Thing(BaseModel):
    number: int


async def careful(_: "Recorder") -> None:
    pass


async def passes_over_a_failure(recorder: "Recorder") -> None:
    with suppress(DBAPIError):
        await recorder.database.session.execute(text("INSERT INTO nowhere VALUES (1)"))


async def ends_the_transaction(recorder: "Recorder") -> None:
    await recorder.database.session.rollback()


async def cancels_itself(_: "Recorder") -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def raises_what_cannot_be_read(_: "Recorder") -> None:
    class UnreadableError(Exception):
        def __str__(self) -> str:
            raise ValueError

    raise UnreadableError


async def raises_what_is_no_text(_: "Recorder") -> None:
    raise RuntimeError("\ud800")


async def reads_what_is_not_the_messages(_: "Recorder") -> None:
    Thing.model_validate({"number": "a secret"})


async def is_refused_by_another_service(_: "Recorder") -> None:
    raise ConnectionRefusedError("the bank is closed")


CARELESS: dict[Callable[[Any], Awaitable[None]], str] = {
    passes_over_a_failure: "RuntimeError: a statement has failed",
    ends_the_transaction: "RuntimeError: the handler has ended the transaction",
    cancels_itself: "RuntimeError: the handler, or what it waited for, was cancelled",
    raises_what_cannot_be_read: "UnreadableError",
    raises_what_is_no_text: r"RuntimeError: \ud800",
    reads_what_is_not_the_messages: "RuntimeError: not valid: number: Input should be a valid",
    is_refused_by_another_service: "ConnectionRefusedError: the bank is closed",
}


class Recorder:
    """A consumer whose effect is a row; it fails as often as it is told to."""

    def __init__(self, service: Service) -> None:
        self.database = service.get(Database)
        self.events = service.get(Events)
        self.failures = 0
        self.failure: BaseException = RuntimeError("not today")
        self.attempts = 0
        self.seconds = 0.0
        self.careless: Callable[[Recorder], Awaitable[None]] = careful

    async def handle(self, event: ReceivedEvent) -> None:
        self.attempts += 1
        thing = event.data_as(Thing)
        await self.database.session.execute(
            text("INSERT INTO numbers VALUES (:number)"), {"number": thing.number}
        )
        await asyncio.sleep(self.seconds)
        await self.careless(self)
        if self.failures:
            self.failures -= 1
            raise self.failure


class ThingCopied:
    """An event that a handler causes."""

    type: ClassVar[str] = "thing.copied"
    aggregate_type: ClassVar[str] = "thing"

    def __init__(self, aggregate_id: UUID, occurred_at: datetime) -> None:
        self.aggregate_id = aggregate_id
        self.occurred_at = occurred_at

    def data(self) -> dict[str, object]:
        return {"copied": True}


@pytest.fixture
def service(
    monkeypatch: pytest.MonkeyPatch,
    outbox_environment: dict[str, str],
    sql: Sql,
    request: pytest.FixtureRequest,
) -> Service:
    """The chassis with a consumer of the test's own, on the outbox tests' database.

    A test may have settings of its own: see `with_settings`.
    """
    quick = {"INBOX_POLL_INTERVAL": "0.05", "INBOX_BACKOFF": "0.05", "INBOX_MAX_ATTEMPTS": "3"}
    for name, value in {**outbox_environment, **quick, **getattr(request, "param", {})}.items():
        monkeypatch.setenv(name, value)
    sql.execute("CREATE TABLE IF NOT EXISTS numbers (number int)")
    sql.execute("TRUNCATE numbers")
    return assemble([add_logging, add_database, add_event_log, add_outbox])


def with_settings(**settings: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", [settings], indirect=True, ids=["settings"])


@pytest.fixture
def recorder(service: Service) -> Recorder:
    recorder = Recorder(service)
    service.get(Consumers).add("recorder", {TYPE: recorder.handle})
    return recorder


@asynccontextmanager
async def working(service: Service) -> AsyncGenerator[None]:
    """Run a worker for the length of the block, and see that it stops when asked."""
    consumers, settings = service.get(Consumers), service.get(InboxSettings)
    database, stop = service.get(Database), Stop()
    inbox = Inbox(database, settings, consumers)
    async with service.running(), connected(service.get(BrokerSettings), "test") as broker:
        await broker.ready()
        for consumer in consumers.all():
            await broker.reserve(consumer.name, consumer.topic, consumer.handlers)
        worker = Worker(inbox, broker, database, settings)
        working = asyncio.create_task(worker.run(consumers.all(), stop))
        yield
        stop.ask()
        await asyncio.wait_for(working, 10)


async def eventually(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - another process decides
            await asyncio.sleep(0.02)


@pytest.fixture
def send(broker_url: str, topic: str) -> Callable[..., Any]:
    """Publish a message; its broker-side id differs, so that the broker sees no repetition."""

    async def sent(id_: str, number: object = 1, body: bytes | None = None, **more: str) -> None:
        headers = {"ce-id": id_, "ce-type": TYPE, "ce-partitionkey": str(uuid4()), **TRACE, **more}
        content = json.dumps({"number": number}).encode() if body is None else body
        await asyncio.to_thread(publish, broker_url, topic, TYPE, headers, content)

    return sent


def effects(sql: Sql) -> list[int]:
    return [number for (number,) in sql.execute("SELECT number FROM numbers ORDER BY number")]


def set_reachable(server: str, database: str, *, reachable: bool) -> None:
    """Cut the database's connections and let it take no more, as if it were down; or undo that."""
    name = psycopg.sql.Identifier(database)
    allow = psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, reachable)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(allow)
        if not reachable:
            connection.execute(cut, [database])


def failures(sql: Sql) -> list[tuple[Any, ...]]:
    query = "SELECT message_id, status, attempts, reason FROM inbox_failures ORDER BY message_id"
    return sql.execute(query).fetchall()


async def test_repeated_deliveries_have_one_effect_even_at_the_same_time(
    service: Service, recorder: Recorder, send: Callable[..., Any], sql: Sql
) -> None:
    recorder.seconds = 0.2
    async with working(service):
        await asyncio.gather(*(send("same") for _ in range(5)))
        await send("other", 2)
        await eventually(lambda: effects(sql) == [1, 2])
        await send("same")
        await send("last", 3)
        await eventually(lambda: effects(sql) == [1, 2, 3])
    assert recorder.attempts == 3
    assert sql.execute("SELECT count(*) FROM inbox").fetchone() == (3,)
    assert failures(sql) == []


async def test_equal_ids_of_different_sources_are_no_repetition(
    service: Service, recorder: Recorder, send: Callable[..., Any], sql: Sql
) -> None:
    async with working(service):
        recorder.failures = 1  # what failed once has the same identity when it is tried again
        await send("1", 0, **{"ce-source": "/a"})
        await eventually(lambda: recorder.attempts > 1)
        # Alike, as it is open which of the equal ones comes first.
        for id_, number in (("1", 1), ("1", 1), ("2", 3)):
            await send(id_, number, **{"ce-source": "/b"})
        await eventually(lambda: effects(sql) == [0, 1, 3])
        after = {"ce-source": "/a", "ce-partitionkey": "in this order"}
        await send("1", 4, **after)
        await send("3", 5, **after)
        await eventually(lambda: effects(sql) == [0, 1, 3, 5])


@with_settings(DATABASE_LOCK_TIMEOUT="0.1", INBOX_MAX_ATTEMPTS="1")
async def test_what_another_process_is_at_is_no_failure(
    service: Service, recorder: Recorder, outbox_environment: dict[str, str], sql: Sql
) -> None:
    consumers = service.get(Consumers)
    inbox = Inbox(service.get(Database), service.get(InboxSettings), consumers)
    (consumer,) = [one for one in consumers.all() if one.name == "recorder"]
    message = Message("same", TYPE, "", {"ce-id": "same", "ce-type": TYPE}, b'{"number": 1}')
    async with service.running():
        with psycopg.connect(outbox_environment["DATABASE_URL"]) as elsewhere:
            elsewhere.execute("INSERT INTO inbox VALUES ('recorder', 'same')")
            with pytest.raises(InWork):
                await inbox.receive(consumer, message)
            elsewhere.rollback()
        await inbox.receive(consumer, message)
    assert (effects(sql), recorder.attempts, failures(sql)) == ([1], 1, [])


@with_settings(DATABASE_LOCK_TIMEOUT="0.1", INBOX_MAX_ATTEMPTS="1")
async def test_repetitions_of_what_is_in_work_are_no_failures(
    service: Service, recorder: Recorder, send: Callable[..., Any], sql: Sql
) -> None:
    recorder.seconds = 0.5
    async with working(service):
        await asyncio.gather(*(send("same") for _ in range(5)))
        await eventually(lambda: effects(sql) == [1])
    assert recorder.attempts == 1
    assert failures(sql) == []


@with_settings(DATABASE_IDLE_TRANSACTION_TIMEOUT="0.5", INBOX_MAX_ATTEMPTS="1")
async def test_a_handler_may_wait_for_longer_than_another_transaction(
    service: Service, recorder: Recorder, send: Callable[..., Any], sql: Sql
) -> None:
    recorder.seconds = 1.5
    async with working(service):
        await send("a")
        await eventually(lambda: effects(sql) == [1])
    assert failures(sql) == []


@pytest.mark.parametrize("failure", [RuntimeError("not today"), asyncio.CancelledError()])
async def test_a_handler_that_fails_is_tried_again_and_leaves_no_half_effect(
    service: Service,
    recorder: Recorder,
    send: Callable[..., Any],
    sql: Sql,
    failure: BaseException,
) -> None:
    recorder.failures, recorder.failure = 2, failure
    async with working(service):
        await send("a")
        await eventually(lambda: effects(sql) == [1])
        await eventually(lambda: failures(sql) == [])
    assert recorder.attempts == 3


@pytest.mark.parametrize("careless", CARELESS)
@with_settings(INBOX_MAX_ATTEMPTS="2")
async def test_whatever_a_handler_does_is_a_failure_with_its_reason_and_no_half_effect(
    service: Service,
    recorder: Recorder,
    send: Callable[..., Any],
    sql: Sql,
    careless: Callable[[Recorder], Awaitable[None]],
) -> None:
    recorder.careless = careless
    async with working(service):
        await send("a")
        await eventually(lambda: [row[1:3] for row in failures(sql)] == [("dead", 2)])
        recorder.careless = careful
        await send("b", 2)
        await eventually(lambda: effects(sql) == [2])
    assert failures(sql)[0][3].startswith(CARELESS[careless])
    assert "a secret" not in failures(sql)[0][3]
    assert recorder.attempts == 3


@with_settings(DATABASE_LOCK_TIMEOUT="0.1", INBOX_MAX_ATTEMPTS="1")
async def test_what_waits_for_a_lock_uses_up_no_attempt(
    service: Service,
    recorder: Recorder,
    send: Callable[..., Any],
    sql: Sql,
    outbox_environment: dict[str, str],
) -> None:
    async with working(service):
        with psycopg.connect(outbox_environment["DATABASE_URL"]) as migration:
            migration.execute("LOCK TABLE numbers")
            await send("a")
            await eventually(lambda: recorder.attempts > 1)
        await eventually(lambda: effects(sql) == [1])
    assert failures(sql) == []


async def test_a_poison_message_becomes_a_dead_letter_and_can_be_redriven(
    service: Service, recorder: Recorder, send: Callable[..., Any], sql: Sql
) -> None:
    recorder.failures = 3
    async with working(service):
        await send("poison")
        await eventually(
            lambda: failures(sql) == [("poison", "dead", 3, "RuntimeError: not today")]
        )
        await send("next", 2)
        await eventually(lambda: effects(sql) == [2])
        (trace,) = sql.execute("SELECT trace FROM inbox_failures").fetchone() or (None,)
        assert trace == TRACE
        sql.execute(
            "UPDATE inbox_failures SET status = 'retrying', attempts = 0, next_attempt_at = now()"
        )
        await eventually(lambda: effects(sql) == [1, 2])
        await eventually(lambda: failures(sql) == [])


@pytest.mark.usefixtures("recorder")
async def test_a_failure_of_a_type_that_only_another_release_handles_is_left_to_it(
    service: Service, send: Callable[..., Any], sql: Sql
) -> None:
    sql.execute(
        "INSERT INTO inbox_failures"
        " (consumer, message_id, type, headers, body, reason, trace, attempts, next_attempt_at)"
        " VALUES ('recorder', 'new', 'thing.new', '{}', '{}', 'not yet', '{}', 1, '2026-01-01')"
    )
    async with working(service):
        await send("a")
        await eventually(lambda: effects(sql) == [1])
        await asyncio.sleep(0.5)
    assert failures(sql) == [("new", "retrying", 1, "not yet")]


@pytest.mark.usefixtures("recorder")
async def test_what_no_retry_can_mend_is_a_dead_letter_at_once(
    service: Service, send: Callable[..., Any], sql: Sql
) -> None:
    async with working(service):
        await send("a-no-json", body=b"\xff\x00")
        await send("b-no-object", body=b"[1]")
        await send("c-another-schema", number="many")
        await send("d-fine")
        await eventually(lambda: effects(sql) == [1])
        await eventually(lambda: len(failures(sql)) == 3)
    assert [(status, attempts) for _, status, attempts, _ in failures(sql)] == [("dead", 1)] * 3
    assert failures(sql)[2][3].startswith("Malformed: number: Input should be a valid integer")


async def test_no_message_is_too_strange_to_be_kept(
    service: Service, recorder: Recorder, sql: Sql
) -> None:
    recorder.failures = 1
    headers = {"ce-type": TYPE, "content-type": "application/json", "x-\0": "1"}
    message = Message(secrets.token_urlsafe(9000), TYPE, "", headers, b'{"number": 1}')
    consumers = service.get(Consumers)
    (consumer,) = consumers.all()
    inbox = Inbox(service.get(Database), service.get(InboxSettings), consumers)
    async with service.running():
        await inbox.receive(consumer, message)
        assert [status for _, status, _, _ in failures(sql)] == ["retrying"]
        await eventually_retried(inbox)
        await inbox.receive(consumer, message)
    assert effects(sql) == [1]
    assert recorder.attempts == 2


async def eventually_retried(inbox: Inbox) -> None:
    async with asyncio.timeout(15):
        while not await inbox.retry_next():  # noqa: ASYNC110 - the database tells
            await asyncio.sleep(0.02)


async def test_messages_with_an_empty_id_are_no_repetitions_of_each_other(
    service: Service, recorder: Recorder, send: Callable[..., Any], sql: Sql
) -> None:
    recorder.failures = 2
    async with working(service):
        await asyncio.gather(send("", 1), send("", 2))
        await eventually(lambda: effects(sql) == [1, 2])
    assert failures(sql) == []


@pytest.mark.usefixtures("recorder")
async def test_unknown_types_attributes_and_members_are_ignored(
    service: Service, send: Callable[..., Any], sql: Sql
) -> None:
    async with working(service):
        await send("x", **{"ce-type": "thing.exploded", "ce-specversion": "9.9"})
        await send("b", 2, Status="409")  # which a broker may say in its own name
        await send("a", body=b'{"number": 1, "added": "later"}')
        await eventually(lambda: effects(sql) == [1, 2])
    assert failures(sql) == []


async def test_a_message_is_not_lost_while_the_database_cannot_be_used(
    service: Service,
    recorder: Recorder,
    send: Callable[..., Any],
    postgres_url: str,
    outbox_database_url: str,
) -> None:
    name = make_url(outbox_database_url).database or ""
    async with working(service):
        set_reachable(postgres_url, name, reachable=False)
        await send("a")
        await asyncio.sleep(0.5)
        set_reachable(postgres_url, name, reachable=True)
        await eventually(lambda: recorder.attempts)
    with psycopg.connect(outbox_database_url) as sql:
        assert effects(sql) == [1]


async def test_an_event_caused_by_a_handler_carries_on_the_trace(
    service: Service, send: Callable[..., Any], sql: Sql
) -> None:
    async def copy(event: ReceivedEvent) -> None:
        await service.get(Events).publish(ThingCopied(uuid4(), event.time))

    service.get(Consumers).add("copier", {TYPE: copy})
    async with working(service):
        await send("a")
        await eventually(lambda: sql.execute("SELECT 1 FROM outbox").fetchall())
    (trace,) = sql.execute("SELECT trace FROM outbox").fetchone() or ({},)
    assert trace["traceparent"].split("-")[1] == "a" * 32
    assert trace["x-request-id"] == "r-1"


async def test_an_event_is_stored_only_if_its_transaction_commits(
    service: Service, sql: Sql
) -> None:
    database, events = service.get(Database), service.get(Events)

    async def copy_in_transaction(divisor: int = 1) -> None:
        async with database.transaction() as session:
            await events.publish(ThingCopied(uuid4(), datetime.now().astimezone()))
            await session.flush()
            assert 1 / divisor

    async with service.running():
        with pytest.raises(ZeroDivisionError):
            await copy_in_transaction(divisor=0)
        assert sql.execute("SELECT 1 FROM outbox").fetchall() == []
        await copy_in_transaction()
    assert sql.execute("SELECT type, payload FROM outbox").fetchall() == [
        ("thing.copied", {"copied": True})
    ]


@pytest.mark.usefixtures("recorder")
async def test_notes_of_what_was_handled_are_purged_after_their_retention(
    service: Service, sql: Sql
) -> None:
    sql.execute(
        "INSERT INTO inbox SELECT 'recorder', g::text, now() - interval '15 days'"
        " FROM generate_series(1, 2500) AS g"
    )
    sql.execute("INSERT INTO inbox VALUES ('recorder', 'new')")
    async with working(service):
        await eventually(lambda: sql.execute("SELECT count(*) FROM inbox").fetchone() == (1,))
