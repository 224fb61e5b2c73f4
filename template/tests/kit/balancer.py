"""A balancer before several replicas, as simple as they come."""

import threading
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2

CHECK_SECONDS = 0.05


class Balancer:
    """Spreads requests over the replicas that are ready, one after the other.

    It keeps its connections, and never tries a request again: what fails has failed.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._clients = ExitStack()
        self._replicas = {url: self._client_of(url) for url in urls}
        self._ready: list[str] = []
        self._turn = 0
        self._stop = threading.Event()
        self.served: Counter[str] = Counter()

    @contextmanager
    def running(self) -> Generator["Balancer"]:
        """Check the replicas for the length of the block, beginning before it."""
        self._check()
        checking = threading.Thread(target=self._keep_checking)
        checking.start()
        try:
            yield self
        finally:
            self._stop.set()
            checking.join()
            self._clients.close()

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request to the replica whose turn it is."""
        url = self._next()
        response = self._replicas[url].request(method, path, **options)
        self.served[url] += 1
        return response

    def _next(self) -> str:
        self._turn += 1
        ready = self._ready
        return ready[self._turn % len(ready)]

    def _client_of(self, url: str) -> httpx2.Client:
        return self._clients.enter_context(httpx2.Client(base_url=url, timeout=30))

    def _keep_checking(self) -> None:
        while not self._stop.wait(CHECK_SECONDS):
            self._check()

    def _check(self) -> None:
        # If none answers in time, those that last did are asked all the same.
        self._ready = [url for url in self._replicas if _is_ready(url)] or self._ready


class ConnectionBalancer(Balancer):
    """Spreads connections: a thread stays with its replica until that one ends the connection."""

    def __init__(self, urls: Sequence[str]) -> None:
        super().__init__(urls)
        self._mine = threading.local()

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request over the thread's connection, or over a new one."""
        if getattr(self._mine, "url", None) is None:
            self._mine.url = self._next()
            self._mine.client = self._client_of(self._mine.url)
        response = self._mine.client.request(method, path, **options)
        self.served[self._mine.url] += 1
        if response.headers.get("connection") == "close":
            self._mine.url = None
        return response


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready").status_code == 200
    except httpx2.TransportError:
        return False
