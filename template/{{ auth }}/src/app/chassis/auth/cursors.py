"""Cursors that only the caller can use whom they were made for."""

from collections.abc import Mapping

from app.chassis.auth.principal import current_principal
from app.chassis.listing.cursor import Cursor, CursorCodec


class CallersCursors(CursorCodec):
    """Makes the caller a part of every listing."""

    def encode(self, cursor: Cursor, listing: Mapping[str, object]) -> str:
        """Write a cursor that only the same caller can read, for the same `listing`."""
        return super().encode(cursor, _with_caller(listing))

    def decode(self, text: str, listing: Mapping[str, object]) -> Cursor:
        """Read a cursor; raises `InvalidCursor`, also for the cursor of somebody else."""
        return super().decode(text, _with_caller(listing))


def _with_caller(listing: Mapping[str, object]) -> dict[str, object]:
    principal = current_principal()
    return {**listing, "caller": principal.subject if principal else None}
