"""One API under two addresses: by path, and by media type."""

import httpx2
import pytest

from app import about
from tests.kit.shop import customer_body, new_customer

VENDOR = f"application/vnd.{about.SLUG}+json;version=1"


def test_a_media_type_chooses_the_version(client: httpx2.Client) -> None:
    customer = new_customer(client)
    response = client.get(f"/customers/{customer['id']}", headers={"Accept": VENDOR})
    assert response.status_code == 200
    assert response.json() == customer
    assert response.headers["content-type"] == VENDOR
    assert "Accept" in response.headers["vary"]


def test_without_a_version_the_current_one_is_served(client: httpx2.Client) -> None:
    for accept in ("*/*", "application/json", f"application/vnd.{about.SLUG}+json"):
        assert client.get("/customers", headers={"Accept": accept}).status_code == 200
    body = customer_body()
    response = client.post("/customers", json=body)
    assert response.status_code == 201
    assert client.get(response.headers["location"]).json()["email"] == body["email"]


def test_an_unknown_version_is_not_acceptable(client: httpx2.Client) -> None:
    unknown = VENDOR.replace("version=1", "version=99")
    assert client.get("/customers", headers={"Accept": unknown}).status_code == 406
    either = {"Accept": f"{unknown}, {VENDOR};q=0.5"}
    assert client.get("/customers", headers=either).status_code == 200


def test_a_body_of_an_unknown_version_is_refused(client: httpx2.Client) -> None:
    for version, status in (("1", 201), ('"1"', 201), ("2", 415), ("one", 415)):
        headers = {"Content-Type": VENDOR.replace("version=1", f"version={version}")}
        response = client.post("/v1/customers", json=customer_body(), headers=headers)
        assert response.status_code == status


@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/json;q=0, */*", "*/*;q=0", "application/*;q=0, */*;q=0.5"],
)
def test_what_is_not_acceptable_depends_on_accept(client: httpx2.Client, accept: str) -> None:
    for path in ("/customers", "/v1/customers"):
        response = client.get(path, headers={"Accept": accept})
        assert response.status_code == 406
        assert response.headers["vary"] == "Accept"


def test_what_is_refused_by_a_wide_range_can_be_asked_for_by_name(client: httpx2.Client) -> None:
    accept = {"Accept": "application/*;q=0, application/json;q=0.1"}
    assert client.get("/customers", headers=accept).headers["content-type"] == "application/json"


def test_a_path_with_a_version_is_served_in_either_media_type(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    for accept in (VENDOR, "application/json", "*/*"):
        response = client.get(path, headers={"Accept": accept})
        expected = "application/json" if accept == "*/*" else accept
        assert response.headers["content-type"] == expected
        assert "Accept" in response.headers["vary"].split(", ")
    other = {"Accept": VENDOR.replace("version=1", "version=2")}
    assert client.get(path, headers=other).status_code == 406


def test_a_version_may_stand_in_quotes(client: httpx2.Client) -> None:
    quoted = VENDOR.replace("version=1", 'version="1"')
    assert client.get("/customers", headers={"Accept": quoted}).headers["content-type"] == VENDOR


def test_links_stay_at_the_address_that_was_asked(client: httpx2.Client) -> None:
    new_customer(client)
    new_customer(client)
    page = client.get("/customers?limit=1").json()
    assert page["next"].startswith(str(client.base_url.join("/customers?")))
