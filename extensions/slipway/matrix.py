"""The space of valid combinations, and small sets of rows that cover it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, TypeAlias, cast

import covertable

from slipway.catalogue import Answer, Catalogue

Factor: TypeAlias = str  # "framework", or "patterns:auth" for one box of a checkbox list
Level: TypeAlias = str | bool
Levels: TypeAlias = Mapping[Factor, tuple[Level, ...]]
Combination: TypeAlias = frozenset[tuple[Factor, Level]]

NOT_ASKED = ""
_BEGINNERS_AID = "preset"  # only ticks boxes beforehand; the boxes themselves are factors


class CoverageError(Exception):
    """A covering array misses combinations that it was built to cover."""


@dataclass(frozen=True)
class Row:
    """One combination: a level for every factor."""

    catalogue: Catalogue
    levels: Mapping[Factor, Level]

    def answers(self) -> dict[str, Answer]:
        """Return the row as answers that Copier understands."""
        answers: dict[str, Answer] = {}
        for question in self.catalogue.questions:
            if question.kind == "choices":
                boxes = [v for v in question.values if self.levels[f"{question.name}:{v}"]]
                answers[question.name] = boxes
            elif question.name in self.levels and self.levels[question.name] != NOT_ASKED:
                answers[question.name] = self.levels[question.name]
        return answers

    @property
    def id(self) -> str:
        """The row in words, such as `fastapi-auth-outbox.nats-example-3.11-github-compose`."""
        words: list[str] = []
        for question in self.catalogue.questions:
            if question.kind == "choices":
                words.extend(self._boxes(question.name) or [f"no_{question.name}"])
            elif question.kind == "flag":
                words.append(question.name if self.levels[question.name] else f"no_{question.name}")
            elif question.name in self.levels and question.asked_with is None:
                level = str(self.levels[question.name])
                words.append(level if level != "none" else f"no_{question.name}")
        return "-".join(words)

    def _boxes(self, name: str) -> list[str]:
        """Return the ticked boxes of one list, each with the answers that depend on it."""
        words: list[str] = []
        for value in self.catalogue.question(name).values:
            if self.levels[f"{name}:{value}"]:
                details = [
                    str(self.levels[question.name])
                    for question in self.catalogue.questions
                    if question.asked_with and question.asked_with.value == value
                ]
                words.append(".".join([value, *details]))
        return words

    def tuples(self, strength: int) -> Iterator[Combination]:
        """Yield every combination of `strength` levels that the row contains."""
        yield from map(frozenset, combinations(self.levels.items(), strength))


def factors(catalogue: Catalogue, only: Mapping[str, Sequence[Level]] | None = None) -> Levels:
    """Return every factor with its levels; `only` narrows some of them."""
    levels: dict[Factor, tuple[Level, ...]] = {}
    for question in catalogue.questions:
        if question.kind == "choices":
            levels |= {f"{question.name}:{value}": (False, True) for value in question.values}
        elif question.kind == "flag":
            levels[question.name] = (False, True)
        elif question.kind == "choice" and question.name != _BEGINNERS_AID:
            unasked = () if question.asked_with is None else (NOT_ASKED,)
            levels[question.name] = (*unasked, *question.values)
    return levels | {name: tuple(values) for name, values in (only or {}).items()}


def every_row(
    catalogue: Catalogue, only: Mapping[str, Sequence[Level]] | None = None
) -> Iterator[Row]:
    """Yield every valid combination, in a stable order."""
    levels = factors(catalogue, only)
    for values in product(*levels.values()):
        candidate = dict(zip(levels, values, strict=True))
        if is_valid(catalogue, candidate):
            yield Row(catalogue, candidate)


def is_valid(catalogue: Catalogue, levels: Mapping[Factor, Level]) -> bool:
    """Tell whether the levels respect what patterns require and which questions are asked."""
    for question in catalogue.questions:
        condition = question.asked_with
        if condition and question.name in levels:
            asked = bool(levels[f"{condition.question}:{condition.value}"])
            if asked == (levels[question.name] == NOT_ASKED):
                return False
    chosen = {pattern.name for pattern in catalogue.patterns if levels[f"patterns:{pattern.name}"]}
    return all(
        chosen >= set(pattern.requires) and chosen.isdisjoint(pattern.conflicts)
        for pattern in catalogue.patterns
        if pattern.name in chosen
    )


def covering_rows(
    catalogue: Catalogue, strength: int = 2, only: Mapping[str, Sequence[Level]] | None = None
) -> list[Row]:
    """Return few rows that contain every valid combination of `strength` levels.

    The emptiest and the fullest row of every framework are always among them. Raises
    CoverageError where a combination is missing: coverage is counted here, not taken on trust.
    """
    levels = factors(catalogue, only)
    made = cast(
        "list[dict[str, Level]]",
        covertable.make(  # pyright: ignore[reportUnknownMemberType]
            {name: list(values) for name, values in levels.items()},
            strength=strength,
            constraints=list(_constraints(catalogue)),
        ),
    )
    found = [Row(catalogue, {name: row[name] for name in levels}) for row in made]
    extremes = _extremes(catalogue, levels)
    rows = _thinned([*extremes, *found], strength, needed=extremes)
    require_coverage(rows, strength, every_row(catalogue, only))
    return rows


def require_coverage(rows: Iterable[Row], strength: int, space: Iterable[Row]) -> None:
    """Raise CoverageError, with an example, unless `rows` contain all combinations of `space`."""
    gaps = missing(rows, strength, space)
    if gaps:
        example = min(sorted(map(str, gap)) for gap in gaps)
        raise CoverageError(f"{len(gaps)} combinations are not covered, such as {example}.")


def missing(rows: Iterable[Row], strength: int, space: Iterable[Row]) -> set[Combination]:
    """Return the combinations of `strength` levels that are in `space` but in none of `rows`."""
    possible = {found for row in space for found in row.tuples(strength)}
    return possible - {found for row in rows for found in row.tuples(strength)}


def as_ci_matrix(rows: Iterable[Row]) -> str:
    """Return the rows as the JSON that a CI job's `strategy.matrix` reads."""
    include = [{"id": row.id, "python": str(row.levels.get("python_version", ""))} for row in rows]
    return json.dumps({"include": include})


def _extremes(catalogue: Catalogue, levels: Levels) -> list[Row]:
    """Return, for every framework, the row with nothing chosen and the row with everything."""
    rows: list[Row] = []
    for framework in levels["framework"]:
        for everything in (False, True):
            row = {name: _extreme(values, everything=everything) for name, values in levels.items()}
            row["framework"] = framework
            if is_valid(catalogue, row):
                rows.append(Row(catalogue, row))
    return rows


def _extreme(values: Sequence[Level], *, everything: bool) -> Level:
    """Return the level that stands for all, or for nothing, among the levels of a factor."""
    nothing = next((value for value in values if value in (False, NOT_ASKED, "none")), values[0])
    something = [value for value in values if value not in (False, NOT_ASKED, "none")]
    return something[0] if everything and something else nothing


def _thinned(rows: list[Row], strength: int, needed: Sequence[Row]) -> list[Row]:
    """Drop doubles, and rows whose combinations all stand in others; never drop `needed`."""
    kept = [row for place, row in enumerate(rows) if row not in rows[:place]]
    for row in reversed(kept.copy()):
        others = [other for other in kept if other is not row]
        if row not in needed and not missing(others, strength, [row]):
            kept = others
    return kept


def _constraints(catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    """Yield the rules of `is_valid` in the words of the covering-array library."""
    for pattern in catalogue.patterns:
        without = _is(f"patterns:{pattern.name}", False)
        for required in pattern.requires:
            yield _either(without, _is(f"patterns:{required}", True))
        for excluded in pattern.conflicts:
            yield _either(without, _is(f"patterns:{excluded}", False))
    for question in catalogue.questions:
        if question.asked_with:
            box = f"{question.asked_with.question}:{question.asked_with.value}"
            unanswered = _is(question.name, NOT_ASKED)
            yield _either(unanswered, _is(box, True))
            yield _either({"operator": "not", "condition": unanswered}, _is(box, False))


def _is(factor: Factor, level: Level) -> dict[str, Any]:
    return {"operator": "eq", "left": factor, "value": level}


def _either(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"operator": "or", "conditions": list(conditions)}
