"""What a statement names by its table, where criteria of the class that is mapped to it miss it."""

from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import ColumnClause, Executable, FromClause, Select, Table, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.annotation import Annotated
from sqlalchemy.sql.visitors import HasTraverseInternals

Tables = frozenset[FromClause]


def tables_named(statement: Executable) -> Iterator[Table]:
    """Find the tables that are written as such, at whichever place.

    Columns of a table whose class is selected as well add no rows, and do not count.
    """
    root = cast("HasTraverseInternals", statement)
    found = [(root, _selected(statement))]
    known = {(id(element), selected) for element, selected in found}
    for element, selected in found:
        yield from _written(element)
        for child in _children(element, selected):
            entry = (child, Tables() if _is_inner(element, root) else selected)
            if (id(child), entry[1]) not in known:
                known.add((id(child), entry[1]))
                found.append(entry)


def _written(element: HasTraverseInternals) -> Iterator[Table]:
    if isinstance(element, Table) and not isinstance(element, Annotated):
        yield element


def _children(element: HasTraverseInternals, selected: Tables) -> list[HasTraverseInternals]:
    """What an element is made of; a class, an alias of it or an attribute is a whole."""
    is_of_class = isinstance(element, Annotated) and isinstance(element, FromClause | ColumnClause)
    is_selected = isinstance(element, ColumnClause) and element.table in selected
    if is_of_class or is_selected or isinstance(element, Table):
        return []
    # Not its own method: that of a `Select` adds the tables of classes, as if written as such.
    return list(HasTraverseInternals.get_children(cast("HasTraverseInternals", element)))


def _is_inner(element: HasTraverseInternals, root: HasTraverseInternals) -> bool:
    return element is not root and isinstance(element, Select)


def _selected(statement: Executable) -> Tables:
    """The tables of the classes that the statement selects under their own names."""
    if not isinstance(statement, Select):
        return Tables()
    columns = cast("Select[Any]", statement).column_descriptions
    entities = (one.get("entity") for one in columns if not one.get("aliased"))
    mappers = (inspect(entity, raiseerr=False) for entity in entities)
    return Tables(each.local_table for each in mappers if isinstance(each, Mapper))
