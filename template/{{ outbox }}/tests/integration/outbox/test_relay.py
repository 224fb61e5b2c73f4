"""The relay delivers what was committed, in order, whatever happens to it meanwhile."""

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from typing import LiteralString

import psycopg
import psycopg.sql
import pytest
from pydantic import ValidationError

from app.chassis.outbox.broker_settings import BrokerSettings
from tests.kit.brokers import Published, restartable, stored, watching
from tests.kit.outbox import EVENT_TYPE, Sql, eventually, insert_events, statuses
from tests.kit.processes import ServiceProcess, run_command

StartRelay = Callable[..., AbstractContextManager[ServiceProcess]]

# Makes the statement that marks rows published hang, after the broker has confirmed them.
HANG = """
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
CREATE TRIGGER hang BEFORE UPDATE ON outbox FOR EACH ROW
WHEN (NEW.status = 'published') EXECUTE FUNCTION hang()
"""
LISTENERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE '%-relay-listener'
"""
CLAIMANTS = "SELECT DISTINCT claimed_by FROM outbox WHERE claimed_by IS NOT NULL"
END_RELAYS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE '%-relay%'
"""


def all_published(sql: Sql) -> bool:
    return set(statuses(sql)) == {"published"}


def numbers_by_key(seen: list[Published]) -> dict[str, list[int]]:
    ordered = sorted(seen, key=lambda message: message.key)
    return {
        key: [json.loads(message.body)["number"] for message in messages]
        for key, messages in groupby(ordered, lambda message: message.key)
    }


def test_an_event_is_on_the_broker_as_a_cloudevent(
    sql: Sql, start_relay: StartRelay, broker_url: str, topic: str
) -> None:
    trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "x-request-id": "r-1"}
    (event_id,) = insert_events(sql, ["42 %"])
    sql.execute("UPDATE outbox SET trace = %s", [json.dumps(trace)])
    with start_relay(SERVICE_NAME="my service"):
        eventually(lambda: all_published(sql))
    (message,) = stored(broker_url, topic)
    assert message.key == "42 %"
    assert json.loads(message.body) == {"number": 0}
    assert message.headers["ce-time"].endswith("Z")
    assert {name: message.headers[name] for name in message.headers if name != "ce-time"} == {
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-type": EVENT_TYPE,
        "ce-source": "/my%20service",
        "ce-subject": "42%20%25",
        "ce-partitionkey": "42%20%25",
        "content-type": "application/json",
        **trace,
    }


def test_an_event_leaves_as_soon_as_it_is_committed(
    sql: Sql, start_relay: StartRelay, broker_url: str, topic: str
) -> None:
    with start_relay(OUTBOX_POLL_INTERVAL="60"), watching(broker_url, topic) as seen:
        insert_events(sql, ["first"])
        eventually(lambda: len(seen) == 1)
        started = time.monotonic()
        insert_events(sql, ["second"])
        eventually(lambda: len(seen) == 2)
        assert time.monotonic() - started < 20


def test_a_transaction_that_commits_late_is_not_lost(
    sql: Sql, start_relay: StartRelay, outbox_database_url: str
) -> None:
    with psycopg.connect(outbox_database_url) as late, start_relay():
        insert_events(late, ["late"])
        insert_events(sql, ["early"])
        eventually(lambda: statuses(sql) == ["published"])
        late.commit()
        eventually(lambda: statuses(sql) == ["published", "published"])


def test_a_database_that_was_read_only_for_a_while_is_used_again(
    sql: Sql, start_relay: StartRelay
) -> None:
    (name,) = sql.execute("SELECT current_database()").fetchone() or ("",)
    setting = psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    named = psycopg.sql.Identifier(str(name))
    sql.execute(setting.format(named, "on"))
    try:
        with start_relay() as relay:
            insert_events(sql, ["a"])
            eventually(lambda: relay.events("database_unavailable"))
            sql.execute(setting.format(named, "off"))
            eventually(lambda: statuses(sql) == ["published"])
    finally:
        sql.execute(setting.format(named, "off"))


def test_relays_side_by_side_repeat_nothing_and_keep_the_order(
    sql: Sql, start_relay: StartRelay, broker_url: str, topic: str
) -> None:
    aggregates = [f"a{i % 100}" for i in range(10_000)]
    relaxed = {"OUTBOX_LEASE": "30", "OUTBOX_PUBLISH_TIMEOUT": "10"}
    with (
        watching(broker_url, topic) as seen,
        start_relay(**relaxed),
        start_relay(**relaxed),
    ):
        for start in range(0, 10_000, 1000):
            insert_events(sql, aggregates[start : start + 1000])
        eventually(lambda: all_published(sql), seconds=60)
        eventually(lambda: len(seen) >= 10_000)
    assert len(seen) == len({message.id for message in seen}) == 10_000
    for key, numbers in numbers_by_key(seen).items():
        first = int(key.removeprefix("a"))
        assert numbers == [*range(first, 1000, 100)] * 10


def test_relays_side_by_side_share_the_work(sql: Sql, start_relay: StartRelay) -> None:
    turns: Counter[str] = Counter()

    def over() -> bool:
        turns.update(str(relay) for (relay,) in sql.execute(CLAIMANTS))
        return all_published(sql)

    with start_relay(), start_relay():
        eventually(lambda: sql.execute(LISTENERS).fetchone() == (2,))
        insert_events(sql, [f"a{i}" for i in range(10_000)])
        eventually(over, seconds=60)
    assert len(turns) == 2
    assert min(turns.values()) > turns.total() / 50


def test_a_crash_between_publishing_and_marking_repeats_the_same_id(
    sql: Sql, start_relay: StartRelay, broker_url: str, topic: str
) -> None:
    sql.execute(HANG)
    try:
        with watching(broker_url, topic) as seen:
            with start_relay() as relay:
                (event_id,) = insert_events(sql, ["a"])
                eventually(lambda: len(seen) == 1)
                relay.kill()
            assert statuses(sql) == ["pending"]
            sql.execute(END_RELAYS)
            sql.execute("DROP TRIGGER hang ON outbox")
            with start_relay():
                eventually(lambda: all_published(sql))
                eventually(lambda: [message.id for message in seen] == [event_id, event_id])
    finally:
        sql.execute("DROP FUNCTION hang CASCADE")


def test_sigterm_leaves_nothing_claimed(
    sql: Sql, start_relay: StartRelay, broker_url: str, topic: str
) -> None:
    with watching(broker_url, topic) as seen:
        with start_relay(OUTBOX_BATCH_SIZE="50", OUTBOX_LEASE="60") as relay:
            ids = insert_events(sql, [f"a{i % 500}" for i in range(5000)])
            eventually(lambda: seen)
            assert relay.terminate(10) == 0
        claimed = "SELECT count(*) FROM outbox WHERE status = 'pending' AND available_at > now()"
        assert sql.execute(claimed).fetchone() == (0,)
        with start_relay():
            eventually(lambda: all_published(sql), seconds=30)
        eventually(lambda: len(seen) >= 5000)
    assert sorted(message.id for message in seen) == sorted(ids)


def test_while_the_broker_is_down_events_wait_and_use_up_no_attempt(
    sql: Sql, start_relay: StartRelay, topic: str, tmp_path: Path
) -> None:
    broker = restartable(tmp_path / "broker")
    with start_relay(BROKER_URL=broker.url) as relay:
        first = insert_events(sql, ["a", "b"])
        eventually(lambda: relay.events("broker_unavailable"))
        with broker.up():
            eventually(lambda: all_published(sql))
        eventually(lambda: len(relay.events("broker_unavailable")) == 2)
        second = insert_events(sql, ["a", "b"])
        time.sleep(1)
        assert statuses(sql)[2:] == ["pending", "pending"]
        with broker.up():
            eventually(lambda: all_published(sql))
            assert {m.id for m in stored(broker.url, topic)} == {*first, *second}
        assert sql.execute("SELECT DISTINCT attempts FROM outbox").fetchall() == [(1,)]
        eventually(lambda: len(relay.events("broker_unavailable")) <= 3)


def test_the_relay_survives_the_loss_of_its_connections_to_the_database(
    sql: Sql, start_relay: StartRelay
) -> None:
    with start_relay(OUTBOX_POLL_INTERVAL="60") as relay:
        insert_events(sql, ["a"])
        eventually(lambda: all_published(sql))
        sql.execute(END_RELAYS)
        insert_events(sql, ["b"])
        eventually(lambda: all_published(sql))
        assert relay.terminate() == 0


def test_the_relay_survives_what_the_database_says_of_the_table(
    sql: Sql, start_relay: StartRelay
) -> None:
    with start_relay() as relay:
        sql.execute("ALTER TABLE outbox RENAME TO elsewhere")
        try:
            eventually(lambda: relay.events("database_unavailable"))
        finally:
            sql.execute("ALTER TABLE elsewhere RENAME TO outbox")
        insert_events(sql, ["a"])
        eventually(lambda: all_published(sql))
        assert relay.terminate() == 0


def test_an_address_may_name_the_driver(
    sql: Sql, start_relay: StartRelay, outbox_environment: dict[str, str]
) -> None:
    address = outbox_environment["DATABASE_URL"].replace("://", "+psycopg://", 1)
    insert_events(sql, ["a"])
    with start_relay(DATABASE_URL=address):
        eventually(lambda: all_published(sql))


def test_an_event_that_is_refused_dies_and_stops_only_its_own_aggregate(
    sql: Sql, start_relay: StartRelay, outbox_environment: dict[str, str]
) -> None:
    with start_relay(OUTBOX_MAX_EVENT_BYTES="100") as relay:
        insert_events(sql, ["poisoned"], json.dumps({"text": "x" * 100}))
        insert_events(sql, ["poisoned", "healthy"])
        eventually(lambda: statuses(sql) == ["dead", "pending", "published"])
        dead = sql.execute("SELECT attempts, error FROM outbox WHERE status = 'dead'").fetchone()
        assert dead is not None
        assert dead[0] == 2
        assert dead[1].endswith("more than OUTBOX_MAX_EVENT_BYTES")
        eventually(lambda: len(relay.events("event_dead")) == 1)
        sql.execute("""UPDATE outbox SET payload = '{"number": 0}' WHERE status = 'dead'""")
        assert run_command("redrive", **outbox_environment).returncode == 0
        eventually(lambda: all_published(sql))


@pytest.mark.parametrize(
    "wrongly",
    [
        "trace = 'null'",
        """trace = '{"x-request-id": 5}'""",
        """trace = '{"traceparent": null}'""",
        "created = 'infinity'",
        "created = '0044-03-15 BC'",
    ],
)
def test_a_row_that_is_no_event_dies_and_stops_no_other(
    sql: Sql, start_relay: StartRelay, wrongly: LiteralString
) -> None:
    (wrong,) = insert_events(sql, ["wrong"])
    sql.execute(f"UPDATE outbox SET {wrongly} WHERE id = %s", [wrong])
    insert_events(sql, ["right"])
    with start_relay():
        eventually(lambda: statuses(sql) == ["dead", "published"])


def test_what_waits_behind_a_dead_event_hides_no_other(sql: Sql, start_relay: StartRelay) -> None:
    ids = insert_events(sql, [*["stuck"] * 3000, "free"])
    sql.execute("UPDATE outbox SET status = 'dead' WHERE id = %s", [ids[0]])
    with start_relay(OUTBOX_POLL_INTERVAL="60", OUTBOX_BATCH_SIZE="20"):
        eventually(lambda: statuses(sql)[-1] == "published")
    assert statuses(sql)[:-1] == ["dead", *["pending"] * 2999]


def test_what_was_published_is_purged_after_its_retention_and_the_rest_is_kept(
    sql: Sql, start_relay: StartRelay
) -> None:
    insert_events(sql, [f"a{i}" for i in range(2500)])
    sql.execute("UPDATE outbox SET status = 'published', published_at = now() - interval '8 days'")
    kept = insert_events(sql, ["new", "dead"])
    sql.execute("UPDATE outbox SET status = 'dead' WHERE aggregateid = 'dead'")
    with start_relay(OUTBOX_PURGE_INTERVAL="0.1"):
        eventually(lambda: len(statuses(sql)) == 2)
    assert {str(id_) for (id_,) in sql.execute("SELECT id FROM outbox")} == set(kept)


@pytest.mark.parametrize("command", ["relay", "worker"])
def test_all_that_keeps_the_process_from_its_work_is_named_at_once(
    command: str, outbox_environment: dict[str, str]
) -> None:
    wrong = {"BROKER_URL": "", "OUTBOX_LEASE": "2", "INBOX_RETENTION": "60"}
    wrong |= {"OUTBOX_BATCH_SIZE": "eighty", "PORT": "eighty"}
    done = run_command(command, **{**outbox_environment, **wrong})
    assert done.returncode == 2
    assert "BROKER_URL: Field required" in done.stderr
    assert all(f"{variable}: " in done.stderr for variable in wrong)


def test_an_address_of_another_kind_of_broker_is_refused(
    outbox_environment: dict[str, str],
) -> None:
    done = run_command("relay", **{**outbox_environment, "BROKER_URL": "http://localhost"})
    assert done.returncode == 2
    assert "BROKER_URL: must be like" in done.stderr


@pytest.mark.parametrize("place", ["host:99999", "host:port"])
def test_an_address_with_a_port_that_there_cannot_be_is_refused(
    broker_url: str, place: str
) -> None:
    scheme = broker_url.partition("://")[0]
    with pytest.raises(ValidationError, match="must be like"):
        BrokerSettings.model_validate({"url": f"{scheme}://{place}"})
