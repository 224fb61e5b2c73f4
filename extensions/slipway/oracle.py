"""Says which answers the template must refuse, and why: the rules a second time, without Jinja.

Copier enforces the rules through the validators of `copier.yml`. This module states them
independently, so that the tests can hold one against the other. One rule stands in Copier's
validator alone: which slugs are taken by packages that a service installs.
"""

from collections.abc import Callable
from itertools import combinations
from string import ascii_letters, ascii_lowercase, digits
from typing import cast

from slipway.catalogue import Answers, Catalogue, Question

_PLAIN = ascii_letters + digits


def rejected(catalogue: Catalogue, answers: Answers) -> str | None:
    """Return why `answers` must be refused, or None where they are fine.

    Questions without an answer take their default; answers to questions that are not asked do
    not count.
    """
    for question in catalogue.questions:
        asked = question.asked_with is None or question.asked_with.holds(answers)
        if asked and question.name in answers:
            reason = _misfit(question, answers[question.name])
            if reason:
                return f"{question.name}: {reason}"
    chosen = answers.get("patterns", [])
    return _clash(catalogue, chosen if isinstance(chosen, list) else [])


def _misfit(question: Question, answer: object) -> str | None:
    """Return what is wrong with one answer on its own."""
    if question.kind == "flag":
        return None if isinstance(answer, bool) else "is neither yes nor no"
    if question.kind == "text":
        return None if _TEXTS[question.name](str(answer)) else "is not of the shape it must have"
    given = cast("list[object]", answer if isinstance(answer, list) else [answer])
    unknown = [value for value in given if value not in question.values]
    return f"does not offer {unknown[0]!r}" if unknown else None


def _clash(catalogue: Catalogue, chosen: list[str]) -> str | None:
    """Return which chosen patterns miss what they require, or exclude each other."""
    for name in chosen:
        for required in catalogue.pattern(name).requires:
            if required not in chosen:
                return f"patterns: {name} requires {required}"
    for one, other in combinations(chosen, 2):
        if other in catalogue.pattern(one).conflicts or one in catalogue.pattern(other).conflicts:
            return f"patterns: {one} and {other} exclude each other"
    return None


def _is_name(text: str) -> bool:
    return (
        _has_length(text, 50)
        and text[0] in ascii_letters
        and text[-1] != " "
        and set(text) <= set(_PLAIN + " ._-")
    )


def _is_slug(text: str) -> bool:
    return (
        _has_length(text, 40)
        and text[0] in ascii_lowercase
        and all(text.split("-"))
        and set(text) <= set(ascii_lowercase + digits + "-")
    )


def _is_description(text: str) -> bool:
    accented = {letter for letter in text if "\u00c0" <= letter <= "\u024f"}
    return (
        _has_length(text, 200)
        and text[0] in accented | set(_PLAIN)
        and set(text) - accented <= set(_PLAIN + " .,:;'()&/+_!?-")
    )


def _is_owner(text: str) -> bool:
    return _has_length(text, 60) and text[0] in _PLAIN and set(text) <= set(_PLAIN + " ._@-")


def _has_length(text: str, most: int) -> bool:
    return 0 < len(text) <= most


_TEXTS: dict[str, Callable[[str], bool]] = {
    "service_name": _is_name,
    "service_slug": _is_slug,
    "description": _is_description,
    "owner": _is_owner,
}
