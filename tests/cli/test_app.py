import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from cli import docs
from cli.app import WORDS, load
from config.settings import HOUSE
from domain.schema.rules import RULES

Run = Callable[..., Result]


def test_help_lists_every_command_and_imports_none() -> None:
    program = "import sys; from cli.app import app; app(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=HOUSE, capture_output=True, text=True, check=True
    ).stdout
    text, _, modules = shown.rpartition("\n[")
    assert all(word.says[:50] in text for word in WORDS.values() if not word.hidden)
    assert not [name for name in ("prefect", "docker", "boto3", "sqlalchemy", "domain.facts") if f"'{name}'" in modules]


@pytest.mark.parametrize("name", [name for name, word in WORDS.items() if name != "env"])
def test_the_list_says_what_the_command_says_of_itself(name: str) -> None:
    assert load(name).help.splitlines()[0] == f"{WORDS[name].says}."


def leaves(command: Any, words: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    inside = getattr(command, "commands", {})
    return [leaf for name, it in inside.items() for leaf in leaves(it, (*words, name))] or [(words, command)]


ALL = [leaf for name in WORDS for leaf in leaves(load(name), (name,))]


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_every_command_shows_an_example_that_it_would_understand(words: tuple[str, ...], command: Any) -> None:
    assert command.epilog.startswith("Example: `interlock ")
    typed = command.epilog.partition("`")[2].partition("`")[0].replace("'", "").split()
    assert typed[1] in (words[0], "env", "environments")


def test_the_page_of_commands_is_as_the_help_says() -> None:
    assert (HOUSE / "docs" / "cli.md").read_text(encoding="utf-8") == docs.render()


def test_the_page_of_the_database_lists_the_rules_of_the_lint() -> None:
    page = (HOUSE / "docs" / "database.md").read_text(encoding="utf-8")
    assert page == docs.with_rules(page)
    assert all(f"| `{name}` | {rule.severity} |" in page for name, rule in RULES.items())


def test_usage_errors_exit_2(run: Run) -> None:
    for words in (("plam", "shop"), ("plan",), ("plan", "shop", "--nope"), ("lease", "nope")):
        assert run(*words).exit_code == 2
    assert "Did you mean" in run("plam").stderr
    assert "'plan'" in run("plam").stderr


def test_the_unexpected_is_one_line_unless_a_developer_asks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ValueError("first\nsecond")

    monkeypatch.setattr("cli.status.open_house", broken)
    shown = run("status")
    assert shown.exit_code == 1
    assert shown.stderr == "error: ValueError: first second\n→ INTERLOCK_DEBUG=1 shows where; please report it\n"
    assert isinstance(run("status", env={"INTERLOCK_DEBUG": "1"}).exception, ValueError)


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout == "0.1.0\n"


def test_a_ledger_that_cannot_be_opened_is_no_trace(run: Run, tmp_path: Any) -> None:
    (tmp_path / "ledger.db").write_text("this is not a database, whatever its name says" * 50)
    shown = run("status")
    assert shown.exit_code in (1, 2)
    assert shown.stderr.startswith("error: ledger ")
    assert "Traceback" not in shown.output
