"""Every line on standard output is one JSON object, and a request can be followed through them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx2
import pytest

from tests.kit.processes import ServiceProcess
from tests.kit.wire import exchange

StartService = Callable[..., AbstractContextManager[ServiceProcess]]


def test_a_request_is_one_line_with_its_ids(start_service: StartService) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-ID": "abc-123", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    with start_service() as server:
        httpx2.get(f"{server.url}/v1/nothing-here?token=hidden", headers=headers)
        server.terminate()
        (line,) = server.events("request")
        assert "hidden" not in server.output.read_text()
    assert line["request_id"] == "abc-123"
    assert line["trace_id"] == trace
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/nothing-here", 404)
    assert line["level"] == "info"
    assert line["service"]
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("sent", "is_known"),
    [
        (b"00-%b-b7ad6b7169203331-01", True),
        (b" 00-%b-b7ad6b7169203331-01 \t", True),
        (b"cc-%b-b7ad6b7169203331-01", True),
        (b"cc-%b-b7ad6b7169203331-01-what-comes-later", True),
        (b"cc-%b-b7ad6b7169203331-01.", False),
        (b"00-%b-b7ad6b7169203331-01-more", False),
        (b"ff-%b-b7ad6b7169203331-01", False),
        (b"00-%b-0000000000000000-01", False),
    ],
)
def test_the_trace_goes_on_whatever_its_version(
    start_service: StartService, sent: bytes, *, is_known: bool
) -> None:
    trace = b"0af7651916cd43dd8448eb211c80319c"
    fields = b"traceparent: " + sent % trace + b"\r\nX-Request-ID: abc \t"
    with start_service() as server:
        head = b"GET /v1/nothing HTTP/1.1\r\nHost: localhost \r\nConnection: close\r\n"
        assert b"x-request-id: abc\r\n" in exchange(server, head + fields + b"\r\n\r\n")
        server.terminate()
        (line,) = server.events("request")
    assert (line["trace_id"] == trace.decode()) is is_known


def test_requests_at_the_same_time_do_not_mix_their_ids(start_service: StartService) -> None:
    def ask(number: int) -> str:
        headers = {"X-Request-ID": f"r-{number}"}
        return client.get(f"/v1/nothing/{number}", headers=headers).headers["x-request-id"]

    with start_service() as server:
        with (
            httpx2.Client(base_url=server.url) as client,
            ThreadPoolExecutor(20) as together,
        ):
            assert list(together.map(ask, range(100))) == [f"r-{i}" for i in range(100)]
        server.terminate()
        lines = server.events("request")
        assert [line for line in server.lines() if line["level"] == "error"] == []
    assert {(line["path"], line["request_id"]) for line in lines} == {
        (f"/v1/nothing/{i}", f"r-{i}") for i in range(100)
    }
    assert len({line["trace_id"] for line in lines}) == len(lines) == 100


def test_probes_are_not_logged(start_service: StartService) -> None:
    with start_service() as server:
        for path in ("live", "ready", "startup", "nothing-here"):
            httpx2.get(f"{server.url}/health/{path}")
        server.terminate()
        (line,) = server.events("request")
    assert line["path"] == "/health/nothing-here"


def test_the_log_level_comes_from_the_environment(start_service: StartService) -> None:
    with start_service(LOG_LEVEL="ERROR") as server:
        httpx2.get(f"{server.url}/v1/nothing-here")
        server.terminate()
        assert server.lines() == []


def test_a_name_in_the_environment_names_the_service(start_service: StartService) -> None:
    with start_service(SERVICE_NAME="renamed") as server:
        httpx2.get(f"{server.url}/v1/nothing-here")
        server.terminate()
        assert {line["service"] for line in server.lines()} == {"renamed"}
