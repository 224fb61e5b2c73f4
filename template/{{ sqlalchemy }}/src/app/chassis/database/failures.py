"""Translation of the database's failures into the problems that clients are told about."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

import structlog
from psycopg import errors as postgres
from psycopg.pq import TransactionStatus
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from app.chassis.database.connection import PatientConnection
from app.chassis.errors import Conflict, PreconditionFailed, Unavailable, ValidationFailed

RETRYABLE = (postgres.SerializationFailure, postgres.DeadlockDetected)
"""The whole transaction may succeed when it is run again."""

_OVERLOADED = (postgres.QueryCanceled, postgres.TooManyConnections)

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class DatabaseUnavailable(Unavailable):
    """The database is away, overloaded or locked: that says nothing about what was wanted of it."""


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
        raise DatabaseUnavailable("No database connection became free in time.") from error
    except DBAPIError as error:
        if isinstance(error.orig, postgres.LockNotAvailable):
            log.warning("database_lock_timeout")
            raise DatabaseUnavailable("Somebody else is changing this at the moment.") from error
        if _unavailable(error):
            log.warning("database_unavailable", error=type(error.orig).__name__)
            # A statement may take too long because of what was wanted.
            is_slow = isinstance(error.orig, postgres.QueryCanceled)
            kind = Unavailable if is_slow else DatabaseUnavailable
            raise kind("The database cannot be used at the moment.", retry_after=2) from error
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


def take_for_lost(context: ExceptionContext) -> None:
    """Let the pool replace its connections when the server has become read-only: a listener.

    What was set for the database when a connection was made stays with it; and where the primary
    has changed, the old connections lead to the old one.
    """
    if isinstance(context.original_exception, postgres.ReadOnlySqlTransaction):
        context.is_disconnect = True


def commit(session: Session) -> None:
    """Commit, and raise where that would be a rollback.

    Once a statement has failed PostgreSQL commits nothing, and does not call that an error. Who
    goes on after a failure has to put the statement into `database.savepoint()`.
    """
    if session.in_transaction():
        driver = cast("PatientConnection", session.connection().connection.driver_connection)
        if driver.pgconn.transaction_status == TransactionStatus.INERROR:
            raise RuntimeError("a statement has failed, so its transaction cannot be committed")
    session.commit()
