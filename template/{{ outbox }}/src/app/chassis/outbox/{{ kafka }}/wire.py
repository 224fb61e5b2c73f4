"""CloudEvents' Kafka binding: attributes are headers `ce_…` in plain UTF-8.

Inside the service they are `ce-…`, and what is no visible ASCII is escaped, as in HTTP.
"""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

import confluent_kafka
import structlog

from app.chassis.outbox.broker import Message
from app.chassis.outbox.cloudevents import PREFIX, escaped

KAFKA_PREFIX = "ce_"
# A reference to a resource is escaped by itself, wherever it is written.
SOURCE = "ce-source"

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def headers_for_kafka(headers: Mapping[str, str]) -> list[tuple[str, str | bytes | None]]:
    """Write the headers of an event as others on Kafka expect them."""
    return [
        (_outside(name), (unquote(value) if _is_escaped(name, value) else value).encode())
        for name, value in headers.items()
    ]


def received(raw: confluent_kafka.Message) -> Message:
    """Read a message, whoever has written it: what is not there is made up for."""
    # No table takes a NUL, and a message must not fail where failures are kept.
    texts = {
        name.lower(): _text(value).replace("\0", "") for name, value in _headers_of(raw).items()
    }
    return Message(
        id=texts.get("ce_id") or _place_of(raw),
        type=texts.get("ce_type", ""),
        key=_text(raw.key()),
        headers=dict(_as_inside(name, text) for name, text in texts.items()),
        body=raw.value() or b"",
    )


def _place_of(raw: confluent_kafka.Message) -> str:
    """Where it stands, and since when: a topic that is made anew counts from the start again."""
    return f"{raw.topic()}:{raw.partition()}:{raw.offset()}:{raw.timestamp()[1]}"


def _headers_of(raw: confluent_kafka.Message) -> dict[str, str | bytes | None]:
    try:
        return dict(raw.headers() or {})
    except (SystemError, UnicodeError):
        # The client cannot read a name that is not UTF-8, nor any other of that message then.
        log.warning("headers_unreadable", partition=raw.partition(), offset=raw.offset())
        return {}


@lru_cache
def _outside(name: str) -> str:
    return KAFKA_PREFIX + name.removeprefix(PREFIX) if name.startswith(PREFIX) else name


def _is_escaped(name: str, value: str) -> bool:
    return "%" in value and name.startswith(PREFIX) and name != SOURCE


def _as_inside(name: str, text: str) -> tuple[str, str]:
    if name.startswith(KAFKA_PREFIX):
        return PREFIX + name.removeprefix(KAFKA_PREFIX), escaped(text)
    return name, text


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
