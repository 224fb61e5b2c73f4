"""Alembic's environment: which tables there are, and how a migration is run."""

from alembic import context
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from app import bootstrap
from app.chassis.database import DatabaseSettings, Model
from app.chassis.database.migrate import has_model, migration_engine

# Importing the list of components imports every table.
assert bootstrap.COMPONENTS


def name_revision(
    _context: MigrationContext, _revision: object, directives: list[MigrationScript]
) -> None:
    """Put the branch into the name of a new revision: it tells whose migration it is."""
    for script in directives:
        script.rev_id = f"app_{script.rev_id}"


def run(connection: Connection | None) -> None:
    """Run the migrations on `connection`, or print their SQL where there is none."""
    context.configure(
        connection=connection,
        dialect_name="postgresql",
        target_metadata=Model.metadata,
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
        include_name=has_model,
        process_revision_directives=name_revision,
    )
    with context.begin_transaction():
        if connection is None:
            context.execute("SET lock_timeout = '5s'")
            context.execute("SET statement_timeout = '10min'")
        context.run_migrations()


if context.is_offline_mode():
    run(None)
elif given := context.config.attributes.get("connection"):
    run(given)
else:
    with migration_engine(DatabaseSettings()).connect() as own:  # pyright: ignore[reportCallIssue] - from the environment
        run(own)
