"""An address of the database that cannot be used is refused at the start, and not quoted.

What it sets for its sessions is kept, beside the timeouts, none of which is "no limit".
"""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from app.chassis.database import DatabaseSettings
from app.chassis.database.connection import options_of


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@word:s3cret@127.0.0.1/shop",
        "postgresql://one:5432,two:5432/shop",
        "postgresql://127.0.0.1/shop?hunter2=s3cret",
        "mysql://user:hunter2@127.0.0.1/shop",
    ],
)
def test_an_address_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="must be like postgresql://") as refused:
        DatabaseSettings.model_validate({"url": url})
    assert "hunter2" not in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p%40ss@127.0.0.1:5432/shop?sslmode=require",
        "postgresql+psycopg://user@localhost/shop?host=/var/run/postgresql",
        "postgres://127.0.0.1/shop",
    ],
)
def test_an_address_that_libpq_takes_is_taken(url: str) -> None:
    settings = DatabaseSettings.model_validate({"url": url})
    assert settings.sqlalchemy_url.database == "shop"


@pytest.mark.parametrize("value", ["0", "0.0009", "PT0S"])
@pytest.mark.parametrize(
    "name",
    [
        "statement_timeout",
        "lock_timeout",
        "idle_transaction_timeout",
        "migration_lock_timeout",
        "migration_statement_timeout",
    ],
)
def test_a_timeout_that_would_be_no_limit_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        DatabaseSettings.model_validate({"url": "postgresql://127.0.0.1/shop", name: value})


def test_options_of_the_address_come_before_the_services_own() -> None:
    url = "postgresql://127.0.0.1/shop?options=-c%20search_path%3Dshop%20-c%20lock_timeout%3D0"
    settings = DatabaseSettings.model_validate({"url": url})
    own = {"lock_timeout": timedelta(milliseconds=1.2), "timezone": "UTC"}
    assert options_of(settings.sqlalchemy_url, own) == (
        "-c search_path=shop -c lock_timeout=0 -c lock_timeout=2 -c timezone=UTC"
    )
