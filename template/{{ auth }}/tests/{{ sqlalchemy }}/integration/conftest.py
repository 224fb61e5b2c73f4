"""Fixtures for tests that call the service's own code."""

from collections.abc import Generator

import pytest

from app.chassis.auth.ownership import unconfined


@pytest.fixture(autouse=True)
def confinement() -> Generator[None]:
    """Tests act for the service itself, as its background processes do."""
    with unconfined():
        yield
