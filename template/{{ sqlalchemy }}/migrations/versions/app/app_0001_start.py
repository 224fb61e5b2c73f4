"""Where the service's own migrations start; the template's patterns have branches of their own."""

from collections.abc import Sequence

revision: str = "app_0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = ("app",)
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Nothing yet: `just migration "what changes"` writes the next one."""


def downgrade() -> None:
    """Nothing to undo."""
