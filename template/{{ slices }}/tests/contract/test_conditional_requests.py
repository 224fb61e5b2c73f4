"""Entity tags save transfers and prevent lost updates (RFC 9110, 13)."""

from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.kit.shop import ITEM, MERGE_PATCH, new_customer, new_order, patch


def test_a_known_version_is_not_sent_again(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    etag = client.get(path).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(path, headers={"If-None-Match": known})
        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["etag"] == etag
        assert "content-length" not in response.headers
    assert client.get(path, headers={"If-None-Match": '"7"'}).status_code == 200


def test_a_change_must_name_its_version(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    assert client.patch(path, json={"name": "x"}, headers=MERGE_PATCH).status_code == 428
    assert client.delete(path).status_code == 428


@pytest.mark.parametrize("stale", ['"7"', 'W/"1"', '"01"', '"with,comma"'])
def test_a_change_of_another_version_fails(client: httpx2.Client, stale: str) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    assert patch(client, path, {"name": "x"}, stale).status_code == 412
    assert patch(client, path, {"name": "x"}, '"1"').status_code == 200


def test_a_version_that_is_no_more_is_not_sent(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    etag = client.get(path).headers["etag"]
    for wanted, status in ((etag, 200), (f'"7", {etag}', 200), ("*", 200), ('"7"', 412)):
        assert client.get(path, headers={"If-Match": wanted}).status_code == status
    both = {"If-Match": '"7"', "If-None-Match": etag}
    assert client.get(path, headers=both).status_code == 412
    assert client.get(path, headers={**both, "If-Match": etag}).status_code == 304
    assert client.get(path, headers={"If-Match": "no tag"}).status_code == 412
    assert client.get(path, headers={"If-None-Match": "no tag"}).status_code == 200


def test_tags_may_come_on_several_lines(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    etag = client.get(path).headers["etag"]
    known = [("If-None-Match", '"7"'), ("If-None-Match", etag)]
    assert client.get(path, headers=known).status_code == 304
    excluded = [("If-Match", etag), *known]
    assert client.delete(path, headers=excluded).status_code == 412
    assert client.delete(path, headers=[("If-Match", '"7"'), ("If-Match", etag)]).status_code == 204


def test_a_change_can_exclude_versions(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    etag = client.get(path).headers["etag"]
    for excluded, status in (("*", 412), (etag, 412), (f"W/{etag}", 412), ("no tag", 400)):
        headers = {"If-Match": etag, "If-None-Match": excluded}
        body = {"name": "x", "email": "excluded@example.com"}
        assert client.put(path, json=body, headers=headers).status_code == status
        assert client.delete(path, headers=headers).status_code == status
    headers = {"If-Match": etag, "If-None-Match": '"7"'}
    assert client.delete(path, headers=headers).status_code == 204


def test_of_two_changes_at_once_one_wins(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    for version in range(1, 6):

        def change(name: str, etag: str = f'"{version}"') -> int:
            return patch(client, path, {"name": name}, etag).status_code

        with ThreadPoolExecutor(2) as pool:
            names = [f"first {version}", f"second {version}"]
            assert sorted(pool.map(change, names)) == [200, 412]


def test_any_version_is_changed_by_whoever_comes_when(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"

    def change(name: str) -> int:
        return patch(client, path, {"name": name}, "*").status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(change, map(str, range(24)))) == [200] * 24
    assert client.get(path).headers["etag"] == '"25"'


def test_compressed_and_plain_variants_have_different_tags(client: httpx2.Client) -> None:
    items = [{**ITEM, "sku": f"SKU-{number}"} for number in range(50)]
    path = f"/v1/orders/{new_order(client, items=items)['id']}"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    compressed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert compressed.json() == plain.json()
    assert compressed.headers["etag"] != plain.headers["etag"]
    assert "accept-encoding" in plain.headers["vary"].lower()
    assert "accept-encoding" in compressed.headers["vary"].lower()
    for variant in (plain, compressed):
        known = client.get(path, headers={"If-None-Match": variant.headers["etag"]})
        assert known.status_code == 304
        for name in ("cache-control", "etag", "vary"):
            assert known.headers[name] == variant.headers[name]
        any_version = {**variant.request.headers, "If-None-Match": "*"}
        assert client.get(path, headers=any_version).headers["etag"] == variant.headers["etag"]
    several = client.get(path, headers={"If-None-Match": f'"7-gzip", {plain.headers["etag"]}'})
    assert several.headers["etag"] == plain.headers["etag"]
    assert (
        patch(client, path, {"status": "cancelled"}, compressed.headers["etag"]).status_code == 200
    )


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip;q=0.1, identity", None),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("br, *;q=0.1", "gzip"),
        ("gzip;q=0, *", None),
        ("gzip;q=much", None),
    ],
)
def test_a_client_says_how_gladly_it_takes_which_coding(
    client: httpx2.Client, accepted: str, coding: str | None
) -> None:
    items = [{**ITEM, "sku": f"SKU-{number}"} for number in range(50)]
    path = f"/v1/orders/{new_order(client, items=items)['id']}"
    response = client.get(path, headers={"Accept-Encoding": accepted})
    assert response.headers.get("content-encoding") == coding


def test_small_answers_are_not_compressed(client: httpx2.Client) -> None:
    response = client.get(f"/v1/customers/{new_customer(client)['id']}")
    assert "content-encoding" not in response.headers
