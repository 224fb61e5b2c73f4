"""What the components of `bootstrap.py` put together."""

import gc
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from app.chassis.asgi import ASGIApp
from app.chassis.health import HealthChecks
from app.chassis.settings import ConfigurationError, CoreSettings, Settings

T = TypeVar("T")
S = TypeVar("S", bound=Settings)

Component = Callable[["Service"], None]
Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
Middleware = Callable[[ASGIApp], ASGIApp]


class NotProvided(LookupError):
    """A component asked for something that no earlier component of the list provides."""


class Service:
    """The registry that each `add_*` function of `bootstrap.py` adds its component to."""

    def __init__(self) -> None:
        self.checks = HealthChecks()
        self.forms: set[str] = set()
        self.request_headers: set[str] = set()
        self.response_headers: set[str] = set()
        self.middleware: list[Middleware] = []
        self.settings: list[Settings] = []
        self._provided: dict[type, object] = {}
        self._lifespans: list[Lifespan] = []
        self.provide(self.checks)

    def load(self, kind: type[S]) -> S:
        """Read a component's settings from the environment, once.

        Raises:
            ConfigurationError: naming each variable that cannot be used.
        """
        if kind in self._provided:
            return self.get(kind)
        try:
            settings = kind()
        except ValidationError as error:
            raise ConfigurationError.of(kind, error) from None
        self.settings.append(settings)
        self.provide(settings)
        return settings

    def provide(self, value: object, kind: type | None = None) -> None:
        """Offer `value` to later components and to the HTTP routes, under its type or `kind`."""
        self._provided[kind or type(value)] = value

    def get(self, kind: type[T]) -> T:
        """Return what was provided under `kind`.

        Raises:
            NotProvided: nothing was.
        """
        try:
            return cast("T", self._provided[kind])
        except KeyError:
            raise NotProvided(kind.__qualname__) from None

    def add_lifespan(self, lifespan: Lifespan) -> None:
        """Enter `lifespan` at start-up, in the order of the list, and leave it in reverse."""
        self._lifespans.append(lifespan)

    def add_middleware(self, middleware: Middleware) -> None:
        """Wrap the HTTP application; what is added first sees a request first."""
        self.middleware.append(middleware)

    @property
    def core(self) -> CoreSettings:
        """The service's own name, environment and log level."""
        return self.get(CoreSettings)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Service"]:
        """Start every component and stop them in reverse order."""
        async with AsyncExitStack() as stack:
            for lifespan in self._lifespans:
                await stack.enter_async_context(lifespan())
            # What start-up made stays: the collector need not look at it again and again.
            gc.freeze()
            self.checks.started = True
            yield self


def assemble(components: Iterable[Component]) -> Service:
    """Let each component add itself.

    Raises:
        ConfigurationError: with every bad variable of every component, not just the first.
    """
    service = Service()
    errors: list[ConfigurationError] = []
    try:
        service.load(CoreSettings)
    except ConfigurationError as error:
        errors.append(error)
        service.provide(CoreSettings.presumed())
    for add in components:
        try:
            add(service)
        except ConfigurationError as error:
            errors.append(error)
        except NotProvided:
            # Most likely the missing one could not be configured, and that is reported below.
            if not errors:
                raise
    if errors:
        raise ConfigurationError.merged([*errors, *_all_that_cannot_be_read()])
    return service


def _all_that_cannot_be_read() -> Generator[ConfigurationError]:
    """Look at every kind of settings: a component stops at the first that it cannot load."""
    for kind in Settings.__subclasses__():
        try:
            Service().load(kind)
        except ConfigurationError as error:
            yield error
