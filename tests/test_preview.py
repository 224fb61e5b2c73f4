"""Previews show what Copier would write, without writing it anywhere that matters."""

from slipway.catalogue import Catalogue
from slipway.preview import as_tree, compare, preview


def test_a_preview_lists_what_is_rendered(small: Catalogue):
    assert preview(small.root, {"patterns": ["outbox"]}) == ["README.md", "outbox.py"]


def test_a_comparison_tells_added_deleted_and_changed_apart(small: Catalogue):
    difference = compare(
        small.root, {"patterns": ["outbox"]}, {"patterns": ["outbox", "saga"], "example": False}
    )

    assert difference.added == ("saga.py",)
    assert difference.deleted == ()
    assert difference.changed == ("README.md",)
    assert (
        "-Runs on fastapi with outbox.\n+Runs on fastapi with outbox, saga.\n" in difference.patch
    )
    assert "--- /dev/null\n+++ b/saga.py\n" in difference.patch


def test_what_goes_is_named_too(small: Catalogue):
    difference = compare(small.root, {"patterns": ["outbox"]}, {"patterns": []})

    assert difference.deleted == ("outbox.py",)
    assert "--- a/outbox.py\n+++ /dev/null\n" in difference.patch


def test_a_tree_shows_folders_first():
    drawing = as_tree(["README.md", "src/app/main.py", "src/app/a.py", "docs/x.md"])

    assert drawing.splitlines() == [
        "├─ docs/",
        "│  └─ x.md",
        "├─ src/",
        "│  └─ app/",
        "│     ├─ a.py",
        "│     └─ main.py",
        "└─ README.md",
    ]
