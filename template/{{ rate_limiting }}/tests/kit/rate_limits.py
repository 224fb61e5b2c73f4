"""Quotas for tests, and how to read what the service says about them."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

import httpx2

from tests.kit.processes import ServiceProcess

StartService = Callable[..., AbstractContextManager[ServiceProcess]]

UNLIMITED = {"RATE_LIMIT_QUOTA": "1000000", "RATE_LIMIT_PREFIX": f"test-{uuid4().hex}"}
"""For the tests of everything else; runs beside each other share no counter."""

BEHIND_PROXY = {"TRUSTED_PROXIES": "127.0.0.1"}
COUNTED = "/problems/conflict"
"""A route that every service has, public and counted."""

_numbers = count(1)


def quota(number: int, window: str = "60", **more: str) -> dict[str, str]:
    """A quota that this test shares with nobody."""
    return {
        "RATE_LIMIT_QUOTA": str(number),
        "RATE_LIMIT_WINDOW": window,
        "RATE_LIMIT_PREFIX": f"test-{uuid4().hex}",
        "RATE_LIMIT_TIMEOUT": "5",  # a busy machine is no outage
        **more,
    }


def somebody() -> dict[str, str]:
    """The header with which a proxy reports a client that was never seen before."""
    number = next(_numbers)
    return {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250 + 1}"}


def statuses(url: str, times: int, headers: dict[str, str] | None = None) -> list[int]:
    """Ask the counted route again and again."""
    with httpx2.Client(base_url=url, headers=headers) as client:
        return [client.get(COUNTED).status_code for _ in range(times)]


@dataclass(frozen=True)
class Limits:
    """What a response says about the quota, read as structured fields (RFC 9651)."""

    policy: str
    quota: int
    window: int
    remaining: int
    wait: int


def limits_of(response: httpx2.Response) -> Limits:
    """Read both fields; fails where they are no lists of one string with integer parameters."""
    promised = _item(response.headers["ratelimit-policy"], "q", "w")
    left = _item(response.headers["ratelimit"], "r", "t")
    assert promised[0] == left[0]
    return Limits(promised[0], promised[1], promised[2], left[1], left[2])


def _item(field: str, first: str, second: str) -> tuple[str, int, int]:
    found = re.fullmatch(rf'"([a-z-]+)";{first}=(\d+);{second}=(\d+)', field)
    assert found, field
    return found[1], int(found[2]), int(found[3])
