"""The matrix is complete, its covering arrays cover, and its oracle agrees with Copier."""

import json
from itertools import combinations, product
from pathlib import Path

import pytest
from slipway.catalogue import Answer, Catalogue
from slipway.matrix import (
    CoverageError,
    Row,
    as_ci_matrix,
    covering_rows,
    every_row,
    factors,
    missing,
    require_coverage,
)
from slipway.oracle import rejected
from slipway.rendering import RefusedAnswersError, render


def by_brute_force(catalogue: Catalogue) -> list[dict[str, str | bool]]:
    """Every combination of levels that the oracle accepts, with dependent answers where asked."""
    levels = factors(catalogue)
    found: list[dict[str, str | bool]] = []
    for values in product(*levels.values()):
        row = dict(zip(levels, values, strict=True))
        dependents = [q for q in catalogue.questions if q.asked_with and q.name in row]
        fits = all(
            (row[q.name] != "") == row[f"{q.asked_with.question}:{q.asked_with.value}"]
            for q in dependents
            if q.asked_with
        )
        if fits and rejected(catalogue, Row(catalogue, row).answers()) is None:
            found.append(row)
    return found


@pytest.mark.parametrize("offer", ["catalogue", "small"])
def test_every_valid_combination_is_listed_once(offer: str, request: pytest.FixtureRequest):
    catalogue: Catalogue = request.getfixturevalue(offer)

    rows = list(every_row(catalogue))

    assert [dict(row.levels) for row in rows] == by_brute_force(catalogue)
    assert len({row.id for row in rows}) == len(rows)


@pytest.mark.parametrize("strength", [2, 3])
@pytest.mark.parametrize("offer", ["catalogue", "small"])
def test_a_covering_array_covers_what_brute_force_finds(
    offer: str, strength: int, request: pytest.FixtureRequest
):
    catalogue: Catalogue = request.getfixturevalue(offer)
    rows = covering_rows(catalogue, strength)
    covered = {c for row in rows for c in combinations(row.levels.items(), strength)}

    for valid in by_brute_force(catalogue):
        assert covered.issuperset(combinations(valid.items(), strength))
    assert len(rows) < len(list(every_row(catalogue)))


def test_nothing_and_everything_are_always_covered(catalogue: Catalogue):
    ids = [row.id for row in covering_rows(catalogue, only={"python_version": ("3.11",)})]

    assert "fastapi-no_patterns-no_example-3.11-no_ci-no_deploy" in ids
    assert "fastapi-auth-rate_limiting-outbox.nats-example-3.11-github-compose" in ids
    assert "litestar-no_patterns-no_example-3.11-no_ci-no_deploy" in ids
    assert "litestar-auth-rate_limiting-outbox.nats-example-3.11-github-compose" in ids


def test_a_gap_in_the_coverage_is_noticed(small: Catalogue):
    rows = covering_rows(small)

    assert missing(rows, 2, every_row(small)) == set()
    assert missing(rows[1:], 2, every_row(small)) | missing(rows[:-1], 2, every_row(small))
    with pytest.raises(CoverageError, match="not covered, such as"):
        require_coverage(rows[:3], 2, every_row(small))


def test_the_array_is_the_same_every_time(small: Catalogue):
    assert [row.id for row in covering_rows(small)] == [row.id for row in covering_rows(small)]


def test_an_id_names_what_is_on_and_what_is_off(small: Catalogue):
    row = next(
        row
        for row in every_row(small)
        if row.answers()
        == {
            "framework": "django",
            "patterns": ["outbox", "saga"],
            "broker": "kafka",
            "saga_style": "free",
            "example": False,
            "deploy": ["kubernetes"],
            "rollout": "canary",
        }
    )

    assert row.id == "django-outbox.kafka-saga.free-no_example-kubernetes.canary"


def test_the_ci_matrix_names_each_row_and_its_interpreter(catalogue: Catalogue):
    rows = covering_rows(catalogue)

    include = json.loads(as_ci_matrix(rows))["include"]

    assert [entry["id"] for entry in include] == [row.id for row in rows]
    assert {entry["python"] for entry in include} == set(
        catalogue.question("python_version").values
    )


def ask_copier(template: Path, answers: dict[str, Answer], destination: Path) -> str | None:
    """Return why Copier refuses the answers, or None where it renders them."""
    try:
        render(template, destination, answers)
    except RefusedAnswersError as refusal:
        assert not destination.exists()
        return str(refusal)
    return None


@pytest.mark.parametrize(
    "patterns",
    [
        [name for name, on in zip(["caching", "outbox", "saga", "queue"], boxes, strict=True) if on]
        for boxes in product([False, True], repeat=4)
    ],
    ids=lambda names: "+".join(names) or "none",
)
def test_the_oracle_agrees_with_copier_on_patterns(
    patterns: list[str], small: Catalogue, tmp_path: Path
):
    expected = rejected(small, {"patterns": patterns})
    refusal = ask_copier(small.root, {"patterns": patterns}, tmp_path / "out")

    assert (expected is None) == (refusal is None)
    if expected and refusal:
        assert expected.partition(": ")[2] in refusal


@pytest.mark.parametrize(
    "answers",
    [
        {"framework": "django"},
        {"patterns": ["auth", "magic"]},
        {"patterns": ["outbox"], "broker": "pigeon"},
        {"patterns": [], "broker": "pigeon"},
        {"ci": "jenkins"},
        {"deploy": ["compose", "ftp"]},
        {"deploy": []},
        {"python_version": "2.7"},
    ],
    ids=repr,
)
def test_the_oracle_agrees_with_copier_on_values(
    answers: dict[str, Answer], catalogue: Catalogue, template: Path, tmp_path: Path
):
    refusal = ask_copier(template, answers, tmp_path / "out")

    # An answer to a question that is not asked still has to be one of its choices for Copier.
    if answers == {"patterns": [], "broker": "pigeon"}:
        assert rejected(catalogue, answers) is None
    else:
        assert (rejected(catalogue, answers) is None) == (refusal is None), refusal
