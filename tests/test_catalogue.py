"""The catalogue reads everything that the template offers, and refuses what it cannot read."""

import shutil
from pathlib import Path

import pytest
from slipway.catalogue import (
    Catalogue,
    CatalogueError,
    Condition,
    UnknownPatternError,
    load_catalogue,
)


def test_every_kind_of_question_is_understood(small: Catalogue):
    kinds = {question.name: question.kind for question in small.questions}

    assert kinds["framework"] == "choice"
    assert kinds["patterns"] == "choices"
    assert kinds["example"] == "flag"
    assert "saga" not in kinds
    assert small.layers == ("caching", "outbox", "queue", "saga")


def test_a_dependent_question_knows_what_it_depends_on(small: Catalogue):
    condition = small.question("rollout").asked_with

    assert condition
    assert condition == Condition("deploy", "kubernetes")
    assert condition.holds({"deploy": ["kubernetes"]})
    assert not condition.holds({})


def test_requirements_come_along_in_the_order_of_the_list(small: Catalogue):
    assert small.with_requirements(["saga", "caching"]) == ["caching", "outbox", "saga"]


def test_dependents_are_those_that_cannot_stay(small: Catalogue):
    assert small.dependents(["outbox"], ["caching", "outbox", "saga"]) == ["saga"]


def test_an_unknown_pattern_is_answered_with_the_offer(small: Catalogue):
    with pytest.raises(
        UnknownPatternError, match=r"'auht'; the template offers: caching, outbox, saga, queue"
    ):
        small.pattern("auht")


def test_presets_prefill_what_the_patterns_say(catalogue: Catalogue):
    default = str(catalogue.question("patterns").default)

    for preset in catalogue.question("preset").values:
        assert f"'{preset}': {catalogue.preset(preset)}" in default


def test_a_template_without_questions_is_refused(tmp_path: Path):
    with pytest.raises(CatalogueError, match=r"copier\.yml is missing"):
        load_catalogue(tmp_path)


def test_a_pattern_that_is_offered_but_not_registered_is_refused(small: Catalogue, tmp_path: Path):
    shutil.copytree(small.root, tmp_path / "small")
    (tmp_path / "small/patterns/queue.yml").unlink()

    with pytest.raises(CatalogueError, match="queue"):
        load_catalogue(tmp_path / "small")


@pytest.mark.parametrize("line", ["  colour: blue\n", "  requires: [nothing]\n"])
def test_a_registration_that_makes_no_sense_is_refused(small: Catalogue, tmp_path: Path, line: str):
    shutil.copytree(small.root, tmp_path / "small")
    registration = tmp_path / "small/patterns/queue.yml"
    kept = [
        old for old in registration.read_text().splitlines(keepends=True) if "requires" not in old
    ]
    registration.write_text("".join(kept) + line)

    with pytest.raises(CatalogueError, match=r"queue\.yml"):
        load_catalogue(tmp_path / "small")


def test_every_pattern_says_what_the_guide_and_the_wizard_need(catalogue: Catalogue):
    for pattern in catalogue.patterns:
        assert pattern.summary.endswith("."), pattern.name
        assert pattern.guide, pattern.name
        assert pattern.trace, pattern.name
        assert set(pattern.presets) <= set(catalogue.question("preset").values), pattern.name
