"""The fault proxy of the rendered tests loses no connection, whenever it is switched."""

import gc
import importlib.util
import socket
import socketserver
import sys
import threading
from collections.abc import Generator
from contextlib import suppress
from types import ModuleType
from urllib.parse import urlsplit

import pytest
from slipway.catalogue import REPOSITORY

CLIENTS = 3
ROUNDS = 30
SWITCHES = ("cut", "restore", "reset", "blackhole", "cut", "reset")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "faults", REPOSITORY / "template/tests/kit/faults.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "faults", module)
    spec.loader.exec_module(module)
    return module


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            while data := self.request.recv(1024):
                self.request.sendall(data)


@pytest.fixture
def server_url() -> Generator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def connect_until(over: threading.Event, url: str) -> None:
    address = urlsplit(url)
    assert address.port is not None
    while not over.is_set():
        with (
            suppress(OSError),
            socket.create_connection((address.hostname, address.port), timeout=0.2) as client,
        ):
            client.sendall(b"x")
            client.recv(1)


@pytest.mark.filterwarnings("error")
def test_no_connection_is_lost_while_the_proxy_is_switched_or_ends(
    faults: ModuleType, server_url: str, monkeypatch: pytest.MonkeyPatch
):
    lost: list[object] = []

    def note(seen: "sys.UnraisableHookArgs") -> None:
        lost.append(seen.exc_value)

    monkeypatch.setattr(sys, "unraisablehook", note)
    for turn in range(ROUNDS):
        over = threading.Event()
        with faults.proxied(server_url) as proxy:
            clients = [
                threading.Thread(target=connect_until, args=(over, proxy.url), daemon=True)
                for _ in range(CLIENTS)
            ]
            for client in clients:
                client.start()
            for switch in SWITCHES[: turn % (len(SWITCHES) + 1)]:
                getattr(proxy, switch)()
        over.set()
        for client in clients:
            client.join()
        gc.collect()
    assert lost == []
