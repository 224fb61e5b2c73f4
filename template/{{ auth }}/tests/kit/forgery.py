"""Tokens as attackers make them: every part of a JWS can be chosen."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm, get_default_algorithms

Json = dict[str, Any]
Sign = Callable[[bytes], bytes]


def parts_of(token: str) -> tuple[Json, Json]:
    """Read the header and the claims of a token."""
    header, claims, _ = token.split(".")
    return json.loads(decoded(header)), json.loads(decoded(claims))


def forged(header: Json, claims: Json | bytes, sign: Sign) -> str:
    """Write a token."""
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(body)}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


def es256(key: ec.EllipticCurvePrivateKey) -> Sign:
    """Sign as the service does."""
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    return lambda message: algorithm.sign(message, key)


def signing(algorithm: str, key: Any) -> Sign:
    """Sign with any algorithm and a key for it."""
    return lambda message: get_default_algorithms()[algorithm].sign(message, key)


def hs256(secret: bytes) -> Sign:
    """Sign with what should be a public key."""
    return lambda message: hmac.new(secret, message, hashlib.sha256).digest()


def unsigned(_message: bytes) -> bytes:
    """Do not sign at all."""
    return b""


def encoded(raw: bytes) -> str:
    """Write bytes as a part of a token."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Read a part of a token."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
