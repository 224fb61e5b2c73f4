"""The service's own signing keys: the first signs, all of them verify (rotation)."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app import about
from app.chassis.auth.settings import AuthSettings
from app.chassis.settings import ConfigurationError, CoreSettings

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

VARIABLE = "AUTH_SIGNING_KEYS"
JWK_SET = "application/jwk-set+json"
SMALLEST_RSA = 2048
UNNAMED = ""
"""The id of the key that is meant where a token names none: an issuer's only one."""
PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)
THUMBPRINT_MEMBERS = ("crv", "e", "kty", "n", "x", "y")
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384"}


class UnusableKey(ValueError):
    """The key is of a kind or size that tokens are not signed with."""


@dataclass(frozen=True)
class VerificationKey:
    """A public key, bound to the one algorithm that it may be used with (RFC 8725, 3.1)."""

    kid: str
    algorithm: str
    public: PublicKey


class KeySource(Protocol):
    """Where the keys come from that tokens are verified with."""

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this id, or None where there is none."""
        ...


class KeyRing:
    """The service's own keys."""

    def __init__(self, signing: PrivateKey, retired: Sequence[PublicKey] = ()) -> None:
        self.signing = signing
        publics = [signing.public_key(), *retired]
        self.keys = {key.kid: key for key in map(verification_key, publics)}
        self.current = next(iter(self.keys.values()))

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this id, or None where there is none."""
        return self.keys.get(kid)

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public halves as a JWK Set (RFC 7517)."""
        return {
            "keys": [
                {**_members(key.public), "kid": key.kid, "alg": key.algorithm, "use": "sig"}
                for key in self.keys.values()
            ]
        }


def load_keys(settings: AuthSettings, core: CoreSettings) -> KeyRing:
    """Read `AUTH_SIGNING_KEYS`: PEM blocks, one after the other; the first is a private key.

    Outside production there is a key that every replica on a laptop agrees on.

    Raises:
        ConfigurationError: a key is missing, unreadable, too small or of another kind.
    """
    if settings.signing_keys is None:
        if core.in_production:
            raise ConfigurationError({VARIABLE: "is required in production"})
        return KeyRing(_development_key())
    try:
        return _parse(settings.signing_keys.get_secret_value().replace("\\n", "\n"))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "must be PEM blocks of EC (P-256, P-384), Ed25519 or RSA keys, a private one first"
        raise ConfigurationError({VARIABLE: why}) from None


def verification_key(public: PublicKey) -> VerificationKey:
    """Bind a public key to its algorithm and its thumbprint (RFC 7638)."""
    members = _members(public)
    named = {name: members[name] for name in THUMBPRINT_MEMBERS if name in members}
    canonical = json.dumps(named, separators=(",", ":"), sort_keys=True).encode()
    kid = urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
    return VerificationKey(kid, algorithm_of(public), public)


def algorithm_of(public: PublicKey) -> str:
    """The algorithm of a key.

    Raises:
        UnusableKey: there is none, or the key is too small.
    """
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return _CURVES[public.curve.name]
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= SMALLEST_RSA:
        return "RS256"
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "EdDSA"
    raise UnusableKey


def _members(public: PublicKey) -> dict[str, Any]:
    if isinstance(public, ec.EllipticCurvePublicKey):
        return ECAlgorithm.to_jwk(public, as_dict=True)
    if isinstance(public, rsa.RSAPublicKey):
        members = RSAAlgorithm.to_jwk(public, as_dict=True)
        return {name: members[name] for name in ("kty", "n", "e")}
    return OKPAlgorithm.to_jwk(public, as_dict=True)


def _parse(text: str) -> KeyRing:
    blocks = [(match[1], match[0].encode()) for match in PEM.finditer(text)]
    if not blocks or "PRIVATE" not in blocks[0][0]:
        raise UnusableKey
    signing = load_pem_private_key(blocks[0][1], password=None)
    if not isinstance(signing, PrivateKey):
        raise UnusableKey
    return KeyRing(signing, [_public(label, block) for label, block in blocks[1:]])


def _public(label: str, block: bytes) -> PublicKey:
    private = "PRIVATE" in label
    key = load_pem_private_key(block, None).public_key() if private else load_pem_public_key(block)
    if not isinstance(key, PublicKey):
        raise UnusableKey
    return key


def _development_key() -> PrivateKey:
    digest = hashlib.sha256(f"development:{about.SLUG}:signing-key".encode()).digest()
    # 31 bytes are always below the order of the curve.
    return ec.derive_private_key(int.from_bytes(digest[:31]), ec.SECP256R1())
