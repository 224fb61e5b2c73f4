"""Counts in Redis, for all replicas together."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from app.chassis.rate_limiting.patience import patience
from app.chassis.rate_limiting.policy import FailurePolicy, Policy, Verdict

LARGEST_BATCH = 100

# A list for each caller: when the requests of the last window were admitted, in ms by the clock of
# Redis. So the window slides and is exact; only what was admitted is stored.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local verdicts = {}
for i, key in ipairs(KEYS) do
  local quota, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local oldest = tonumber(redis.call('LINDEX', key, -1) or now)
  while oldest <= now - window do
    redis.call('RPOP', key)
    oldest = tonumber(redis.call('LINDEX', key, -1) or now)
  end
  local used = redis.call('LLEN', key)
  local admitted = used < quota and 1 or 0
  if admitted == 1 then
    redis.call('LPUSH', key, now)
    redis.call('PEXPIRE', key, window)
  end
  verdicts[3 * i - 2] = admitted
  verdicts[3 * i - 1] = math.max(0, quota - used - admitted)
  verdicts[3 * i] = oldest + window - now
end
return verdicts
"""
DIGEST = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Unreachable(Exception):
    """Redis did not answer, or not in time, or refused to."""


@dataclass(frozen=True, slots=True)
class _Question:
    policy: Policy
    key: bytes
    answer: "asyncio.Future[Verdict]"


class SharedLimiter:
    """Sliding windows that admit exactly the quota, however many processes ask.

    One script call is on its way at a time, and the requests that arrive meanwhile share the next
    one: a single request costs one round trip, many at once cost much less than that each.
    """

    def __init__(self, redis: Redis, prefix: str, timeout: timedelta) -> None:
        self._redis = redis
        self._prefix = f"{prefix}:rate-limit:".encode()
        self._timeout = timeout.total_seconds()
        self._waiting: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None

    async def take(self, policy: Policy, key: bytes) -> Verdict:
        """Count a request, unless the quota is used up.

        Raises:
            Unreachable: it is not known whether the request was counted.
        """
        question = _Question(policy, key, asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_all())
        return await question.answer

    async def try_out(self) -> None:
        """Ask as a request would.

        Raises:
            Unreachable: there was no answer.
        """
        await self.take(_TRIAL, b"trial")

    async def _ask_for_all(self) -> None:
        """Put every question that is waiting; when one call fails, so do those behind it."""
        try:
            while self._waiting:
                batch = self._waiting[:LARGEST_BATCH]
                await self._ask(batch)
                del self._waiting[: len(batch)]
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            self._fail(error)
        finally:
            self._asking = None

    async def _ask(self, batch: list[_Question]) -> None:
        keys = [self._prefix + question.key for question in batch]
        arguments: list[int] = []
        for question in batch:
            arguments += question.policy.quota, int(question.policy.window / _MILLISECOND)
        async with patience(self._timeout):
            replies = await self._call(keys, arguments)
        for index, question in enumerate(batch):
            admitted, remaining, wait = replies[3 * index : 3 * index + 3]
            if not question.answer.done():
                policy = question.policy
                question.answer.set_result(
                    Verdict(policy, policy.quota, admitted == 1, remaining, wait / 1000)
                )

    async def _call(self, keys: list[bytes], arguments: list[int]) -> list[int]:
        given: list[Any] = [*keys, *arguments]
        try:
            replies = await self._redis.evalsha(DIGEST, len(keys), *given)
        except NoScriptError:
            replies = await self._redis.eval(SCRIPT, len(keys), *given)
        return cast("list[int]", replies)

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, []
        for question in waiting:
            if not question.answer.done():
                question.answer.set_exception(Unreachable(type(error).__name__))


_MILLISECOND = timedelta(milliseconds=1)
_TRIAL = Policy("trial", 1, timedelta(seconds=1), FailurePolicy.LOCAL)
