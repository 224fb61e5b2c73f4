"""The template's own files, read as the rules of DESIGN read them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment
from slipway.catalogue import REPOSITORY, Answer, Catalogue

ROOT = REPOSITORY / "template"
SUFFIX = ".jinja"
_LEFTOVERS = re.compile(r"__pycache__|\.\w+_cache|\.venv")
_LAYER = re.compile(r"^\{\{ (\w+) \}\}$")
_STATEMENT = re.compile(r"^\s*# \{% (?P<words>.+?) %\}$")


@dataclass(frozen=True)
class Source:
    """One file of the template."""

    path: Path
    root: Path

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that must all be switched on for the file to be rendered."""
        parts = self.path.relative_to(self.root).parts
        return tuple(found[1] for part in parts if (found := _LAYER.match(part)))

    @property
    def target(self) -> str:
        """Where the file is rendered to, as it is spelt before rendering."""
        parts = self.path.relative_to(self.root).parts
        return "/".join(part for part in parts if not _LAYER.match(part)).removesuffix(SUFFIX)

    @property
    def is_rendered(self) -> bool:
        return self.path.name.endswith(SUFFIX)

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def statements(self) -> Iterator[tuple[int, str]]:
        """Yield the line and the words of every Jinja statement."""
        for number, line in enumerate(self.text.splitlines(), start=1):
            if found := _STATEMENT.match(line):
                yield number, found["words"]

    def __str__(self) -> str:
        return self.path.relative_to(self.root).as_posix()


def every_source(root: Path = ROOT) -> list[Source]:
    """Return every file of the template, sorted."""
    return [
        Source(path, root)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not _LEFTOVERS.search(path.relative_to(root).as_posix())
    ]


def active_layers(catalogue: Catalogue, answers: Mapping[str, Answer]) -> set[str]:
    """Return the layers that `answers` switch on, computed without Copier."""
    jinja = Environment(autoescape=False)  # noqa: S701 - paths, not HTML
    switched: set[str] = set()
    for layer in catalogue.layers:
        switch = str(catalogue.settings[layer]["default"])
        if jinja.from_string(switch).render(answers) == ".":
            switched.add(layer)
    return switched


def predicted(
    catalogue: Catalogue, answers: Mapping[str, Answer], sources: Iterable[Source]
) -> list[str]:
    """Return every path that `answers` should render; a path twice means that layers clash."""
    active = active_layers(catalogue, answers)
    return [source.target for source in sources if active.issuperset(source.layers)]
