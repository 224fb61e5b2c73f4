"""An OpenID provider for tests: well-behaved, unless a test says otherwise."""

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.kit.forgery import Sign, es256, forged
from tests.kit.identity import new_key

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"


@dataclass
class Provider:
    """An OpenID provider that counts who asks for its keys."""

    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=lambda: {"k1": new_key()})
    more_keys: list[Any] = field(default_factory=list[Any])
    instead: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """What is answered at a path instead of its document."""
    redirects: dict[str, str] = field(default_factory=dict[str, str])
    url: str = ""
    fetched: int = 0
    is_down: bool = False
    drips: bytes = b""
    """With what a response begins that never gets anywhere."""

    def answer(self, path: str) -> bytes | None:
        """The document behind a path."""
        self.fetched += path == KEYS
        if self.is_down or path not in (DISCOVERY, KEYS):
            return None
        return self.instead.get(path) or json.dumps(self._document(path)).encode()

    def _document(self, path: str) -> dict[str, Any]:
        if path == DISCOVERY:
            return {"issuer": self.url, "jwks_uri": f"{self.url}{KEYS}"}
        public = {
            kid: ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
            for kid, key in self.keys.items()
        }
        own = [{**jwk, "kid": kid, "use": "sig"} for kid, jwk in public.items()]
        return {"keys": [*self.more_keys, *own]}

    def token(self, kid: str = "k1", typ: str = "at+jwt", **claims: Any) -> str:
        """An access token of somebody."""
        key = self.keys.get(kid) or new_key()
        return self.signed(es256(key), {"alg": "ES256", "typ": typ, "kid": kid}, **claims)

    def signed(self, sign: Sign, header: dict[str, Any], **claims: Any) -> str:
        """An access token, signed in any way."""
        now = int(time.time())
        usual = {
            "iss": self.url,
            "aud": "order-service",
            "sub": "auth0|somebody",
            "iat": now,
            "exp": now + 3600,
            "jti": str(uuid4()),
            "scope": "customers:read customers:write",
        }
        return forged(header, {**usual, **claims}, sign)


@contextmanager
def run_provider() -> Generator[Provider]:
    """Serve a provider on a free port."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if location := provider.redirects.get(self.path):
                self.send_response(302)
                self.send_header("Location", location)
                self.end_headers()
                return
            if provider.drips:
                self._drip()
                return
            document = provider.answer(self.path)
            self.send_response(503 if document is None else 200)
            self.end_headers()
            self.wfile.write(document or b"")

        def _drip(self) -> None:
            with suppress(OSError):
                self.wfile.write(provider.drips)
                while provider.drips:
                    self.wfile.write(b"1")
                    time.sleep(0.1)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the standard library
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield provider
        server.shutdown()
