"""Whatever fails under the relay and the worker, and whenever: each event has its effect once."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from tests.kit.brokers import stored
from tests.kit.faults import FaultProxy, proxied
from tests.kit.locks import locked, waiting_for_locks
from tests.kit.outbox import Sql, insert_events, statuses
from tests.kit.processes import ServiceProcess, run_process
from tests.kit.waiting import eventually

Start = Callable[..., AbstractContextManager[ServiceProcess]]

Effects = Callable[[], list[str]]

FAULTS = (FaultProxy.cut, FaultProxy.reset, FaultProxy.blackhole)
IMPATIENT = {
    "OUTBOX_BATCH_SIZE": "20",
    "DATABASE_STATEMENT_TIMEOUT": "1",
    "DATABASE_CONNECT_TIMEOUT": "1",
    "BROKER_ACK_WAIT": "3",
    "BROKER_CONNECT_TIMEOUT": "1",
}
PATIENT = {"DATABASE_STATEMENT_TIMEOUT": "60", "DATABASE_LOCK_TIMEOUT": "60"}
AGGREGATES = [f"a{i % 40}" for i in range(200)]


@pytest.fixture(autouse=True)
def effects(sql: Sql) -> Generator[Effects]:
    """The ids of the events that have had their effect, as often as they had it."""
    sql.execute("CREATE TABLE effects (id text)")
    yield lambda: [id_ for (id_,) in sql.execute("SELECT id FROM effects ORDER BY id")]
    sql.execute("DROP TABLE effects")


@pytest.fixture
def start_recorder(outbox_environment: dict[str, str]) -> Start:
    """Start a worker that records the events it handles."""

    def start(**settings: str) -> AbstractContextManager[ServiceProcess]:
        environment = {**outbox_environment, **IMPATIENT, **settings}
        return run_process("worker", environment, "tests.kit.recorder")

    return start


def published(sql: Sql) -> set[str]:
    rows = sql.execute("SELECT id FROM outbox WHERE status = 'published'")
    return {str(id_) for (id_,) in rows}


@dataclass
class Rig:
    """A relay and a worker whose broker and database can be harmed."""

    broker: FaultProxy
    database: FaultProxy
    relay: ServiceProcess
    recorder: ServiceProcess


@pytest.fixture
def rig(
    outbox_environment: dict[str, str], start_relay: Start, start_recorder: Start
) -> Generator[Rig]:
    with (
        proxied(outbox_environment["BROKER_URL"]) as broker,
        proxied(outbox_environment["DATABASE_URL"]) as database,
    ):
        urls = {"BROKER_URL": broker.url, "DATABASE_URL": database.url}
        with start_relay(**IMPATIENT, **urls) as relay, start_recorder(**urls) as recorder:
            yield Rig(broker, database, relay, recorder)
            assert relay.terminate() == recorder.terminate() == 0


def test_while_the_broker_is_away_events_wait_and_are_handled_once_afterwards(
    sql: Sql, effects: Effects, rig: Rig, broker_url: str, topic: str
) -> None:
    ids: list[str] = []
    for harm in FAULTS:
        ids.extend(insert_events(sql, AGGREGATES))
        eventually(lambda: set(effects()) & set(ids[-len(AGGREGATES) :]))
        harm(rig.broker)
        ids.extend(insert_events(sql, AGGREGATES))
        eventually(lambda: rig.relay.lines()[-1]["event"].endswith("_unavailable"))
        assert published(sql) <= {message.id for message in stored(broker_url, topic)}
        rig.broker.restore()
        eventually(lambda: effects() == sorted(ids))
        eventually(lambda: set(statuses(sql)) == {"published"})
    assert sql.execute("SELECT DISTINCT attempts FROM outbox").fetchall() == [(1,)]


def test_while_the_database_is_away_relay_and_worker_lose_and_repeat_nothing(
    sql: Sql, effects: Effects, rig: Rig
) -> None:
    ids: list[str] = []
    for harm in FAULTS:
        ids.extend(insert_events(sql, AGGREGATES))
        eventually(lambda: set(effects()) & set(ids[-len(AGGREGATES) :]))
        harm(rig.database)
        ids.extend(insert_events(sql, AGGREGATES))
        eventually(lambda: rig.relay.lines()[-1]["event"] == "database_unavailable")
        rig.database.restore()
        eventually(lambda: effects() == sorted(ids))
        eventually(lambda: set(statuses(sql)) == {"published"})


def test_a_worker_that_dies_between_commit_and_acknowledgement_repeats_nothing(
    sql: Sql,
    effects: Effects,
    start_relay: Start,
    start_recorder: Start,
    outbox_environment: dict[str, str],
) -> None:
    broker_url, database_url = (
        outbox_environment[f"{name}_URL"] for name in ("BROKER", "DATABASE")
    )
    with start_relay(), proxied(broker_url) as proxy:
        with start_recorder(**PATIENT, BROKER_URL=proxy.url) as recorder:
            with locked(database_url, "effects"):
                ids = insert_events(sql, ["a"])
                eventually(lambda: waiting_for_locks(sql))
                proxy.blackhole()
            eventually(lambda: effects() == ids)
            recorder.kill()
        proxy.restore()
        with start_recorder() as recorder:
            eventually(lambda: recorder.events("event_repeated"))
            assert recorder.terminate() == 0
    assert effects() == ids


def test_a_worker_that_dies_in_the_middle_of_a_handler_leaves_the_event_to_others(
    sql: Sql,
    effects: Effects,
    start_relay: Start,
    start_recorder: Start,
    outbox_database_url: str,
) -> None:
    with start_relay():
        with start_recorder(**PATIENT) as recorder:
            with locked(outbox_database_url, "effects"):
                ids = insert_events(sql, ["a"])
                eventually(lambda: waiting_for_locks(sql))
                recorder.kill()
            eventually(lambda: not waiting_for_locks(sql))
            assert effects() == []
        with start_recorder() as recorder:
            eventually(lambda: effects() == ids)
            assert recorder.terminate() == 0


def test_what_a_dead_relay_had_claimed_is_free_for_others_when_its_lease_ends(
    sql: Sql, start_relay: Start, broker_url: str, topic: str
) -> None:
    claimed = "SELECT count(*) FROM outbox WHERE claimed_by IS NOT NULL AND available_at > now()"
    with proxied(broker_url) as proxy, start_relay(BROKER_URL=proxy.url) as dying:
        insert_events(sql, ["first"])
        eventually(lambda: statuses(sql) == ["published"])
        proxy.blackhole()
        ids = insert_events(sql, ["a", "b"])
        eventually(lambda: sql.execute(claimed).fetchone() == (2,))
        dying.kill()
        with start_relay():
            eventually(lambda: set(statuses(sql)) == {"published"})
    assert {message.id for message in stored(broker_url, topic)} >= set(ids)
