"""Schemathesis for tests: requests made from the OpenAPI document, answers held against it."""

import os
import subprocess
import sys
from pathlib import Path

CONFIGURATION = Path(__file__).parents[2] / "schemathesis.toml"
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "5")
"""How many random requests each operation gets, beside those that cover its limits one by one."""


def fuzz(url: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Try every operation of the service at `url`; the status is 0 where nothing was found."""
    command = ["--config-file", str(CONFIGURATION), "run", "--max-examples", EXAMPLES, *options]
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *command, "--no-color", f"{url}/openapi.json"],
        capture_output=True,
        text=True,
        check=False,
    )
