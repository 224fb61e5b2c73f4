"""An address of Redis is taken as it is meant, or not at all."""

import pytest

from app.chassis.redis_url import is_usable


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/0",
        "rediss://user:p%2Fw@redis.example.com:6380/15?socket_timeout=2",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_an_address_that_says_what_is_meant_can_be_used(url: str) -> None:
    assert is_usable(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:6379",
        "redis://h:port",
        "redis://h:99999",
        "redis://h:0",
        "redis://h:6379/zero",
        "redis://h:6379?socket_timeout=long",
        "redis://u:hunter2/x@h:6379/0",
    ],
)
def test_an_address_that_would_be_misunderstood_cannot(url: str) -> None:
    assert not is_usable(url)
