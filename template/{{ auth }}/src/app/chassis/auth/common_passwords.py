"""Passwords that are guessed first, and so are none (ASVS 5.0, 6.2.4)."""

from functools import cache


def is_common(password: str) -> bool:
    """Whether `password` is among the 30,000 most common ones, in whichever case."""
    return password.lower() in _common_passwords()


@cache
def _common_passwords() -> frozenset[str]:
    # They take 40 ms and 14 MB, and most processes never see a new password.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415

    return frozenset(FREQUENCY_LISTS["passwords"])
