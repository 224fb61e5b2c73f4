"""What clients send and receive about users and tokens."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from app import about
from app.chassis.auth.common_passwords import is_common
from app.chassis.auth.passwords import LONGEST_PASSWORD, normalized
from app.chassis.text import EmailAddress

SHORTEST_PASSWORD = 8
SERVICE_NAMES = frozenset(
    {normalized(about.TITLE).lower(), about.SLUG, about.SLUG.replace("-", "")}
)


def _unicode(password: SecretStr) -> SecretStr:
    """JSON can write half a character, which nothing can store or hash."""
    try:
        password.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("must be Unicode text") from None
    return password


def _of_length(password: SecretStr) -> SecretStr:
    if not SHORTEST_PASSWORD <= len(normalized(password.get_secret_value())) <= LONGEST_PASSWORD:
        raise ValueError(f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return password


def _uncommon(password: SecretStr) -> SecretStr:
    if is_common(password.get_secret_value()):
        raise ValueError("is among the most common passwords")
    return password


Email = Annotated[EmailAddress, AfterValidator(str.lower)]
Password = Annotated[
    SecretStr,
    Field(json_schema_extra={"minLength": SHORTEST_PASSWORD, "maxLength": LONGEST_PASSWORD}),
    AfterValidator(_unicode),
    AfterValidator(_of_length),
    AfterValidator(_uncommon),
]


class Registration(BaseModel):
    """A new user: an email address and a password of 8 to 128 characters, whichever they are.

    Only the passwords that most people have, the name of the service and the user's own address
    are refused (NIST SP 800-63B, ASVS 5.0).
    """

    model_config = ConfigDict(extra="forbid")

    email: Email
    password: Password

    @field_validator("password")
    @classmethod
    def _is_no_name(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        email = str(info.data.get("email", ""))
        written = normalized(password.get_secret_value()).lower()
        if written in {email, email.rpartition("@")[0], *SERVICE_NAMES}:
            raise ValueError("must not be your email address or the name of this service")
        return password


class RegistrationView(BaseModel):
    """The answer to a registration, the same whether or not the address was known."""

    email: str


class TokenView(BaseModel):
    """A successful answer of the token endpoint (RFC 6749, 5.1); `expires_in` in seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme
    expires_in: int
    refresh_token: str
    scope: str
