"""The rules that the template's own files keep, whatever is rendered from them."""

import ast
import json
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable

import assembly
import pytest
import yaml
from jinja2 import Environment, meta
from slipway.catalogue import Catalogue
from slipway.matrix import every_row
from slipway.rendering import ANSWERS_FILE
from sources import ROOT, Source, every_source, predicted

SOURCES = every_source()
each_source = pytest.mark.parametrize("source", SOURCES, ids=str)
each_rendered = pytest.mark.parametrize("source", [s for s in SOURCES if s.is_rendered], ids=str)


def every_document(text: str) -> list[object]:
    return list(yaml.safe_load_all(text))


PARSERS: dict[str, Callable[[str], object]] = {
    ".py": ast.parse,
    ".toml": tomllib.loads,
    ".yml": every_document,
    ".yaml": every_document,
    ".json": json.loads,
}


@each_source
def test_source_parses_as_it_stands(source: Source):
    suffix = "." + source.target.rpartition(".")[2]
    # The record of the answers is one expression, which is all of the file.
    if suffix in PARSERS and source.target != ANSWERS_FILE:
        PARSERS[suffix](source.text)


@each_source
def test_source_ends_in_one_newline(source: Source):
    assert not source.text or source.text.endswith("\n")
    assert not source.text.endswith("\n\n")


@each_source
def test_only_files_with_the_suffix_contain_jinja(source: Source, catalogue: Catalogue):
    names = "|".join([*(q.name for q in catalogue.questions), *catalogue.layers, "_copier_conf"])
    substitution = re.search(r"(?<!\$)\{\{-? ?(" + names + r")\b", source.text)
    if not source.is_rendered:
        assert "{%" not in source.text
        assert not substitution


@each_rendered
def test_a_file_with_the_suffix_needs_it(source: Source):
    assert "{{" in source.text or "{%" in source.text


@each_rendered
def test_every_statement_is_a_comment_on_a_line_of_its_own(source: Source):
    assert source.text.count("{%") == len(list(source.statements()))
    assert "{#" not in source.text


@each_rendered
def test_statements_stand_only_in_assembly_files(source: Source):
    if list(source.statements()):
        assert source.target in assembly.LISTS | assembly.WOVEN


@each_rendered
def test_woven_files_hold_two_short_blocks_of_a_pattern_at_most(source: Source):
    if source.target not in assembly.WOVEN:
        return
    opened: list[tuple[int, str]] = []
    blocks: Counter[str] = Counter()
    for line, words in source.statements():
        if words.startswith("if "):
            opened.append((line, words))
            blocks[words] += 1
        elif words == "endif":
            start, _ = opened.pop()
            assert line - start - 1 <= assembly.LINES_PER_BLOCK
    assert max(blocks.values(), default=0) <= assembly.BLOCKS_PER_PATTERN


def test_the_allow_list_names_only_files_with_statements():
    used = {source.target for source in SOURCES if list(source.statements())}
    assert used >= assembly.LISTS | assembly.WOVEN


@each_rendered
def test_a_source_uses_only_known_names(source: Source, catalogue: Catalogue):
    filters = ["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]  # as Copier has them
    jinja = Environment(autoescape=False, extensions=filters, **catalogue.settings["_envops"])  # noqa: S701 - source code, not HTML
    known = {question.name for question in catalogue.questions} | set(catalogue.layers)
    unknown = meta.find_undeclared_variables(jinja.parse(source.text)) - known
    assert {name for name in unknown if not name.startswith("_copier_")} == set()


def test_no_two_layers_write_one_path(catalogue: Catalogue):
    for row in every_row(catalogue, only={"python_version": ("3.11",)}):
        spelt = Counter(path.lower() for path in predicted(catalogue, row.answers(), SOURCES))
        assert [path for path, times in spelt.items() if times > 1] == [], row.id


def test_every_folder_in_braces_is_a_layer(catalogue: Catalogue):
    used = {layer for source in SOURCES for layer in source.layers}
    assert used <= set(catalogue.layers)
    assert not [source for source in SOURCES if "{" in source.target]


def test_every_pattern_ships_tests_and_docs(catalogue: Catalogue):
    for pattern in catalogue.patterns:
        shipped = [source.target for source in SOURCES if pattern.name in source.layers]
        for folder in ("src/app/", "tests/", "docs/"):
            assert any(path.startswith(folder) for path in shipped), (pattern.name, folder)


def test_the_template_needs_no_trust(catalogue: Catalogue):
    for key in ("_tasks", "_migrations", "_jinja_extensions", "_secret_questions"):
        assert key not in catalogue.settings
    assert catalogue.settings["_min_copier_version"]


def test_there_is_no_symlink():
    assert [path for path in ROOT.rglob("*") if path.is_symlink()] == []


def test_paths_are_valid_on_every_system():
    for source in SOURCES:
        assert not re.search(r'[<>:"|?*\\]|[. ](/|$)', str(source)), source
        assert len(str(source)) < 200


def test_git_ignores_no_file_of_the_template():
    ask = ["git", "-C", str(ROOT), "check-ignore", "--no-index", "--stdin"]
    paths = "\n".join(map(str, SOURCES))
    done = subprocess.run(ask, input=paths, capture_output=True, text=True, check=False)
    assert done.stdout == ""
