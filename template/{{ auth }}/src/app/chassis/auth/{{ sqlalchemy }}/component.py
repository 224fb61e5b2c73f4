"""Wires authentication: as the issuer of its own tokens, or as a resource server."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import structlog

from app import about
from app.access import ACCESS
from app.chassis.auth.accounts import Accounts
from app.chassis.auth.authenticator import Authenticator
from app.chassis.auth.cursors import CallersCursors
from app.chassis.auth.endpoint import AccountEndpoint, RevocationEndpoint, TokenEndpoint
from app.chassis.auth.keys import KeyRing, load_keys
from app.chassis.auth.middleware import Authentication, IssuedElsewhere
from app.chassis.auth.passwords import Passwords
from app.chassis.auth.purge import purging
from app.chassis.auth.rules import scopes_of
from app.chassis.auth.sessions import Sessions
from app.chassis.auth.settings import AuthSettings
from app.chassis.auth.standing import Denylist
from app.chassis.auth.throttle import Throttle
from app.chassis.auth.tokens import AccessTokens, Claims, TokenVerifier, media_type
from app.chassis.database import Database
from app.chassis.http import ServerSettings
from app.chassis.listing.cursor import CursorCodec, PaginationSettings
from app.chassis.service import Service
from app.chassis.settings import ConfigurationError

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.auth")


def add_auth(service: Service) -> None:
    """Recognise the caller of every request, and provide what the account routes need."""
    settings = service.load(AuthSettings)
    if settings.issuer_url is None:
        authenticator = _issuer_of_its_own(service, settings)
    else:
        authenticator = _resource_server(service, settings, settings.issuer_url)
    service.add_middleware(lambda app: Authentication(app, authenticator))
    cursors = CallersCursors(service.get(PaginationSettings).key(service.core))
    service.provide(cursors, CursorCodec)
    service.forms |= {"/v1/tokens", "/v1/token-revocations"}
    service.request_headers.add("Authorization")
    service.response_headers.add("WWW-Authenticate")


def _issuer_of_its_own(service: Service, settings: AuthSettings) -> Authenticator:
    keys, database = load_keys(settings, service.core), service.get(Database)
    issuer = _issuer(service, settings)
    verifier = TokenVerifier(keys, issuer, settings.audience, settings.leeway)
    denylist = Denylist(database)
    authenticator = Authenticator(verifier, denylist.standing, settings.revocation_delay)
    sessions = Sessions(database, settings, ended=authenticator.forget)
    _provide_endpoints(service, settings, keys, sessions)
    service.provide(RevocationEndpoint(sessions, denylist, verifier, authenticator))
    service.add_lifespan(lambda: _running(database, settings))
    return authenticator


@asynccontextmanager
async def _running(database: Database, settings: AuthSettings) -> AsyncGenerator[None]:
    if settings.signing_keys is None:
        log.warning("development_signing_key", hint="whoever knows the service can forge tokens")
    async with purging(database, settings.purge_interval):
        yield


def _provide_endpoints(
    service: Service, settings: AuthSettings, keys: KeyRing, sessions: Sessions
) -> None:
    database = service.get(Database)
    accounts = Accounts(database, Passwords(settings), Throttle(database, settings))
    access = AccessTokens(
        keys, _issuer(service, settings), settings.audience, settings.access_token_ttl
    )
    service.provide(AccountEndpoint(accounts))
    service.provide(TokenEndpoint(accounts, sessions, access, scopes_of(ACCESS)))


def _issuer(service: Service, settings: AuthSettings) -> str:
    """The name in the tokens: one that all replicas share, whichever ports they listen on."""
    server = service.get(ServerSettings)
    return settings.issuer or (server.base_url if server.public_url else about.SLUG)


def _resource_server(service: Service, settings: AuthSettings, issuer: str) -> Authenticator:
    if service.core.in_production and urlsplit(issuer).scheme != "https":
        raise ConfigurationError({"AUTH_ISSUER_URL": "must be https in production"})
    if settings.issuer is not None:
        raise ConfigurationError({"AUTH_ISSUER": "must be empty with AUTH_ISSUER_URL"})
    from app.chassis.auth.issuer_keys import IssuerKeys  # noqa: PLC0415 - others call nobody

    verifier = TokenVerifier(
        IssuerKeys(issuer, settings),
        issuer,
        settings.audience,
        settings.leeway,
        frozenset(map(media_type, settings.issuer_token_types)),
    )
    service.add_middleware(IssuedElsewhere)
    return Authenticator(verifier, _roles_as_claimed, settings.revocation_delay)


async def _roles_as_claimed(claims: Claims) -> frozenset[str]:
    """Believe the issuer: users and sessions are its own."""
    return frozenset(claims.roles)
