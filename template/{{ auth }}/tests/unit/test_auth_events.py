"""Who watches the log knows from the documentation what to look for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from app.chassis import auth

DOCUMENT = Path(__file__).parents[2] / "docs" / "patterns" / "auth.md"


def logged(tree: ast.AST) -> Iterator[str]:
    """The events that a module logs."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log")), args=[event, *_]):
                for part in ast.walk(event):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value
            case _:
                pass


def test_every_event_is_documented_and_none_that_is_not_there() -> None:
    modules = Path(auth.__file__).parent.glob("*.py")
    events = {event for module in modules for event in logged(ast.parse(module.read_text()))}
    _, _, section = DOCUMENT.read_text().partition("## In the log\n")
    first_column = "".join(re.findall(r"^\|([^|]*)\|", section, re.MULTILINE))
    assert events
    assert set(re.findall(r"`(\w+)`", first_column)) == events
