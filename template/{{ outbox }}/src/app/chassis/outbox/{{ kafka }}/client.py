"""What the producer, the reader and the administration have in common as clients of a cluster."""

from urllib.parse import unquote

from app.chassis.outbox.broker_settings import BrokerSettings

Options = dict[str, str | int | float | bool]

# The client's own lines would repeat each failed connection; the adapter tells of outages once.
LOG_CRITICAL = 2
RECONNECT_MILLISECONDS = 1000
SHORTEST_CONNECT_MILLISECONDS = 1000
# A connection on which nothing is answered for so long is given up.
ANSWER_MILLISECONDS = 10_000
# How soon new partitions and changed permissions of a topic are seen.
REFRESH_MILLISECONDS = 30_000


def options(settings: BrokerSettings, name: str) -> Options:
    """Return the client's options: where the cluster is, and how to be let in.

    Raises:
        ConfigurationError: there is no address of a broker.
    """
    connect = round(settings.connect_timeout.total_seconds() * 1000)
    return {
        "bootstrap.servers": ",".join(settings.servers),
        "client.id": name,
        "log_level": LOG_CRITICAL,
        "socket.keepalive.enable": True,
        "socket.connection.setup.timeout.ms": max(SHORTEST_CONNECT_MILLISECONDS, connect),
        "reconnect.backoff.max.ms": RECONNECT_MILLISECONDS,
        "socket.timeout.ms": ANSWER_MILLISECONDS,
        "topic.metadata.refresh.interval.ms": REFRESH_MILLISECONDS,
        **_security(settings),
    }


def _security(settings: BrokerSettings) -> Options:
    address = settings.address
    user, password, tls = address["user"], address["password"], address["tls"]
    chosen: Options = {
        "security.protocol": f"{'sasl_' if user else ''}{'ssl' if tls else 'plaintext'}"
    }
    if user:
        chosen["sasl.mechanism"] = settings.sasl_mechanism
        chosen["sasl.username"] = unquote(user)
        chosen["sasl.password"] = unquote(password)
    if tls and settings.ca_file:
        chosen["ssl.ca.location"] = str(settings.ca_file)
    return chosen
