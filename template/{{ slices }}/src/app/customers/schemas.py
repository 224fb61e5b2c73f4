"""What clients send and receive about customers."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.chassis.text import EmailAddress, Line


class CustomerBody(BaseModel):
    """A customer as a client writes one."""

    model_config = ConfigDict(extra="forbid")

    name: Line
    email: EmailAddress


class CustomerPatch(BaseModel):
    """A merge patch (RFC 7396): what is left out stays, and nothing here can be removed."""

    model_config = ConfigDict(extra="forbid")

    name: Line = Field(default_factory=str)
    email: EmailAddress = Field(default_factory=str)


class CustomerView(BaseModel):
    """A customer as a client sees one."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    email: str
    created_at: datetime
    updated_at: datetime
