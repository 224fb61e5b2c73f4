"""All questions, patterns and layers of the template: `copier.yml` and `patterns/*.yml`, typed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import yaml

Answer: TypeAlias = str | bool | list[str]
Answers: TypeAlias = Mapping[str, Answer]
Kind = Literal["text", "flag", "choice", "choices"]

REPOSITORY = Path(__file__).resolve().parents[2]

# The one shape a condition may have; so that every tool can read it without evaluating Jinja.
_ASKED_WITH = re.compile(r"^\{\{ '(?P<value>\w+)' in (?P<question>\w+) \}\}$")


class CatalogueError(Exception):
    """The template's questions or patterns are not described as the tools need them."""


class UnknownPatternError(Exception):
    """A pattern was named that the template does not offer."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A question is asked only when `value` is among the answers to `question`."""

    question: str
    value: str

    def holds(self, answers: Answers) -> bool:
        """Tell whether the condition is met by `answers`."""
        chosen = answers.get(self.question, [])
        return isinstance(chosen, list) and self.value in chosen


@dataclass(frozen=True, slots=True)
class Choice:
    """One offered value of a question, and the words it is offered with."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    """One visible question; `choices` is empty for text and yes/no questions."""

    name: str
    help: str
    kind: Kind
    default: object
    choices: tuple[Choice, ...] = ()
    asked_with: Condition | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """The values that may be chosen, in the order they are offered."""
        return tuple(choice.value for choice in self.choices)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One optional pattern: what it is, what it needs, and how to recognise it in a rendering."""

    name: str
    title: str
    summary: str
    group: str
    guide: str
    presets: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    proves: tuple[str, ...] = ()
    trace: tuple[str, ...] = ()
    trace_of: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]], hash=False)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything the template offers, and the rules between its parts."""

    root: Path
    questions: tuple[Question, ...]
    patterns: tuple[Pattern, ...]
    layers: tuple[str, ...]
    settings: Mapping[str, Any] = field(repr=False)

    def question(self, name: str) -> Question:
        """Return the question called `name`; raise KeyError where there is none."""
        return {question.name: question for question in self.questions}[name]

    def pattern(self, name: str) -> Pattern:
        """Return the pattern called `name`; raise UnknownPatternError, naming what is offered."""
        for pattern in self.patterns:
            if pattern.name == name:
                return pattern
        offered = ", ".join(pattern.name for pattern in self.patterns)
        raise UnknownPatternError(f"There is no pattern {name!r}; the template offers: {offered}.")

    def groups(self) -> dict[str, list[Pattern]]:
        """Return the patterns by group, both in the order of the checkbox list."""
        groups: dict[str, list[Pattern]] = {}
        for pattern in self.patterns:
            groups.setdefault(pattern.group, []).append(pattern)
        return groups

    def with_requirements(self, names: Iterable[str]) -> list[str]:
        """Return `names` and all that they require, in the order of the checkbox list."""
        wanted: set[str] = set()
        pending = list(names)
        while pending:
            name = pending.pop()
            if name not in wanted:
                wanted.add(name)
                pending.extend(self.pattern(name).requires)
        return [pattern.name for pattern in self.patterns if pattern.name in wanted]

    def dependents(self, names: Iterable[str], chosen: Iterable[str]) -> list[str]:
        """Return the chosen patterns, other than `names`, that could not stay without `names`."""
        gone = set(names)
        return [
            name
            for name in chosen
            if name not in gone and gone & set(self.with_requirements([name]))
        ]

    def preset(self, name: str) -> list[str]:
        """Return the patterns that the preset called `name` ticks."""
        return [pattern.name for pattern in self.patterns if name in pattern.presets]


@cache
def load_catalogue(root: Path = REPOSITORY) -> Catalogue:
    """Read the template at `root`.

    Raises CatalogueError where a file is missing or does not say what the tools rely on.
    """
    source = root / "copier.yml"
    if not source.is_file():
        raise CatalogueError(f"There is no template at {root}: copier.yml is missing.")
    settings: dict[str, object] = {}
    for document in _documents(source):
        settings |= document
    questions = {
        name: cast("dict[str, object]", details)
        for name, details in settings.items()
        if not name.startswith("_")
    }
    visible = {name: details for name, details in questions.items() if details.get("when") != False}  # noqa: E712
    asked = tuple(_question(name, details) for name, details in visible.items())
    return Catalogue(
        root=root,
        questions=asked,
        patterns=_patterns(settings, asked),
        layers=tuple(name for name in questions if name not in visible),
        settings=settings,
    )


def _documents(source: Path) -> list[dict[str, object]]:
    """Return the mappings of a YAML file, with `!include <glob>` replaced by what it names."""

    class Loader(yaml.SafeLoader):
        """A loader of its own: constructors are registered per class."""

    def include(loader: yaml.SafeLoader, node: yaml.Node) -> list[dict[str, object]]:
        glob = str(loader.construct_scalar(cast("yaml.ScalarNode", node)))
        files = sorted(source.parent.glob(glob))
        return [document for file in files for document in _documents(file)]

    Loader.add_constructor("!include", include)
    documents: list[dict[str, object]] = []
    text = source.read_text(encoding="utf-8")
    for found in yaml.load_all(text, Loader=Loader):
        documents.extend(
            cast("list[dict[str, object]]", found if isinstance(found, list) else [found])
        )
    return [document for document in documents if document]


def _question(name: str, details: dict[str, object]) -> Question:
    kind: Kind = "text"
    if details.get("type") == "bool":
        kind = "flag"
    elif details.get("multiselect"):
        kind = "choices"
    elif "choices" in details:
        kind = "choice"
    return Question(
        name=name,
        help=str(details.get("help", "")),
        kind=kind,
        default=details.get("default"),
        choices=_choices(details.get("choices", [])),
        asked_with=_condition(name, details.get("when")),
    )


def _choices(raw: object) -> tuple[Choice, ...]:
    if isinstance(raw, dict):
        labelled = cast("dict[str, str]", raw)
        return tuple(Choice(value, label) for label, value in labelled.items())
    return tuple(Choice(str(value), str(value)) for value in cast("list[object]", raw))


def _condition(name: str, when: object) -> Condition | None:
    if when is None:
        return None
    shape = _ASKED_WITH.match(str(when))
    if shape is None:
        raise CatalogueError(f"{name}: `when` must read \"{{{{ 'value' in question }}}}\".")
    return Condition(question=shape["question"], value=shape["value"])


def _patterns(
    settings: Mapping[str, object], questions: tuple[Question, ...]
) -> tuple[Pattern, ...]:
    """Return the registered patterns in the order in which the checkbox list offers them."""
    offered = next((question for question in questions if question.name == "patterns"), None)
    names = offered.values if offered else ()
    registered = {key.removeprefix("_pattern_") for key in settings if key.startswith("_pattern_")}
    if registered != set(names):
        odd = ", ".join(sorted(registered ^ set(names)))
        raise CatalogueError(f"Offered in copier.yml or registered in patterns/, not both: {odd}.")
    patterns = tuple(
        _pattern(name, cast("dict[str, object]", settings[f"_pattern_{name}"])) for name in names
    )
    for pattern in patterns:
        strangers = {*pattern.requires, *pattern.conflicts} - set(names)
        if strangers:
            raise CatalogueError(f"patterns/{pattern.name}.yml names {strangers}: no such pattern.")
    return patterns


def _pattern(name: str, raw: dict[str, object]) -> Pattern:
    fields = {
        key: tuple(cast("list[str]", value)) if isinstance(value, list) else value
        for key, value in raw.items()
    }
    try:
        return Pattern(name=name, **fields)  # pyright: ignore[reportArgumentType]
    except TypeError as error:
        raise CatalogueError(f"patterns/{name}.yml: {error}") from error
