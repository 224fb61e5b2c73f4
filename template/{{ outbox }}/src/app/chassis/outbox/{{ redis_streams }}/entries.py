"""An event as an entry of a stream: a field for each header, and `data` for the body."""

from collections.abc import Mapping

from app.chassis.outbox.broker import Message

BODY = "data"


def fields_of(message: Message) -> list[str | bytes]:
    """Write the fields and values of an entry; raises `ValueError` for what is no text."""
    fields: list[str | bytes] = []
    for name, value in message.headers.items():
        fields += name.encode(), value.encode()
    return [*fields, BODY, message.body]


def message_of(topic: str, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Message:
    """Read an entry, whoever wrote it."""
    # No table takes a NUL, and a message must not fail where failures are kept.
    headers = {_text(name).lower(): _text(value) for name, value in fields.items()}
    headers.pop(BODY, None)
    return Message(
        id=headers.get("ce-id") or f"{topic}:{entry_id.decode()}",
        type=headers.get("ce-type", ""),
        key=headers.get("ce-partitionkey", ""),
        headers=headers,
        body=fields.get(BODY.encode(), b""),
    )


def _text(value: bytes) -> str:
    return value.decode(errors="replace").replace("\0", "")
