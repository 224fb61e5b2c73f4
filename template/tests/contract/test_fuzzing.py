"""Thousands of odd requests, and not one answer that the OpenAPI document does not promise."""

import httpx2

from tests.kit.fuzzing import fuzz
from tests.kit.processes import ServiceProcess


def test_every_answer_is_one_that_the_document_promises(
    server: ServiceProcess, client: httpx2.Client
) -> None:
    token = client.headers.get("Authorization")
    found = fuzz(server.url, *(["--header", f"Authorization: {token}"] if token else []))
    assert found.returncode == 0, found.stdout + found.stderr
