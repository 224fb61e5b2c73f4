"""A relay and a worker under which things fail, and the effects that their events have had."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.kit.faults import FaultProxy
from tests.kit.outbox import Sql
from tests.kit.processes import ServiceProcess, run_process
from tests.kit.waiting import eventually

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
REDELIVERED_WITHIN_SECONDS = 60


@dataclass
class Rig:
    """A relay and a worker whose broker and database can be harmed."""

    broker: FaultProxy
    database: FaultProxy
    relay: ServiceProcess
    recorder: ServiceProcess


@contextmanager
def recording(environment: Mapping[str, str]) -> Generator[ServiceProcess]:
    """Run a worker that writes down the events it handles, and has its place on the broker."""
    with run_process("worker", {**IMPATIENT, **environment}, "tests.kit.recorder") as recorder:
        eventually(lambda: recorder.events("subscribed"))
        yield recorder


@contextmanager
def effects_of(sql: Sql) -> Generator[Effects]:
    """The ids of the events that have had their effect, as often as they had it."""
    sql.execute("CREATE TABLE effects (id text)")
    yield lambda: [id_ for (id_,) in sql.execute("SELECT id FROM effects ORDER BY id")]
    sql.execute("DROP TABLE effects")
