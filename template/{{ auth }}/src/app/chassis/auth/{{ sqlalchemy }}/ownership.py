"""Ownership of rows, as a rule of every session: nothing to remember in the next query.

A mapped class with an `owner_id` is confined: whatever is selected, counted, updated or deleted,
directly or along a relationship, is what belongs to the caller. Admins see everything; a task
without a caller sees nothing, unless it is `unconfined`. SQL written as text is not confined.
"""

import functools
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import ColumnElement, Index, Text, bindparam, event
from sqlalchemy.orm import (
    LoaderCriteriaOption,
    MappedColumn,
    Mapper,
    ORMExecuteState,
    Session,
    attributes,
    mapped_column,
    with_loader_criteria,
)

from app.chassis.auth.principal import current_principal
from app.chassis.database.model import Model

OWNER = "owner_id"

_unconfined: ContextVar[bool] = ContextVar("unconfined", default=False)


class OwnershipViolated(RuntimeError):
    """The code tried to write a row that the caller does not own: a bug, never a client's error."""


def owner_column() -> MappedColumn[str | None]:
    """Declare the owner of a row: the `sub` of a token.

    Null where the row is older than its owner's account, or came from a background process: only
    admins see it then.
    """
    return mapped_column(Text)


def unique_per_owner(name: str, expression: ColumnElement[Any]) -> Index:
    """Declare what is unique among the rows of each owner.

    Unique among all rows, it would tell a caller what others have.
    """
    return Index(name, OWNER, expression, unique=True, postgresql_nulls_not_distinct=True)


@contextmanager
def unconfined() -> Generator[None]:
    """Let the block see and write every row: for background work and scripts, never for requests.

    New rows keep the owner that they are given.
    """
    token = _unconfined.set(True)
    try:
        yield
    finally:
        _unconfined.reset(token)


def _is_confined() -> bool:
    if _unconfined.get():
        return False
    principal = current_principal()
    return principal is None or not principal.is_admin


def _caller() -> str | None:
    """The owner to compare with; nothing equals NULL, so nobody owns nothing."""
    principal = current_principal()
    return principal.subject if principal else None


@functools.cache
def _criterion(owned: type[Any]) -> LoaderCriteriaOption:
    caller = bindparam("caller", callable_=_caller, type_=Text(), unique=True)
    return with_loader_criteria(owned, getattr(owned, OWNER) == caller, include_aliases=True)


@event.listens_for(Session, "do_orm_execute")
def _confine(state: ORMExecuteState) -> None:
    # What is loaded along a relationship inherits the criteria of the query that it started from.
    if state.is_column_load or state.is_relationship_load or not _is_confined():
        return
    if state.is_insert and _is_owned(state.bind_mapper):
        raise OwnershipViolated("add objects to the session: a bulk insert sets no owner")
    owned = (mapper.class_ for mapper in Model.registry.mappers if _is_owned(mapper))
    state.statement = state.statement.options(*map(_criterion, owned))


@event.listens_for(Session, "before_flush")
def _own(session: Session, _context: object, _instances: object) -> None:
    caller = _caller()
    for row in _owned(session.new):
        if getattr(row, OWNER) is None:
            setattr(row, OWNER, caller)
    if not _is_confined():
        return
    if any(getattr(row, OWNER) != caller or caller is None for row in _owned(session.new)):
        raise OwnershipViolated("a new row belongs to the caller")
    changed = [*_owned(session.dirty), *_owned(session.deleted)]
    if any(attributes.get_history(row, OWNER).has_changes() for row in changed):
        raise OwnershipViolated("a row keeps its owner")
    if any(getattr(row, OWNER) != caller for row in changed):
        raise OwnershipViolated("a row of somebody else was changed")


def _owned(rows: Iterable[object]) -> Iterator[object]:
    return (row for row in rows if hasattr(row, OWNER))


def _is_owned(mapper: Mapper[Any] | None) -> bool:
    return mapper is not None and mapper.has_property(OWNER)
