"""The tables of the outbox and the inbox."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.chassis.database import Model


class OutboxEntry(Model):
    """An event on its way to the broker, stored by the transaction that caused it.

    The columns that name the event are Debezium's. `position` orders the events of an aggregate;
    `available_at` is when a relay may take the row, also after its lease or a pause.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'published', 'dead')", name="status"),
        Index("ix_outbox_pending", "position", postgresql_where=text("status = 'pending'")),
        Index(
            "ix_outbox_unpublished",
            "aggregatetype",
            "aggregateid",
            "position",
            postgresql_where=text("status <> 'published'"),
        ),
        Index("ix_outbox_published", "published_at", postgresql_where=text("status = 'published'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    aggregatetype: Mapped[str] = mapped_column(Text(collation="C"))
    aggregateid: Mapped[str] = mapped_column(Text(collation="C"))
    type: Mapped[str]
    payload: Mapped[dict[str, object]] = mapped_column(JSONB)
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    trace: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    status: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    available_at: Mapped[datetime] = mapped_column(server_default=func.now())
    claimed_by: Mapped[UUID | None]
    published_at: Mapped[datetime | None]
    error: Mapped[str | None]


class InboxEntry(Model):
    """A message that a consumer has handled, stored by the transaction that did so."""

    __tablename__ = "inbox"
    __table_args__ = (Index("ix_inbox_handled_at", "handled_at"),)

    consumer: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(server_default=func.now())


class InboxFailure(Model):
    """A message that a consumer could not handle: to be tried again, or a dead letter."""

    __tablename__ = "inbox_failures"
    __table_args__ = (
        CheckConstraint("status IN ('retrying', 'dead')", name="status"),
        Index(
            "ix_inbox_failures_retrying",
            "next_attempt_at",
            postgresql_where=text("status = 'retrying'"),
        ),
    )

    consumer: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[str] = mapped_column(server_default="retrying")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    reason: Mapped[str]
    trace: Mapped[dict[str, str]] = mapped_column(JSONB)
    first_failed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    next_attempt_at: Mapped[datetime]
