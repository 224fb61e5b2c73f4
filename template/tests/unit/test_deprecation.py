"""A deprecated route says so in every answer, and is gone after its sunset."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import pytest

from app.chassis.asgi import Receive, Scope, Send, respond
from app.chassis.errors import Gone, NotAcceptable, RequestTimeout
from app.chassis.openapi import complete
from app.chassis.versioning import (
    VENDOR_TYPE,
    ContentNegotiation,
    Deprecation,
    Deprecations,
)
from app.http.app import create_app

NOW = datetime.now(UTC).replace(microsecond=0)


def plan(since: datetime, sunset: datetime) -> Deprecation:
    return Deprecation(
        "GET", "/v1/things/{thing_id}", since, sunset, "/v2/parts/{thing_id}", "/docs/moving"
    )


async def ok(_scope: Scope, _receive: Receive, send: Send) -> None:
    await respond(send, 200, b"{}", [])


def client(planned: Deprecation) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(Deprecations(ok, [planned]))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost")


async def test_a_deprecated_route_announces_its_end_and_its_successor() -> None:
    planned = plan(NOW - timedelta(days=1), NOW + timedelta(days=90))
    async with client(planned) as caller:
        headers = (await caller.get("/v1/things/42")).headers
        assert (await caller.head("/v1/things/42")).headers["deprecation"]
    assert re.fullmatch(r"@-?\d+", headers["deprecation"])
    assert parsedate_to_datetime(headers["sunset"]) == planned.sunset
    assert headers["sunset"].endswith(" GMT")
    assert '</v2/parts/42>; rel="successor-version"' in headers["link"]
    assert '</docs/moving>; rel="deprecation"' in headers["link"]


async def test_other_routes_announce_nothing() -> None:
    async with client(plan(NOW, NOW + timedelta(days=90))) as caller:
        for path in ("/v1/things", "/v1/things/42/parts", "/v1/other/42"):
            assert "deprecation" not in (await caller.get(path)).headers
        assert "deprecation" not in (await caller.post("/v1/things/42")).headers


async def test_a_request_that_other_middleware_refuses_hears_of_it_too() -> None:
    async def refuse(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RequestTimeout(headers={"Connection": "close"})

    app = Deprecations(refuse, [plan(NOW, NOW + timedelta(days=90))])
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as caller:
        with pytest.raises(RequestTimeout) as refused:
            await caller.get("/v1/things/42")
    assert refused.value.headers["deprecation"] == f"@{int(NOW.timestamp())}"
    assert refused.value.headers["Connection"] == "close"


async def test_after_its_sunset_a_route_is_gone() -> None:
    async with client(plan(NOW - timedelta(days=2), NOW - timedelta(days=1))) as caller:
        with pytest.raises(Gone) as gone:
            await caller.get("/v1/things/42")
    assert "/v2/parts/42" in str(gone.value)


async def test_an_entry_in_the_list_is_all_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = Deprecation("GET", "/problems/{slug}", NOW, NOW + timedelta(days=1), "/problems")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@localhost/nothing")
    monkeypatch.setattr("app.http.app.DEPRECATIONS", [planned])
    transport = httpx2.ASGITransport(create_app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as caller:
        response = await caller.get("/problems/conflict")
        too_large = await caller.request("GET", "/problems/conflict", content=b"x" * 2_000_000)
    assert response.status_code == 200
    assert too_large.status_code == 413
    for answer in (response, too_large):
        assert answer.headers["deprecation"] == f"@{int(NOW.timestamp())}"


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/v1/things/42", "text/html"),
        ("/things/42", "application/json"),
        ("/things/42", f"{VENDOR_TYPE};version=1"),
    ],
)
async def test_a_route_is_known_before_the_client_gets_what_it_accepts(
    path: str, accept: str
) -> None:
    negotiating = ContentNegotiation(ok)
    app = Deprecations(negotiating, [plan(NOW, NOW + timedelta(days=90))])
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as caller:
        try:
            headers = (await caller.get(path, headers={"Accept": accept})).headers
        except NotAcceptable as refused:
            headers = httpx2.Headers(refused.headers)
    assert headers["deprecation"] == f"@{int(NOW.timestamp())}"


def test_a_sunset_before_the_deprecation_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="before the deprecation"):
        plan(NOW, NOW - timedelta(days=1))


def test_times_without_a_zone_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="time zone"):
        plan(NOW.replace(tzinfo=None), NOW.replace(tzinfo=None))


def test_the_document_marks_the_route() -> None:
    document: dict[str, Any] = {"paths": {"/v1/things/{thing_id}": {"get": {"responses": {}}}}}
    complete(document, [plan(NOW, NOW + timedelta(days=1))])
    operation = document["paths"]["/v1/things/{thing_id}"]["get"]
    assert operation["deprecated"] is True
    assert "410" in operation["responses"]
