"""Addresses of Redis, wherever one is configured."""

from urllib.parse import urlsplit


def is_usable(url: str) -> bool:
    """Whether the client takes it as it is meant: it passes over a database that is no number."""
    from redis.asyncio.connection import parse_url  # noqa: PLC0415 - only who has an address needs it

    try:
        parse_url(url)
        parts = urlsplit(url)
        has_a_port = parts.port != 0
    except ValueError:
        return False
    database = parts.path.strip("/")
    return has_a_port and (parts.scheme == "unix" or not database or database.isdecimal())
