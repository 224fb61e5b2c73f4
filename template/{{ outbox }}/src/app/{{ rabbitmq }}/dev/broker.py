"""A RabbitMQ server for development and tests, without a container engine."""

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.dev.servers import NoServerBinary, free_port, running

# Debian's command on the PATH serves root alone, the script behind it serves everybody.
PLACES = ("/usr/lib/rabbitmq/bin", None, "/usr/local/sbin", "/opt/homebrew/sbin")
INSTALL = "Set BROKER_URL, or install rabbitmq-server: no package of Python brings it along."


@contextmanager
def start_broker(directory: Path, port: int = 0) -> Generator[str]:
    """Run a server on `port`, or a free one, with its queues in `directory`; yields its URL."""
    server, names = find_binary("rabbitmq-server"), find_binary("epmd")
    directory.mkdir(parents=True, exist_ok=True)
    port, names_port = port or free_port(), free_port()
    listen = [names, "-address", "127.0.0.1", "-port", str(names_port)]
    variables = _variables(directory.resolve(), port, names_port)
    with (
        running(listen, names_port, directory),
        running(["env", *variables, server], port, directory),
    ):
        yield f"amqp://guest:guest@127.0.0.1:{port}/"


@contextmanager
def temporary_broker() -> Generator[str]:
    """Run a server whose queues are gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="rabbitmq-", ignore_cleanup_errors=True) as directory,
        start_broker(Path(directory)) as url,
    ):
        yield url


def find_binary(name: str) -> str:
    """Where a command of the server is on this system."""
    for place in PLACES:
        if found := shutil.which(name, path=place):
            return found
    raise NoServerBinary(INSTALL)


def _variables(directory: Path, port: int, names_port: int) -> list[str]:
    """Keep the server apart from any other: its own names, ports, files and settings."""
    settings: Mapping[str, object] = {
        "HOME": directory,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": names_port,
        "RABBITMQ_NODENAME": "broker@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": free_port(),
        "RABBITMQ_CONF_ENV_FILE": directory / "rabbitmq-env.conf",
        "RABBITMQ_CONFIG_FILE": directory / "rabbitmq",
        "RABBITMQ_ENABLED_PLUGINS_FILE": directory / "plugins",
        "RABBITMQ_MNESIA_BASE": directory / "data",
        "RABBITMQ_LOG_BASE": directory,
        "RABBITMQ_LOGS": "-",
    }
    return [f"{name}={value}" for name, value in settings.items()]
