"""The relay goes to the same database as everybody else, whatever is in its address."""

import pytest

from app.chassis.database import DatabaseSettings
from app.chassis.database.connection import PatientConnection
from app.chassis.outbox.store import connect


async def test_the_address_is_read_as_the_other_processes_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, object] = {}

    async def opened(_patience: object, **options: object) -> None:
        given.update(options)

    monkeypatch.setattr(PatientConnection, "opened", opened)
    url = "postgresql+psycopg://me:one%zz%20two@db.example:5433/shop?sslmode=require"
    await connect(DatabaseSettings.model_validate({"url": url}), "relay")
    assert given["password"] == "one%zz two"
    assert (given["user"], given["host"], int(str(given["port"]))) == ("me", "db.example", 5433)
    assert (given["dbname"], given["sslmode"]) == ("shop", "require")
    assert given["application_name"] == "relay"
