"""`just previous-release`: the last release's contract tests on the schema of this one.

While a release is rolled out, or after it was rolled back, the release before serves on the newer
schema. Its tests create their databases as copies of one that this release has migrated.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sqlalchemy import make_url

from tests.kit.servers import SCHEMA_FROM, migrated_database, postgres

ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> int:
    """Test the newest tag, or what `arguments` name of its tests; returns the exit status."""
    tag = _git("describe", "--tags", "--abbrev=0")
    if not tag:
        sys.stdout.write("No tag yet, so there is no release before this one.\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="release-") as place:
        subprocess.run(["git", "worktree", "add", "--detach", place, tag], cwd=ROOT, check=True)
        try:
            return _test(Path(place), arguments or ["tests/contract"])
        finally:
            _git("worktree", "remove", "--force", place)


def _test(release: Path, arguments: list[str]) -> int:
    own = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    with postgres() as server, migrated_database(server) as url:
        schema = {"DATABASE_URL": server, SCHEMA_FROM: make_url(url).database or ""}
        command = ["uv", "run", "pytest", "-q", *arguments]
        return subprocess.run(command, cwd=release, env=own | schema, check=False).returncode


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
