"""What every rendering promises: nothing unchosen in it, nothing unrendered, always the same."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from conftest import Rendering
from slipway.catalogue import Answer, Answers, Catalogue
from slipway.matrix import Row, covering_rows, every_row
from slipway.rendering import ANSWERS_FILE, contents, render
from sources import every_source, predicted

FULL: dict[str, Answer] = {"patterns": ["auth", "rate_limiting", "outbox"]}


def rows_without(catalogue: Catalogue, pattern: str) -> list[Row]:
    """Every way to have all the other patterns, with and without the examples."""
    others = {f"patterns:{p.name}": (p.name != pattern,) for p in catalogue.patterns}
    dependents = {
        question.name: ("",)
        for question in catalogue.questions
        if question.asked_with and question.asked_with.value == pattern
    }
    only = {"python_version": ("3.11",), "ci": ("github",), "deploy:compose": (True,)}
    return list(every_row(catalogue, only=others | dependents | only))


def test_nothing_of_an_unchosen_pattern_is_left(catalogue: Catalogue, rendering: Rendering):
    traces: list[str] = []
    for pattern in catalogue.patterns:
        for row in rows_without(catalogue, pattern.name):
            others = words_of_options(catalogue, row.answers())
            own = [re.escape(word) for word in pattern.trace if word not in others]
            words = re.compile("|".join(own), re.IGNORECASE)
            traces.extend(
                f"{row.id}: {place}" for place in places_of(words, rendering(row.answers()))
            )
    assert not traces, "\n".join(traces)


def words_of_options(catalogue: Catalogue, answers: Answers) -> set[str]:
    """Return the words that chosen options bring, such as `redis` where it is the broker."""
    chosen = [answers[q.name] for q in catalogue.questions if q.asked_with and q.name in answers]
    return {
        word
        for pattern in catalogue.patterns
        for value, words in pattern.trace_of.items()
        if value in chosen
        for word in words
    }


def test_a_chosen_pattern_is_recognised_by_its_words(catalogue: Catalogue, rendering: Rendering):
    service = rendering(FULL)
    for pattern in catalogue.patterns:
        for word in pattern.trace:
            found = places_of(re.compile(re.escape(word), re.IGNORECASE), service)
            assert found, f"{pattern.name}: {word} is nowhere, so its absence proves nothing"


def test_an_option_of_a_pattern_is_recognised_by_its_words_and_only_it_has_them(
    catalogue: Catalogue, rendering: Rendering
):
    for pattern in catalogue.patterns:
        for question in catalogue.questions:
            if not question.asked_with or question.asked_with.value != pattern.name:
                continue
            assert set(pattern.trace_of) == set(question.values)
            for chosen in question.values:
                service = rendering(patterns=[pattern.name], **{question.name: chosen})
                for value, words in pattern.trace_of.items():
                    for word in words:
                        found = places_of(re.compile(re.escape(word), re.IGNORECASE), service)
                        assert bool(found) == (value == chosen), (chosen, word, found)


def places_of(words: re.Pattern[str], service: Path) -> list[str]:
    """Return where the words stand, in paths and in contents."""
    found: list[str] = []
    for path, content in contents(service).items():
        if words.search(path):
            found.append(path)
        lines = content.decode().splitlines()
        found += [
            f"{path}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if words.search(line)
        ]
    return found


def test_no_rendering_holds_anything_unrendered(catalogue: Catalogue, rendering: Rendering):
    names = "|".join([*(q.name for q in catalogue.questions), *catalogue.layers, "_copier"])
    leftover = re.compile(r"\{%|(?<!\$)\{\{-? ?(" + names + r")\b|\.jinja\b")
    for row in covering_rows(catalogue):
        assert places_of(leftover, rendering(row.answers())) == [], row.id


def test_the_same_answers_render_the_same_bytes(template: Path, tmp_path: Path):
    render(template, tmp_path / "one", FULL)
    render(template, tmp_path / "two", FULL)

    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert (tmp_path / "one" / ANSWERS_FILE).read_bytes() == (
        tmp_path / "two" / ANSWERS_FILE
    ).read_bytes()


def test_the_answers_are_remembered_and_nothing_else(catalogue: Catalogue, rendering: Rendering):
    remembered = yaml.safe_load((rendering(FULL) / ANSWERS_FILE).read_text())

    visible = {question.name for question in catalogue.questions}
    assert {name for name in remembered if not name.startswith("_")} == visible


@pytest.mark.parametrize("answers", [FULL, {"patterns": [], "example": False, "deploy": []}])
def test_copier_writes_what_the_layers_predict(
    answers: dict[str, Answer], catalogue: Catalogue, template: Path, rendering: Rendering
):
    defaults: dict[str, Answer] = {"framework": "fastapi", "example": True, "ci": "github"}
    deploy: dict[str, Answer] = {"deploy": ["compose"], "broker": "nats"}

    expected = predicted(
        catalogue, defaults | deploy | answers, every_source(template / "template")
    )

    written = [*contents(rendering(answers)), ANSWERS_FILE]
    assert Counter(written) == Counter(expected)


def test_every_file_ends_in_a_newline(rendering: Rendering):
    for path, content in contents(rendering(FULL)).items():
        assert not content or content.endswith(b"\n"), path
        assert not content.endswith(b"\n\n"), path


def test_every_relative_link_in_the_documentation_leads_somewhere(rendering: Rendering):
    for patterns in (["auth", "rate_limiting", "outbox"], []):
        service = rendering(patterns=patterns)
        broken = [
            f"{page.relative_to(service)} -> {link}"
            for page in service.rglob("*.md")
            for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
            if not (page.parent / link).exists()
        ]
        assert broken == []
