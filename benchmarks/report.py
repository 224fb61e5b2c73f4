"""Tables, and their places in `docs/benchmarks.md`."""

import re
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


@dataclass
class Table:
    """Figures in rows."""

    heads: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(cells)

    def __str__(self) -> str:
        """Write it as Markdown."""
        rule = tuple("---" for _ in self.heads)
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.heads, rule, *self.rows))


def write(name: str, table: Table, page: Path = PAGE) -> None:
    """Replace the table between the page's marks of that name.

    Raises LookupError where the page has no such marks.
    """
    text = page.read_text(encoding="utf-8")
    opening, closing = f"<!-- {name} -->", f"<!-- end of {name} -->"
    marked = re.compile(f"{re.escape(opening)}.*?{re.escape(closing)}", re.DOTALL)
    if not marked.search(text):
        raise LookupError(f"{page} has no place for {name}")
    replaced = marked.sub(lambda _: f"{opening}\n\n{table}\n\n{closing}", text)
    page.write_text(replaced, encoding="utf-8")
