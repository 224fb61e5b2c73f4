"""Form-encoded bodies of the token routes, each parameter at most once (RFC 6749, 3.2)."""

from urllib.parse import parse_qsl

from app.chassis.auth.errors import InvalidTokenRequest

MOST_PARAMETERS = 20


class Form:
    """The parameters of one request; an empty one counts as missing."""

    def __init__(self, body: bytes) -> None:
        """Read a body; raises `InvalidTokenRequest`."""
        try:
            pairs = parse_qsl(
                body.decode(),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MOST_PARAMETERS,
            )
        except ValueError:
            raise InvalidTokenRequest("The body is not a form.") from None
        if len(pairs) != len(dict(pairs)):
            raise InvalidTokenRequest("A parameter is there more than once.")
        self._values = dict(pairs)

    def get(self, name: str) -> str | None:
        """Return a parameter, or None."""
        return self._values.get(name) or None

    def require(self, name: str) -> str:
        """Return a parameter; raises `InvalidTokenRequest` where it is missing."""
        if value := self.get(name):
            return value
        raise InvalidTokenRequest(f"The parameter {name} is missing.")
