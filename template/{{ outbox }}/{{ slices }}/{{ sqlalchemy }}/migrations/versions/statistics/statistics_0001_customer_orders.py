"""Statistics of orders."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "statistics_0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = ("statistics",)
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create the table that the consumer of order events keeps."""
    op.create_table(
        "customer_orders",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        *(_count(name) for name in ("created", "confirmed", "cancelled", "rejected")),
        sa.PrimaryKeyConstraint("customer_id", name="pk_customer_orders"),
    )


def downgrade() -> None:
    """Drop it; the events that it was counted from may be gone."""
    op.drop_table("customer_orders")


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))
