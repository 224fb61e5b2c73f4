"""Events are read as CloudEvents and RFC 3339 allow them to be written."""

from datetime import UTC, datetime

import pytest

from app.chassis.outbox.broker import Message
from app.chassis.outbox.cloudevents import Malformed, read


def time_of(written: str) -> datetime:
    return read(Message("1", "thing.happened", "", {"ce-time": written}, b"{}")).time


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00.5z", datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31t14:00:00+02:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("2017-01-01T00:59:60.25+01:00", datetime(2016, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_every_way_that_it_may_be_written(
    written: str, expected: datetime
) -> None:
    assert time_of(written) == expected


@pytest.mark.parametrize("written", ["", "soon", "2026-01-31T12:00:61Z", "2026-01-31T12:60:60Z"])
def test_what_is_no_time_is_malformed(written: str) -> None:
    with pytest.raises(Malformed):
        time_of(written)
