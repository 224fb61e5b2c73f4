"""Who the running task acts for."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

ADMIN = "admin"


@dataclass(frozen=True)
class Principal:
    """The caller that an accepted access token speaks for; `subject` is the token's `sub`."""

    subject: str
    scopes: frozenset[str]
    roles: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """Whether the caller may see and change what belongs to others."""
        return ADMIN in self.roles


_principal: ContextVar[Principal | None] = ContextVar("principal", default=None)


def current_principal() -> Principal | None:
    """The caller of the running request; None where there is none, or none was recognised."""
    return _principal.get()


@contextmanager
def acting_for(principal: Principal | None) -> Generator[None]:
    """Run the block on behalf of `principal`."""
    token = _principal.set(principal)
    try:
        yield
    finally:
        _principal.reset(token)
