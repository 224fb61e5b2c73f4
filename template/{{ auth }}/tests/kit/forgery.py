"""Tokens as attackers make them: every part of a JWS can be chosen."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

Json = dict[str, Any]
Sign = Callable[[bytes], bytes]


def parts_of(token: str) -> tuple[Json, Json]:
    """Read the header and the claims of a token."""
    header, claims, _ = token.split(".")
    return json.loads(_decoded(header)), json.loads(_decoded(claims))


def forged(header: Json, claims: Json | bytes, sign: Sign) -> str:
    """Write a token."""
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(body)}"
    return f"{signed}.{_encoded(sign(signed.encode()))}"


def es256(key: ec.EllipticCurvePrivateKey) -> Sign:
    """Sign as the service does."""
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    return lambda message: algorithm.sign(message, key)


def hs256(secret: bytes) -> Sign:
    """Sign with what should be a public key."""
    return lambda message: hmac.new(secret, message, hashlib.sha256).digest()


def unsigned(_message: bytes) -> bytes:
    """Do not sign at all."""
    return b""


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
