"""A proxy that stands before a server, and fails as networks and servers do."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

HOST = "127.0.0.1"
POSTGRES_PORT = 5432
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What becomes of connections."""

    NONE = auto()
    CUT = auto()
    RESET = auto()
    BLACKHOLE = auto()


class _Link:
    """A client's connection, and the one to the server behind it."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.silent = False
        self.ended = False

    def end(self, *, reset: bool) -> None:
        self.ended = True
        for writer in (self.client, self.server):
            if writer is not None:
                if reset and not writer.is_closing():
                    raw: socket.socket = writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                writer.transport.abort()


class FaultProxy:
    """Passes everything on until it is told to fail; `url` is the server's, through the proxy.

    A server whose URL names no port is PostgreSQL.
    """

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._server = (parts.hostname or HOST, parts.port or POSTGRES_PORT)
        self._loop = asyncio.new_event_loop()
        self._fault = Fault.NONE
        self._delay = 0.0
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._listening = False
        self._address = _reserved(0)
        port: int = self._address.getsockname()[1]
        credentials, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{credentials}{at}{HOST}:{port}").geturl()

    def cut(self) -> None:
        """Close every connection and refuse new ones, as a server that was stopped."""
        self._await(self._switch(Fault.CUT))

    def reset(self) -> None:
        """Reset every connection, and new ones as soon as they are made."""
        self._await(self._switch(Fault.RESET))

    def blackhole(self) -> None:
        """Swallow everything, and answer nothing; connections can still be made.

        What was swallowed is lost, so those connections stay silent afterwards, too.
        """
        self._await(self._switch(Fault.BLACKHOLE))

    def delay(self, seconds: float) -> None:
        """Let everything take so much longer, in either direction."""
        self._delay = seconds

    def restore(self) -> None:
        """Pass on again what comes from now on."""
        self._delay = 0
        self._await(self._switch(Fault.NONE))

    @contextmanager
    def running(self) -> Generator["FaultProxy"]:
        """Run the proxy for the length of the block."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self.restore()
        try:
            yield self
        finally:
            self.cut()
            self._await(self._at_rest())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()
            self._address.close()

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _switch(self, fault: Fault) -> None:
        self._fault = fault
        if fault in (Fault.CUT, Fault.RESET):
            for link in set(self._links):
                link.end(reset=fault is Fault.RESET)
        for link in self._links:
            link.silent |= fault is Fault.BLACKHOLE
            if fault is Fault.NONE and link.silent and link.server is not None:
                link.server.transport.abort()
        if fault is Fault.CUT:
            self._refuse()
        elif not self._listening:
            self._listen()

    async def _at_rest(self) -> None:
        while self._serving:
            await asyncio.wait(self._serving)

    def _listen(self) -> None:
        """Accept without asyncio's server, which loses whom it accepts while it closes."""
        self._address.listen()
        self._address.setblocking(False)
        self._loop.add_reader(self._address, self._accept)
        self._listening = True

    def _refuse(self) -> None:
        """Stop listening, and keep the port: nobody else may be taken for the server."""
        if self._listening:
            port: int = self._address.getsockname()[1]
            self._loop.remove_reader(self._address)
            self._address.close()
            self._listening = False
            self._address = _reserved(port)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            client, _ = self._address.accept()
            client.setblocking(False)
            serving = self._loop.create_task(self._serve(client))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        requests, client = await asyncio.open_connection(sock=accepted)
        link = _Link(client)
        self._links.add(link)
        try:
            await self._connect(link, requests)
        except OSError:
            pass  # The server refuses, and so does the proxy.
        finally:
            link.end(reset=self._fault is Fault.RESET)
            self._links.discard(link)

    async def _connect(self, link: _Link, requests: asyncio.StreamReader) -> None:
        answers = None
        if self._fault is Fault.NONE:
            answers, link.server = await asyncio.open_connection(*self._server)
        link.silent |= self._fault is Fault.BLACKHOLE
        if not link.ended and self._fault not in (Fault.CUT, Fault.RESET):
            await self._pass_on(link, requests, answers)

    async def _pass_on(
        self,
        link: _Link,
        requests: asyncio.StreamReader,
        answers: asyncio.StreamReader | None,
    ) -> None:
        """Pump in both directions until the client leaves, or either side unless it is silent."""
        sending = asyncio.create_task(self._pump(link, requests, link.server))
        receiving = asyncio.create_task(self._pump(link, answers, link.client))
        await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        if link.silent:
            await sending
        for pump in (sending, receiving):
            pump.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)

    async def _pump(
        self,
        link: _Link,
        source: asyncio.StreamReader | None,
        target: asyncio.StreamWriter | None,
    ) -> None:
        with suppress(OSError):
            while source is not None and (data := await source.read(65536)):
                await asyncio.sleep(self._delay)
                if target is not None and not link.silent:
                    target.write(data)
                    await target.drain()


def _reserved(port: int) -> socket.socket:
    address = socket.socket()
    address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    address.bind((HOST, port))
    return address


@contextmanager
def proxied(server_url: str) -> Generator[FaultProxy]:
    """Put a proxy before a server."""
    with FaultProxy(server_url).running() as proxy:
        yield proxy
