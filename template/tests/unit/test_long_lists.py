"""Of a header field that is a list no more is read than any client sends."""

from app.chassis.asgi import MOST_ELEMENTS
from app.chassis.middleware.compression import accepts_gzip
from app.chassis.versioning import parse_accept


def test_the_media_types_that_a_client_takes_are_counted() -> None:
    assert len(parse_accept("text/html," * 3 + "*/*")) == 4
    for endless in ("," * 16_000, "text/html," * 1600):
        assert len(parse_accept(endless)) == MOST_ELEMENTS


def test_the_codings_that_a_client_takes_are_counted() -> None:
    assert accepts_gzip("br," * (MOST_ELEMENTS - 1) + "gzip")
    assert not accepts_gzip("br," * MOST_ELEMENTS + "gzip")
