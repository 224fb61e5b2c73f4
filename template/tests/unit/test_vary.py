"""`Vary` names each request header that an answer depends on, once."""

import pytest

from app.chassis.asgi import add_vary


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, b"Accept"),
        (b"Accept-Encoding", b"Accept-Encoding, Accept"),
        (b"Prefer,accept", b"Prefer,accept"),
    ],
)
def test_a_name_is_added_unless_it_is_there(before: bytes | None, after: bytes) -> None:
    headers = [] if before is None else [(b"vary", before)]
    add_vary(headers, b"Accept")
    assert [(key.lower(), value) for key, value in headers] == [(b"vary", after)]
