"""Links between pages: where a list goes on, there is one."""

from app.chassis.listing.pages import MAXIMUM_OFFSET, OffsetPage, OffsetQuery, PageLinks

LINKS = PageLinks("http://localhost/v1/things", {"limit": "2"})


def page(found: int, offset: int) -> OffsetPage[int]:
    query = OffsetQuery(limit=2, offset=offset)
    return OffsetPage[int].of([*range(found)], query, LINKS, None)


def test_the_last_page_has_no_next_one() -> None:
    assert page(2, 0).next is None
    assert page(3, 0).next == "http://localhost/v1/things?limit=2&offset=2"


def test_a_list_beyond_the_largest_offset_does_not_end_without_a_word() -> None:
    beyond = f"http://localhost/v1/things?limit=2&offset={MAXIMUM_OFFSET + 1}"
    assert page(3, MAXIMUM_OFFSET - 1).next == beyond
