"""An address of the database that cannot be used is refused at the start, and not quoted."""

import pytest
from pydantic import ValidationError

from app.chassis.database import DatabaseSettings


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
