"""Outbox and inbox."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "outbox_0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = ("outbox",)
depends_on: str | Sequence[str] | None = None

TIMESTAMP = sa.DateTime(timezone=True)

# Rows are updated twice and deleted once: leave room for new versions, and vacuum early.
STORAGE = "ALTER TABLE outbox SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01)"

# Delivered when the transaction commits, once however many rows it inserted.
NOTIFY = """
CREATE FUNCTION outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox', '');
    RETURN NULL;
END
$$
"""
TRIGGER = """
CREATE TRIGGER outbox_notify AFTER INSERT ON outbox
FOR EACH STATEMENT EXECUTE FUNCTION outbox_notify()
"""


def upgrade() -> None:
    """Create the tables, and the trigger that wakes the relay."""
    _create_outbox()
    for statement in (STORAGE, NOTIFY, TRIGGER):
        op.execute(statement)
    _create_inbox()
    _create_inbox_failures()


def downgrade() -> None:
    """Drop the tables; what has not been published is lost."""
    op.drop_table("inbox_failures")
    op.drop_table("inbox")
    op.drop_table("outbox")
    op.execute("DROP FUNCTION outbox_notify()")


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("aggregatetype", sa.Text(collation="C"), nullable=False),
        sa.Column("aggregateid", sa.Text(collation="C"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("created", TIMESTAMP, nullable=False, server_default=sa.func.now()),
        sa.Column("trace", JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("status", sa.Text(), nullable=False, server_default="pending"),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("available_at", TIMESTAMP, nullable=False, server_default=sa.func.now()),
        sa.Column("claimed_by", sa.Uuid()),
        sa.Column("published_at", TIMESTAMP),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.CheckConstraint("status IN ('pending', 'published', 'dead')", name="status"),
    )
    pending, published = sa.text("status = 'pending'"), sa.text("status = 'published'")
    op.create_index("ix_outbox_pending", "outbox", ["position"], postgresql_where=pending)
    op.create_index("ix_outbox_published", "outbox", ["published_at"], postgresql_where=published)
    op.create_index(
        "ix_outbox_unpublished",
        "outbox",
        ["aggregatetype", "aggregateid", "position"],
        postgresql_where=sa.text("status <> 'published'"),
    )


def _create_inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("handled_at", TIMESTAMP, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("consumer", "message_id", name="pk_inbox"),
    )
    op.create_index("ix_inbox_handled_at", "inbox", ["handled_at"])


def _create_inbox_failures() -> None:
    op.create_table(
        "inbox_failures",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("headers", JSONB(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, server_default="retrying"),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("trace", JSONB(), nullable=False),
        sa.Column("first_failed_at", TIMESTAMP, nullable=False, server_default=sa.func.now()),
        sa.Column("next_attempt_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "message_id", name="pk_inbox_failures"),
        sa.CheckConstraint("status IN ('retrying', 'dead')", name="status"),
    )
    op.create_index(
        "ix_inbox_failures_retrying",
        "inbox_failures",
        ["next_attempt_at"],
        postgresql_where=sa.text("status = 'retrying'"),
    )
