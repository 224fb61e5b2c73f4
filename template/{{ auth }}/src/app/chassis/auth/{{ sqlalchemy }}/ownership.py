"""Ownership of rows, as a rule of every session: nothing to remember in the next query.

A mapped class with an `owner_id` is confined: whatever is selected, counted, updated or deleted,
directly or along a relationship, is what belongs to the caller. Admins see everything; a task
without a caller sees nothing, unless it is `unconfined`. A statement that names the table instead
of the class is refused. SQL written as text, and what is executed on a connection instead of the
session, is not confined.
"""

import functools
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from sqlalchemy import ColumnElement, Index, Select, Text, bindparam, event
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

from app.chassis.auth.named_tables import tables_named
from app.chassis.auth.principal import current_principal
from app.chassis.database.model import Model

OWNER = "owner_id"

_unconfined: ContextVar[bool] = ContextVar("unconfined", default=False)


class OwnershipViolated(RuntimeError):
    """The code tried to pass over the owner of a row: a bug, never a client's error."""


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


def _is_the_callers(owned: type[Any]) -> ColumnElement[bool]:
    caller = bindparam("caller", callable_=_caller, type_=Text(), unique=True)
    return getattr(owned, OWNER) == caller


@functools.cache
def _criterion(owned: type[Any]) -> LoaderCriteriaOption:
    return with_loader_criteria(owned, _is_the_callers(owned), include_aliases=True)


@event.listens_for(Session, "do_orm_execute")
def _confine(state: ORMExecuteState) -> None:
    if not _is_confined():
        return
    mapper = state.bind_mapper
    if state.is_insert and _is_owned(mapper):
        raise OwnershipViolated("add objects to the session: a bulk insert sets no owner")
    owned = [mapper for mapper in Model.registry.mappers if _is_owned(mapper)]
    if not (state.is_column_load or state.is_relationship_load):
        for table in tables_named(state.statement):
            if any(table is mapper.local_table for mapper in owned):
                raise OwnershipViolated(f"name the class, not the table {table.name}")
    if state.is_column_load and mapper is not None and _is_owned(mapper):
        # Criteria are not applied to what refreshes an object.
        refreshed = cast("Select[Any]", state.statement)
        state.statement = refreshed.where(_is_the_callers(mapper.class_))
    state.statement = state.statement.options(*(_criterion(mapper.class_) for mapper in owned))


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
