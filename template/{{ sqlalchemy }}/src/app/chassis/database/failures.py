"""Translation of the database's failures into the problems that clients are told about."""

from collections.abc import Generator
from contextlib import contextmanager

import structlog
from psycopg import errors as postgres
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError

from app.chassis.errors import Conflict, PreconditionFailed, Unavailable, ValidationFailed

RETRYABLE = (postgres.SerializationFailure, postgres.DeadlockDetected)
"""The whole transaction may succeed when it is run again."""

_OVERLOADED = (postgres.QueryCanceled, postgres.TooManyConnections)

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@contextmanager
def translated() -> Generator[None]:
    """Turn what the driver raises into problems; a failure that is a bug stays what it is."""
    try:
        yield
    except IntegrityError as error:
        raise _violation(error) from error
    except StaleDataError as error:
        raise PreconditionFailed("The resource has another version now.") from error
    except PoolTimeout as error:
        log.warning("database_pool_exhausted")
        raise Unavailable("No database connection became free in time.") from error
    except (DBAPIError, OSError) as error:
        if isinstance(error, DBAPIError) and isinstance(error.orig, postgres.LockNotAvailable):
            log.warning("database_lock_timeout")
            raise Unavailable("Somebody else is changing this at the moment.") from error
        if isinstance(error, OSError) or _unavailable(error):
            log.warning("database_unavailable", error=_name(error))
            raise Unavailable(
                "The database cannot be used at the moment.", retry_after=2
            ) from error
        if isinstance(error.orig, postgres.DataError):
            raise ValidationFailed("A value cannot be stored.") from error
        raise


def is_retryable(error: BaseException) -> bool:
    """Whether the failure came from concurrency alone (SQLSTATE 40001, 40P01)."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, RETRYABLE)


def _violation(error: IntegrityError) -> Exception:
    if isinstance(error.orig, postgres.UniqueViolation):
        return Conflict("Another resource already has this value.")
    if isinstance(error.orig, postgres.ForeignKeyViolation):
        return Conflict("The request refers to a missing resource, or removes one still in use.")
    return error


def _unavailable(error: DBAPIError) -> bool:
    cause = error.orig
    if isinstance(cause, RETRYABLE):
        return False
    if isinstance(cause, (*_OVERLOADED, postgres.AdminShutdown)):
        return True
    lost = isinstance(cause, (postgres.OperationalError, postgres.InterfaceError))
    return error.connection_invalidated or lost


def _name(error: DBAPIError | OSError) -> str:
    return type(error.orig if isinstance(error, DBAPIError) else error).__name__
