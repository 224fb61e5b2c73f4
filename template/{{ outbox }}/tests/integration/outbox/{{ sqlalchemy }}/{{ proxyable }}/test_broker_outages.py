"""The broker may be away, or fall silent, at any moment: nothing is lost, nothing counts twice."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.kit.brokers import delete_topic, stored
from tests.kit.faults import proxied
from tests.kit.locks import locked, waiting_for_locks
from tests.kit.outages import (
    AGGREGATES,
    FAULTS,
    PATIENT,
    REDELIVERED_WITHIN_SECONDS,
    Effects,
    Rig,
)
from tests.kit.outbox import Sql, insert_events, statuses
from tests.kit.processes import ServiceProcess
from tests.kit.waiting import eventually

Start = Callable[..., AbstractContextManager[ServiceProcess]]


def published(sql: Sql) -> set[str]:
    rows = sql.execute("SELECT id FROM outbox WHERE status = 'published'")
    return {str(id_) for (id_,) in rows}


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
        eventually(lambda: effects() == sorted(ids), REDELIVERED_WITHIN_SECONDS)
        eventually(lambda: set(statuses(sql)) == {"published"}, REDELIVERED_WITHIN_SECONDS)
    assert sql.execute("SELECT DISTINCT attempts FROM outbox").fetchall() == [(1,)]


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
            eventually(lambda: recorder.events("event_repeated"), REDELIVERED_WITHIN_SECONDS)
            assert recorder.terminate() == 0
    assert effects() == ids


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


def test_a_topic_that_was_deleted_is_made_again_and_read_from(
    sql: Sql,
    effects: Effects,
    start_relay: Start,
    start_recorder: Start,
    outbox_environment: dict[str, str],
) -> None:
    def goes_on() -> bool:
        insert_events(sql, ["a"])
        return len(effects()) > 1

    with start_relay(), start_recorder():
        insert_events(sql, ["a"])
        eventually(lambda: len(effects()) == 1)
        delete_topic(outbox_environment["BROKER_URL"], outbox_environment["BROKER_TOPIC"])
        eventually(goes_on)
        eventually(lambda: set(statuses(sql)) == {"published"})
    assert sql.execute("SELECT max(attempts) FROM outbox").fetchone() == (1,)
