"""Schema changes on tables that are in use, for migrations: nothing that blocks traffic."""

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import TextClause, text

PAGES_PER_BATCH = 128


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


def add_check_not_valid(name: str, table: str, condition: str) -> None:
    """Add a check that holds for what is written from now on; `validate_constraint` looks back."""
    _add_not_valid(name, table, f"CHECK ({condition})")


def add_foreign_key_not_valid(name: str, table: str, column: str, target: str) -> None:
    """Add a foreign key for what is written from now on; `target` is like `customers (id)`."""
    _add_not_valid(name, table, f"FOREIGN KEY ({column}) REFERENCES {target}")


def validate_constraint(name: str, table: str) -> None:
    """Check the rows from before while others write; not in the migration that adds it."""
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def set_not_null(table: str, column: str) -> None:
    """Make a column NOT NULL without a scan under an exclusive lock: a valid check proves it.

    Fails, and can be run again, where a row still has none.
    """
    proof = f"ck_{table}_{column}_not_null"
    add_check_not_valid(proof, table, f"{column} IS NOT NULL")
    with op.get_context().autocommit_block():
        validate_constraint(proof, table)
    op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL")
    _drop_constraint(proof, table)


def backfill(table: str, assignment: str, where: str) -> None:
    """Update the rows `where`, some pages of the table at a time, each batch a transaction.

    It goes through the table until there is none left, so `where` must exclude what is done. A
    partitioned table is gone through by partition, so a row must stay in its own.
    """
    with op.get_context().autocommit_block():
        if op.get_context().as_sql:
            op.execute(f"UPDATE {table} SET {assignment} WHERE ({where})")  # noqa: S608 - constants
            return
        while sum(_backfill_one(each, table, assignment, where) for each in _parts(table)):
            pass


def mirror_columns(table: str, old: str, new: str) -> None:
    """Let a trigger keep two columns the same, whichever of them a release writes.

    Raises:
        ValueError: the new column has a default. It would win over what a release writes that
            does not know the column; the old one's serves both.
    """
    if not op.get_context().as_sql and _has_default(table, new):
        raise ValueError(
            f"{table}.{new} has a default, which would replace what is written to {old}: "
            f"leave the default to {old} until the mirror is gone"
        )
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION mirror_{table}_{new}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                NEW.{new} := coalesce(NEW.{new}, NEW.{old});
                NEW.{old} := NEW.{new};
            ELSIF NEW.{old} IS DISTINCT FROM OLD.{old} THEN
                NEW.{new} := NEW.{old};
            ELSIF NEW.{new} IS DISTINCT FROM OLD.{new} THEN
                NEW.{old} := NEW.{new};
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        f"CREATE OR REPLACE TRIGGER mirror_{new} BEFORE INSERT OR UPDATE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION mirror_{table}_{new}()"
    )


def stop_mirroring(table: str, new: str) -> None:
    """Drop the trigger of `mirror_columns`."""
    op.execute(f"DROP TRIGGER IF EXISTS mirror_{new} ON {table}")
    op.execute(
        f"-- squawk-ignore ban-drop-function\nDROP FUNCTION IF EXISTS mirror_{table}_{new}()"
    )


def _add_not_valid(name: str, table: str, constraint: str) -> None:
    _drop_constraint(name, table)  # which an interrupted run left behind
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint} NOT VALID")


def _drop_constraint(name: str, table: str) -> None:
    # squawk warns of guarantees that are lost: what is dropped here is replaced.
    op.execute(
        "-- squawk-ignore ban-drop-constraint\n"
        f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"
    )


def _has_default(table: str, column: str) -> bool:
    query = text(
        "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attname = :column"
        " AND (atthasdef OR attidentity <> '')"
    )
    return op.get_bind().scalar(query, {"table": table, "column": column}) is not None


def _parts(table: str) -> Sequence[str]:
    """The table, and those that hold rows of it: each counts its pages from 0."""
    query = text(
        "WITH RECURSIVE parts AS (SELECT CAST(:table AS regclass)::oid AS part UNION"
        " SELECT inhrelid FROM pg_inherits JOIN parts ON inhparent = part)"
        " SELECT part::regclass::text FROM parts"
    )
    return op.get_bind().scalars(query, {"table": table}).all()


def _backfill_one(part: str, table: str, assignment: str, where: str) -> int:
    alias = table.rpartition(".")[2]
    batch = text(
        f"UPDATE ONLY {part} AS {alias} SET {assignment} WHERE ({where})"  # noqa: S608 - constants
        " AND ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid)"
    )
    return sum(op.get_bind().execute(batch, pages).rowcount for pages in _pages(part))


def _pages(table: str) -> list[dict[str, str]]:
    size = text("SELECT pg_relation_size(to_regclass(:table)) / current_setting('block_size')::int")
    pages: int = op.get_bind().scalar(size, {"table": table}) or 0
    return [
        {"first": f"({first},0)", "last": f"({first + PAGES_PER_BATCH},0)"}
        for first in range(0, pages + 1, PAGES_PER_BATCH)
    ]
