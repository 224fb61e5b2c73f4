"""The questions, answered at a terminal as a person answers them."""

import sys
from pathlib import Path

import pexpect
import pytest
import yaml
from slipway.rendering import ANSWERS_FILE, contents

ENTER, SPACE, DOWN, UP, CTRL_C = "\r", " ", "\x1b[B", "\x1b[A", "\x03"
ERASE_LINE = "\x05\x15"
SCRIPTS = Path(sys.executable).parent


class Terminal:
    """A command at a pseudo-terminal, and somebody who reads before typing."""

    def __init__(self, command: str, *arguments: str) -> None:
        self.child: pexpect.spawn[str] = pexpect.spawn(
            str(SCRIPTS / command),
            list(arguments),
            encoding="utf-8",
            timeout=30,
            dimensions=(50, 200),
        )

    def reads(self, words: str) -> "Terminal":
        self.child.expect_exact(words)
        return self

    def types(self, *keys: str) -> "Terminal":
        for key in keys:
            self.child.send(key)
        return self

    def ends(self) -> int:
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus if self.child.exitstatus is not None else -1


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")


def remembered(project: Path) -> dict[str, object]:
    return yaml.safe_load((project / ANSWERS_FILE).read_text())


def test_a_person_answers_every_question_of_copier(published: Path, tmp_path: Path):
    made = tmp_path / "billing"
    person = Terminal("copier", "copy", str(published), str(made))

    person.reads("What is the service called?").types(ERASE_LINE, "Billing Service", ENTER)
    person.reads("Its name in commands").reads("billing-service").types(ENTER)
    person.reads("What does it do").types(ERASE_LINE, "Sends invoices.", ENTER)
    person.reads("Which team owns it").types(ERASE_LINE, "team-money", ENTER)
    person.reads("Which web framework?").types(DOWN, ENTER)
    person.reads("Which patterns should be ticked").types(DOWN, ENTER)
    person.reads("Which optional patterns?").types(DOWN, DOWN, SPACE, ENTER)
    person.reads("Which message broker").types(ENTER)
    person.reads("Include the example slices").types("y")
    person.reads("Lowest supported Python").types(ENTER)
    person.reads("Where does its CI run?").types(DOWN, ENTER)
    person.reads("How is it deployed?").types(ENTER)
    person.reads("Billing Service is ready.")

    assert person.ends() == 0
    answers = remembered(made)
    assert answers["service_slug"] == "billing-service"
    assert answers["framework"] == "litestar"
    assert answers["preset"] == "minimal"
    assert answers["patterns"] == ["outbox"]
    assert answers["ci"] == "none"


def test_pressing_enter_throughout_makes_the_standard_service(published: Path, tmp_path: Path):
    made = tmp_path / "orders"
    person = Terminal("copier", "copy", str(published), str(made))

    for words in (
        "What is the service called?",
        "Its name in commands",
        "What does it do",
        "Which team owns it",
        "Which web framework?",
        "Which patterns should be ticked",
        "Which optional patterns?",
        "Include the example slices",
        "Lowest supported Python",
        "Where does its CI run?",
        "How is it deployed?",
    ):
        person.reads(words).types(ENTER)

    assert person.ends() == 0
    assert remembered(made)["patterns"] == ["auth", "rate_limiting"]


def test_a_clumsy_name_is_explained_and_can_be_corrected(published: Path, tmp_path: Path):
    made = tmp_path / "orders"
    person = Terminal("copier", "copy", str(published), str(made))

    person.reads("What is the service called?").types(ERASE_LINE, "../../etc", ENTER)
    person.reads("starting with a letter").types(ERASE_LINE, "Orders", ENTER)
    person.reads("Its name in commands").types(ERASE_LINE, "fastapi", ENTER)
    person.reads("another.").types(CTRL_C)

    assert person.ends() != 0
    assert not made.exists()


def test_the_wizard_previews_and_writes(tmp_path: Path, published: Path):
    made = tmp_path / "orders"
    person = wizard(published, made)

    person.reads("What is the service called?").types(ERASE_LINE, "../x", ENTER)
    person.reads("not of the shape").types(ERASE_LINE, "Orders", ENTER)
    person.reads("Its name in commands").types(ENTER)
    person.reads("What does it do").types(ENTER)
    person.reads("Which team owns it").types(ENTER)
    person.reads("Which web framework?").types(ENTER)
    person.reads("Which patterns should be ticked").types(DOWN, ENTER)
    person.reads("Which optional patterns?").types(SPACE, ENTER)
    person.reads("Include the example slices").types("n")
    person.reads("Lowest supported Python").types(ENTER)
    person.reads("Where does its CI run?").types(ENTER)
    person.reads("How is it deployed?").types(ENTER)
    person.reads("pyproject.toml").reads("files")
    person.reads("Write these files?").types("y")

    assert person.ends() == 0
    answers = remembered(made)
    assert len(answers["patterns"]) == 1  # pyright: ignore[reportArgumentType]
    assert answers["example"] is False
    assert contents(made)


def test_leaving_the_wizard_writes_nothing(tmp_path: Path, published: Path):
    made = tmp_path / "orders"
    person = wizard(published, made)

    person.reads("What is the service called?").types(CTRL_C)
    person.reads("nothing was written")

    assert person.ends() == 2
    assert not made.exists()


def test_ticking_a_pattern_ticks_what_it_requires(tmp_path: Path):
    small = Path(__file__).parent / "small"
    person = wizard(small, tmp_path / "out")

    person.reads("Which framework?").types(ENTER)
    person.reads("Saga (needs outbox)").types(DOWN, DOWN, SPACE)
    person.types(ENTER).reads("Which broker?").types(ENTER)
    person.reads("Which style?").types(ENTER)
    person.reads("With examples?").types("y")
    person.reads("Deployed how?").types(ENTER)
    person.reads("outbox.py").reads("saga.py").reads("Write these files?").types("y")

    assert person.ends() == 0
    assert remembered(tmp_path / "out")["patterns"] == ["outbox", "saga"]


def wizard(template: Path, destination: Path) -> Terminal:
    """Start `slipway new` for another template than the one it is installed with."""
    start = (
        "import sys; from pathlib import Path; from slipway import catalogue, cli\n"
        f"cli.REPOSITORY = Path({str(template)!r})\n"
        "cli.load_catalogue = lambda: catalogue.load_catalogue(cli.REPOSITORY)\n"
        f"sys.exit(cli.main(['new', {str(destination)!r}]))"
    )
    return Terminal("python", "-c", start)
