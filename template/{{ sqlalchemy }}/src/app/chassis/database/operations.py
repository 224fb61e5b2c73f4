"""Schema changes on tables that are in use, for migrations: nothing that blocks traffic."""

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import TextClause, text


def create_index_concurrently(
    name: str, table: str, columns: Sequence[str | TextClause], **options: Any
) -> None:
    """Create an index without blocking writes; `options` are those of `op.create_index`.

    An invalid index that an interrupted run left behind is dropped first, so it can be run again.
    """
    with op.get_context().autocommit_block():
        invalid = text(
            "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid"
        )
        offline = op.get_context().as_sql
        if not offline and op.get_bind().scalar(invalid, {"name": name}):
            op.drop_index(name, table, postgresql_concurrently=True)
        op.create_index(
            name, table, columns, postgresql_concurrently=True, if_not_exists=True, **options
        )


def drop_index_concurrently(name: str, table: str) -> None:
    """Drop an index without blocking reads or writes."""
    with op.get_context().autocommit_block():
        op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
