"""Whatever fails under the relay and the worker, and whenever: each event has its effect once."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from tests.kit.faults import proxied
from tests.kit.locks import locked, waiting_for_locks
from tests.kit.outages import (
    AGGREGATES,
    FAULTS,
    IMPATIENT,
    PATIENT,
    REDELIVERED_WITHIN_SECONDS,
    Effects,
    Rig,
)
from tests.kit.outbox import Sql, insert_events, statuses
from tests.kit.processes import ServiceProcess, run_command, run_process
from tests.kit.signals import minds, needs_proc
from tests.kit.waiting import eventually

Start = Callable[..., AbstractContextManager[ServiceProcess]]


def has_missed_the_database(relay: ServiceProcess, times: int) -> None:
    eventually(lambda: len(relay.events("database_unavailable")) >= times)


def test_while_the_database_is_away_relay_and_worker_lose_and_repeat_nothing(
    sql: Sql, effects: Effects, rig: Rig
) -> None:
    ids: list[str] = []
    for times, harm in enumerate(FAULTS, 1):
        ids.extend(insert_events(sql, AGGREGATES))
        eventually(lambda: set(effects()) & set(ids[-len(AGGREGATES) :]))
        harm(rig.database)
        ids.extend(insert_events(sql, AGGREGATES))
        has_missed_the_database(rig.relay, times)
        rig.database.restore()
        eventually(lambda: effects() == sorted(ids), REDELIVERED_WITHIN_SECONDS)
        eventually(lambda: set(statuses(sql)) == {"published"}, REDELIVERED_WITHIN_SECONDS)


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
            eventually(lambda: effects() == ids, REDELIVERED_WITHIN_SECONDS)
            assert recorder.terminate() == 0


def bury_events(sql: Sql) -> None:
    sql.execute(
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, status)"
        " SELECT gen_random_uuid(), 'thing', n::text, 'thing.happened', '{}', 'dead'"
        " FROM generate_series(1, 2500) AS n"
    )


def test_redrive_reaches_all_that_is_dead_however_much(
    sql: Sql, outbox_environment: dict[str, str]
) -> None:
    bury_events(sql)
    sql.execute(
        "INSERT INTO inbox_failures"
        " (consumer, message_id, type, headers, body, reason, status, trace, next_attempt_at)"
        " SELECT 'recorder', chr(64 + n), 'thing.happened', '{}', '', 'later', 'dead', '{}', now()"
        " FROM generate_series(1, 2500) AS n"
    )
    redriven = run_command("redrive", **outbox_environment)
    assert '"events": 2500, "letters": 2500' in redriven.stdout
    for table in ("outbox", "inbox_failures"):
        left = f"SELECT count(*) FROM {table} WHERE status = 'dead'"
        assert sql.execute(left).fetchone() == (0,)


def test_redrive_that_is_told_to_stop_says_what_is_left(
    sql: Sql, outbox_environment: dict[str, str], outbox_database_url: str
) -> None:
    bury_events(sql)
    with ExitStack() as stack:
        with locked(outbox_database_url, "outbox"):
            redrive = stack.enter_context(run_process("redrive", outbox_environment))
            eventually(lambda: waiting_for_locks(sql))
            redrive.process.send_signal(signal.SIGTERM)
        assert redrive.process.wait(10) == 128 + signal.SIGTERM
        (line,) = redrive.lines()
    assert line["event"] == "redrive_interrupted"
    assert (line["events"], line["events_left"]) == (1000, 1500)


@needs_proc
def test_redrive_that_is_told_to_stop_before_it_begins_is_not_taken_for_done(
    outbox_environment: dict[str, str],
) -> None:
    with run_process("redrive", outbox_environment, forked=False) as redrive:
        eventually(lambda: minds(redrive, signal.SIGTERM))
        assert redrive.terminate(10) == 128 + signal.SIGTERM


def test_redrive_gives_a_silent_database_up(outbox_environment: dict[str, str]) -> None:
    with proxied(outbox_environment["DATABASE_URL"]) as proxy:
        settings = {**outbox_environment, **IMPATIENT, "DATABASE_URL": proxy.url}
        proxy.blackhole()
        assert run_command("redrive", **settings).returncode == 1
