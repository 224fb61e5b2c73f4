"""CloudEvents 1.0 in binary mode: attributes as headers, the body as it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TypeVar, cast
from urllib.parse import quote, unquote

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from app.chassis.outbox.broker import Message

PREFIX = "ce-"
JSON = "application/json"
TRACE_HEADERS = ("traceparent", "x-request-id")
# What the specification leaves unescaped in a header: visible ASCII without `"` and `%`.
_SAFE = "!#$&'()*+,/:;<=>?@[\\]^`{|}"
_LEAP_SECOND = re.compile(r"(T\d\d:\d\d):60(\.\d+)?")
_PLAIN = re.compile(r"[!#$&-~]*")
_TYPE = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)
LONGEST_TYPE = 128

Data = TypeVar("Data", bound=BaseModel)
DataModel = type[Data]


class Malformed(Exception):
    """The message is no event that this service can read, and never will be."""


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event as a handler sees it; `trace` is what it carries on to the events it causes."""

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: dict[str, object]
    trace: Mapping[str, str]

    def data_as(self, model: DataModel[Data]) -> Data:
        """Read the data as a model; raises `Malformed`, as nothing mends it by trying again."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise Malformed(complaints(error)) from None


def headers_of(
    *, id_: str, type_: str, source: str, subject: str, time: str, trace: Mapping[str, str]
) -> dict[str, str]:
    """Write the attributes of an event; its partition key is what it happened to.

    `time` is in RFC 3339's form, `type_` is an address, and `source` is escaped already.
    """
    subject = escaped(subject)
    headers = {
        "ce-specversion": "1.0",
        "ce-id": id_,
        "ce-type": type_,
        "ce-source": source,
        "ce-subject": subject,
        "ce-partitionkey": subject,
        "ce-time": time,
        "content-type": JSON,
    }
    for name in TRACE_HEADERS:
        if name in trace:
            headers[name] = escaped(trace[name])
    return headers


def time_of(written: str) -> str:
    """Write a time in RFC 3339's form; raises `ValueError`.

    It is given as PostgreSQL writes it in a session in UTC: `2026-01-31 12:00:00.123456+00`.
    """
    datetime.fromisoformat(written)  # the server knows times that a reader has none for
    return f"{written[:10]}T{written[11:-3]}Z"


@cache
def is_address(type_: str) -> bool:
    """Whether brokers can route by this type: words joined by dots, none that is a wildcard."""
    return len(type_) <= LONGEST_TYPE and _TYPE.fullmatch(type_) is not None


def source_of(service_name: str) -> str:
    """Return the URI reference that names a service as the origin of its events."""
    return f"/{quote(service_name, safe='')}"


def trace_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what ties a message to the request that caused it."""
    return {name: headers[name] for name in TRACE_HEADERS if name in headers}


def read(message: Message) -> ReceivedEvent:
    """Read an event; raises `Malformed`. Attributes and members that are not known are ignored."""
    headers = message.headers
    try:
        time = _time(headers.get("ce-time", "1970-01-01T00:00:00Z"))
        data: object = from_json(message.body)
    except ValueError as error:
        raise Malformed(str(error)) from None
    if not isinstance(data, dict):
        raise Malformed("the body is not a JSON object")
    return ReceivedEvent(
        id=message.id,
        type=message.type,
        source=unquote(headers.get("ce-source", "")),
        subject=unquote(headers.get("ce-subject", "")),
        time=time,
        data=cast("dict[str, object]", data),
        trace=trace_of(headers),
    )


def _time(written: str) -> datetime:
    """Read a time in whichever way RFC 3339 writes it; a leap second is the last instant before."""
    return datetime.fromisoformat(_LEAP_SECOND.sub(r"\1:59.999999", written.upper()))


def complaints(error: ValidationError) -> str:
    """What is not valid, without the values themselves."""
    entries = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in entries)


def escaped(value: str) -> str:
    """Write a value so that it can be a header: visible ASCII, the rest percent-encoded."""
    return value if _PLAIN.fullmatch(value) else quote(value, safe=_SAFE)
