"""Where Jinja statements may stand in the template. Everywhere else: split the file."""

# Lists that every pattern joins: as many blocks as there are patterns. Paths as rendered.
LISTS = frozenset(
    {
        ".env.example",
        ".github/workflows/ci.yml",
        ".importlinter",
        "README.md",
        "compose.yaml",
        "pyproject.toml",
        "schemathesis.toml",
        "src/app/__main__.py",
        "src/app/access.py",
        "src/app/bootstrap.py",
        "src/app/dev/__init__.py",
        "src/app/http/app.py",
        "src/app/stopping.py",
        "tests/conftest.py",
    }
)

# Files into which a pattern truly reaches: at most two short blocks for each pattern.
WOVEN = frozenset({"src/app/customers/model.py", "src/app/orders/model.py"})
BLOCKS_PER_PATTERN = 2
LINES_PER_BLOCK = 12
