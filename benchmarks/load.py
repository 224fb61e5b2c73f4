"""The load generator: keep-alive connections that each send the next request after the answer.

A process of its own, so that its work is not counted as the server's: takes a job as JSON on its
command line and writes what came of it to standard output.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

LONGEST_SECONDS = 600


@dataclass(frozen=True)
class Job:
    """So many requests, or as many as go into so many seconds."""

    port: int
    path: str
    headers: Mapping[str, str]
    method: str = "GET"
    body: str = ""
    expected: int = 200
    connections: int = 8
    requests: int = 1_000_000_000
    seconds: float = LONGEST_SECONDS


@dataclass(frozen=True)
class Outcome:
    """What came of a job; every answer had the expected status."""

    requests: int
    seconds: float

    @property
    def per_second(self) -> float:
        """The throughput."""
        return self.requests / self.seconds


class UnexpectedAnswerError(Exception):
    """A server did not do what it is measured for."""


def start(job: Job) -> "subprocess.Popen[str]":
    """Start the job in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(job))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> Outcome:
    """Wait for the end of a job; raises UnexpectedAnswerError where it failed."""
    written, _ = process.communicate()
    if process.returncode:
        raise UnexpectedAnswerError("the load generator failed; see above")
    return Outcome(**json.loads(written))


def run(job: Job) -> Outcome:
    """Run a job to its end."""
    return finish(start(job))


async def _generate(job: Job) -> Outcome:
    started = time.monotonic()
    turns = iter(range(job.requests))
    workers = (_worker(job, turns, started + job.seconds) for _ in range(job.connections))
    answered = sum(await asyncio.gather(*workers))
    return Outcome(answered, time.monotonic() - started)


async def _worker(job: Job, turns: Iterator[int], deadline: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", job.port)
    request, answered = _request(job), 0
    for _ in turns:
        if time.monotonic() > deadline:
            break
        writer.write(request)
        await _answer(reader, job.expected)
        answered += 1
    writer.close()
    return answered


def _request(job: Job) -> bytes:
    lines = [f"{job.method} {job.path} HTTP/1.1", "Host: localhost"]
    headers = {**job.headers, **({"Content-Length": str(len(job.body))} if job.body else {})}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + job.body).encode()


async def _answer(reader: asyncio.StreamReader, expected: int) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    body = await reader.readexactly(int(length))
    if status != expected:
        raise UnexpectedAnswerError(f"{status} instead of {expected}: {body[:500]!r}")


if __name__ == "__main__":
    given = Job(**json.loads(sys.argv[1]))
    json.dump(asdict(asyncio.run(_generate(given))), sys.stdout)
