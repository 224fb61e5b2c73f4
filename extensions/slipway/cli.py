"""The `slipway` command: what Copier does with the template, with a look before each leap."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from copier.errors import CopierError, DirtyLocalWarning

from slipway import project as projects
from slipway import wizard
from slipway.catalogue import (
    REPOSITORY,
    Answer,
    Catalogue,
    CatalogueError,
    UnknownPatternError,
    load_catalogue,
)
from slipway.matrix import Row, as_ci_matrix, covering_rows, every_row
from slipway.oracle import rejected
from slipway.preview import as_tree, compare, preview
from slipway.rendering import RefusedAnswersError
from slipway.verify import installed_pythons, verify
from slipway.wizard import LeftEarlyError

OK, FAILED, USAGE = 0, 1, 2


class UsageError(Exception):
    """The command line asks for something that cannot be done; nothing was written."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 a check failed, 2 refused."""
    options = _parser().parse_args(arguments)
    warnings.simplefilter("ignore", DirtyLocalWarning)
    refusals = (
        UsageError,
        CatalogueError,
        UnknownPatternError,
        RefusedAnswersError,
        projects.ProjectError,
        CopierError,
        ValueError,
        OSError,
    )
    try:
        return int(options.command(options))
    except refusals as refusal:
        print(f"slipway: {refusal}", file=sys.stderr)
        return USAGE
    except (LeftEarlyError, KeyboardInterrupt):
        print("slipway: left; nothing was written", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "slipway", description="Render services from the Slipway template, and keep them current."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    new = commands.add_parser("new", help="ask, show what it makes, and render a new service")
    new.add_argument("destination", type=Path)
    new.add_argument("--defaults", action="store_true", help="ask nothing; defaults fill the gaps")
    _takes_answers(new)
    new.set_defaults(command=_new)

    show = commands.add_parser("preview", help="show the files that answers render")
    _takes_answers(show)
    show.set_defaults(command=_preview)

    diff = commands.add_parser("diff", help="show what other answers would change in a rendering")
    _takes_answers(diff)
    diff.add_argument("--with", dest="changes", action="append", metavar="QUESTION=ANSWER")
    diff.add_argument("--names", action="store_true", help="only the names of the files")
    diff.set_defaults(command=_diff)

    for name, words in {"add": "switch patterns on", "remove": "switch patterns off"}.items():
        toggle = commands.add_parser(name, help=f"{words} in a project, at its template version")
        toggle.add_argument("patterns", nargs="+", metavar="PATTERN")
        _takes_project(toggle)
        toggle.set_defaults(command=_add if name == "add" else _remove)

    update = commands.add_parser("update", help="bring a project to a newer template version")
    update.add_argument("--to", default="HEAD", metavar="VERSION", help="tag, branch or commit")
    _takes_project(update)
    update.set_defaults(command=_update)

    matrix = commands.add_parser("matrix", help="list combinations: a covering array, or all")
    matrix.add_argument("--strength", type=int, choices=(2, 3), default=2)
    matrix.add_argument("--all", action="store_true", help="every valid combination")
    matrix.add_argument("--json", action="store_true", help="as the matrix of a CI job")
    matrix.set_defaults(command=_matrix)

    check = commands.add_parser("verify", help="render combinations and run all their checks")
    check.add_argument("ids", nargs="*", metavar="ROW", help="ids from `slipway matrix`")
    check.add_argument("--all", action="store_true", help="every valid combination")
    check.add_argument("--strength", type=int, choices=(2, 3), default=2)
    check.set_defaults(command=_verify)
    return parser


def _takes_answers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "answers",
        nargs="*",
        metavar="QUESTION=ANSWER",
        help="such as framework=litestar or patterns=auth,outbox",
    )


def _takes_project(parser: argparse.ArgumentParser) -> None:
    def place(text: str) -> Path:
        return Path(text).resolve()

    parser.add_argument("--project", type=place, default=Path(), help="where it is (default: here)")
    parser.add_argument("--dry-run", action="store_true", help="only show what would happen")
    parser.add_argument(
        "--force", action="store_true", help="go on where edits conflict or would be deleted"
    )


def _new(options: argparse.Namespace) -> int:
    destination: Path = options.destination
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise UsageError(f"{destination} exists and is not empty.")
    catalogue = load_catalogue()
    answers = _answers(catalogue, options.answers)
    if not options.defaults:
        if not sys.stdin.isatty():
            raise UsageError(
                "There is no terminal to ask at; use --defaults, with QUESTION=ANSWER."
            )
        answers = wizard.ask(catalogue, answers)
        if not wizard.agrees(catalogue, answers):
            raise LeftEarlyError
    wizard.write(REPOSITORY, destination, answers)
    return OK


def _preview(options: argparse.Namespace) -> int:
    paths = preview(REPOSITORY, _answers(load_catalogue(), options.answers))
    print(as_tree(paths))
    print(f"{len(paths)} files")
    return OK


def _diff(options: argparse.Namespace) -> int:
    catalogue = load_catalogue()
    before = _answers(catalogue, options.answers)
    difference = compare(REPOSITORY, before, before | _answers(catalogue, options.changes))
    if not options.names:
        print(difference.patch, end="")
        return OK
    marked = {"+": difference.added, "-": difference.deleted, "~": difference.changed}
    for mark, paths in marked.items():
        for path in paths:
            print(mark, path)
    return OK


def _add(options: argparse.Namespace) -> int:
    catalogue = load_catalogue()
    chosen = _patterns_of(options.project)
    wanted = catalogue.with_requirements([*chosen, *options.patterns])
    for name in wanted:
        if name not in chosen and name not in options.patterns:
            print(f"{name} is required too and comes with it")
    return _toggle(options, chosen, wanted)


def _remove(options: argparse.Namespace) -> int:
    catalogue = load_catalogue()
    gone = [catalogue.pattern(name).name for name in options.patterns]
    chosen = _patterns_of(options.project)
    orphans = catalogue.dependents(gone, chosen)
    if orphans:
        raise UsageError(f"{', '.join(orphans)} cannot do without it; remove that too.")
    return _toggle(options, chosen, [name for name in chosen if name not in gone])


def _toggle(options: argparse.Namespace, chosen: list[str], wanted: list[str]) -> int:
    if wanted == chosen:
        print("nothing changes")
        return OK
    return _change(options, {"patterns": wanted}, to=None)


def _update(options: argparse.Namespace) -> int:
    return _change(options, {}, to=options.to)


def _change(options: argparse.Namespace, answers: dict[str, Answer], *, to: str | None) -> int:
    """Show the forecast; write only where nothing would be lost, or the user insists."""
    projects.read_answers(options.project)
    ahead = projects.forecast(options.project, answers, to=to)
    print(ahead)
    if options.dry_run:
        return OK
    if (ahead.conflicting or ahead.lost) and not options.force:
        raise UsageError("Edits are in the way (see above); nothing was written. --force goes on.")
    projects.update(options.project, answers, to=to)
    return OK


def _patterns_of(project: Path) -> list[str]:
    chosen = projects.read_answers(project).get("patterns", [])
    return list(chosen) if isinstance(chosen, list) else []


def _matrix(options: argparse.Namespace) -> int:
    catalogue = load_catalogue()
    rows = list(every_row(catalogue)) if options.all else covering_rows(catalogue, options.strength)
    print(as_ci_matrix(rows) if options.json else "\n".join(row.id for row in rows))
    return OK


def _verify(options: argparse.Namespace) -> int:
    catalogue = load_catalogue()
    by_id = {row.id: row for row in every_row(catalogue)}
    unknown = [name for name in options.ids if name not in by_id]
    if unknown:
        raise UsageError(f"No such combination: {unknown[0]}; see `slipway matrix --all`.")
    rows = [by_id[name] for name in options.ids] or _rows_to_run(catalogue, options)
    failed = [row.id for row in rows if not _passes(row)]
    print(f"{len(rows) - len(failed)} of {len(rows)} combinations passed")
    return FAILED if failed else OK


def _passes(row: Row) -> bool:
    print(row.id)
    passed = True
    with TemporaryDirectory(prefix="slipway-verify-") as workplace:
        for step in verify(row, REPOSITORY, Path(workplace)):
            print(f"  {step}", flush=True)
            if not step.passed:
                print(step.output)
                passed = False
    return passed


def _rows_to_run(catalogue: Catalogue, options: argparse.Namespace) -> list[Row]:
    """Return the rows asked for, as far as there are interpreters to run them with."""
    offered = catalogue.question("python_version").values
    only = {"python_version": installed_pythons(offered)}
    if not only["python_version"]:
        raise UsageError(f"None of Python {', '.join(offered)} is installed.")
    if options.all:
        return list(every_row(catalogue, only))
    return covering_rows(catalogue, options.strength, only)


def _answers(catalogue: Catalogue, pairs: Sequence[str] | None) -> dict[str, Answer]:
    """Read `question=answer` pairs; raise UsageError for what the template would refuse."""
    answers: dict[str, Answer] = {}
    known = {question.name: question for question in catalogue.questions}
    for pair in pairs or ():
        name, separator, text = pair.partition("=")
        if not separator or name not in known:
            raise UsageError(f"{pair!r} is not QUESTION=ANSWER; questions: {', '.join(known)}.")
        kind = known[name].kind
        if kind == "choices":
            answers[name] = [
                value.strip() for value in text.strip("[]").split(",") if value.strip()
            ]
        else:
            answers[name] = yaml.safe_load(text) if kind == "flag" else text
    reason = rejected(catalogue, answers)
    if reason:
        raise UsageError(reason)
    return answers
