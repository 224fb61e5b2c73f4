"""Addresses of brokers, which may be several in one setting."""

from pydantic import AnyUrl, ValidationError


def names_a_server(url: str, schemes: tuple[str, ...]) -> bool:
    """Whether it names a host, by one of these schemes, at a port that there can be."""
    try:
        is_whole = AnyUrl(url).host is not None
    except ValidationError:
        return False
    return is_whole and url.startswith(schemes)
