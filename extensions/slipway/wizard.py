"""Asks for a new service's answers in groups, shows what they render, and calls Copier."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import copier
import questionary
from prompt_toolkit.application import Application
from questionary.prompts.common import InquirerControl

from slipway.catalogue import Answer, Catalogue, Pattern, Question
from slipway.oracle import rejected
from slipway.preview import as_tree, preview


class LeftEarlyError(Exception):
    """The person left before the last question; nothing was written."""


def ask(catalogue: Catalogue, given: Mapping[str, Answer]) -> dict[str, Answer]:
    """Ask every question that `given` leaves open and return all answers.

    Raises LeftEarlyError where the person leaves with Ctrl-C.
    """
    answers = dict(given)
    for question in catalogue.questions:
        asked = question.asked_with is None or question.asked_with.holds(answers)
        if question.name in answers or not asked:
            continue
        answer = cast("Answer | None", _prompt(catalogue, question, answers).ask())
        if answer is None:
            raise LeftEarlyError
        answers[question.name] = answer
    return answers


def agrees(catalogue: Catalogue, answers: Mapping[str, Answer]) -> bool:
    """Show what `answers` render and return whether the person wants it."""
    paths = preview(catalogue.root, answers)
    print(f"{as_tree(paths)}\n{len(paths)} files")
    return bool(questionary.confirm("Write these files?").ask())


def write(root: Path, destination: Path, answers: Mapping[str, Answer]) -> None:
    """Render into `destination` from the repository at `root`, so that it can be updated later."""
    copier.run_copy(str(root), destination, data=dict(answers), defaults=True)


def _prompt(
    catalogue: Catalogue, question: Question, answers: Mapping[str, Answer]
) -> questionary.Question:
    """Return the prompt that fits the kind of the question."""
    if question.name == "patterns":
        return _checklist(catalogue, question, preset=str(answers.get("preset", "standard")))
    if question.kind == "text":
        return _text(catalogue, question, answers)
    if question.kind == "flag":
        return questionary.confirm(question.help, default=bool(question.default))
    if question.kind == "choice":
        choices = [questionary.Choice(choice.label, choice.value) for choice in question.choices]
        return questionary.select(question.help, choices, default=str(question.default))
    ticked = cast("list[str]", question.default)
    boxes = [
        questionary.Choice(choice.label, choice.value, checked=choice.value in ticked)
        for choice in question.choices
    ]
    return questionary.checkbox(question.help, boxes)


def _text(
    catalogue: Catalogue, question: Question, answers: Mapping[str, Answer]
) -> questionary.Question:
    default = str(question.default)
    if question.name == "service_slug":
        default = _slug(str(answers.get("service_name", "")))

    def judge(text: str) -> bool | str:
        return rejected(catalogue, {question.name: text}) or True

    return questionary.text(question.help, default=default, validate=judge)


def _slug(name: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower())
    return "-".join(words.split())


def _checklist(catalogue: Catalogue, question: Question, *, preset: str) -> questionary.Question:
    """Return the patterns as one list in groups; a ticked box ticks what it requires at once."""
    ticked = catalogue.preset(preset)
    boxes: list[questionary.Choice] = []
    for group, patterns in catalogue.groups().items():
        boxes.append(questionary.Separator(f"─ {group} ─"))
        boxes.extend(_box(pattern, ticked) for pattern in patterns)
    prompt = questionary.checkbox(question.help, boxes)
    control = next(
        control
        for control in prompt.application.layout.find_all_controls()
        if isinstance(control, InquirerControl)
    )

    def tick_requirements(_: Application[object]) -> None:
        chosen = cast("list[str]", control.selected_options)
        control.selected_options = catalogue.with_requirements(chosen)

    prompt.application.before_render += tick_requirements
    return prompt


def _box(pattern: Pattern, ticked: Sequence[str]) -> questionary.Choice:
    needs = f" (needs {', '.join(pattern.requires)})" if pattern.requires else ""
    return questionary.Choice(
        f"{pattern.title}{needs}",
        pattern.name,
        checked=pattern.name in ticked,
        description=pattern.summary,
    )
