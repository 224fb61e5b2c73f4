"""Strangers get documented answers too."""

from tests.kit.fuzzing import fuzz
from tests.kit.processes import ServiceProcess


def test_every_answer_to_a_stranger_is_one_that_the_document_promises(
    server: ServiceProcess,
) -> None:
    found = fuzz(server.url, "--phases", "coverage")
    assert found.returncode == 0, found.stdout + found.stderr
