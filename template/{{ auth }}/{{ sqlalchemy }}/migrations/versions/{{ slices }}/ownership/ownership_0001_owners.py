"""The owners of customers and orders, who each have email addresses of their own.

Rows from before belong to nobody: only admins see them until an owner is written into them.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from app.chassis.database.operations import create_index_concurrently, drop_index_concurrently

revision: str = "ownership_0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = ("ownership",)
depends_on: str | Sequence[str] | None = ("example_0001",)

TABLES = ("customers", "orders")
INDEXES = {
    "ix_customers_owner_id_created_at_id": ("customers", ["owner_id", "created_at", "id"]),
    "ix_orders_owner_id_created_at_id": ("orders", ["owner_id", "created_at", "id"]),
    "ix_orders_owner_id_total_amount_id": ("orders", ["owner_id", "total_amount", "id"]),
    "ix_orders_owner_id_status_created_at_id": (
        "orders",
        ["owner_id", "status", "created_at", "id"],
    ),
    "ix_orders_owner_id_customer_id_created_at_id": (
        "orders",
        ["owner_id", "customer_id", "created_at", "id"],
    ),
}


def upgrade() -> None:
    """Add the columns, then index them without blocking writes."""
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS owner_id TEXT")
    for name, (table, columns) in INDEXES.items():
        create_index_concurrently(name, table, columns)
    create_index_concurrently(
        "uq_customers_owner_id_email",
        "customers",
        ["owner_id", sa.text("lower(email)")],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    drop_index_concurrently("uq_customers_email", "customers")


def downgrade() -> None:
    """Drop the columns; fails while two owners have the same address among their customers."""
    create_index_concurrently(
        "uq_customers_email", "customers", [sa.text("lower(email)")], unique=True
    )
    drop_index_concurrently("uq_customers_owner_id_email", "customers")
    for name, (table, _) in INDEXES.items():
        drop_index_concurrently(name, table)
    for table in TABLES:
        op.drop_column(table, "owner_id")
