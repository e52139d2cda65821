import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from config.read import read
from config.settings import HOUSE
from domain.data.copy import Copy
from domain.data.policy import Policy
from domain.data.rule import Rule

Run = Callable[..., Result]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text("key: secret://env/MASKING_KEY\ntables: {customers: {columns: {id: keep, email: email}}}\n")
    return file


def test_a_malformed_policy_exits_2_and_tells_every_problem(run: Run, policy: Path) -> None:
    policy.write_text("key: hunter2\ntables: {t: {columns: {a: encrypt}, follows: [b]}}\n")
    shown = run("data", "check", "--policy", str(policy), "--database", "postgresql://127.0.0.1:9/x")
    assert shown.exit_code == 2
    for said in (
        "policy.yaml: key: should be a secret://… reference",
        "follows: unknown key; did you mean 'follow'?",
        "a.kind: unknown;",
    ):
        assert said in shown.stderr
    assert "hunter2" not in shown.stderr


def test_a_database_that_does_not_answer_exits_1_without_its_password(run: Run, policy: Path) -> None:
    shown = run("data", "check", "--policy", str(policy), "--database", "postgresql://me:hunter2@127.0.0.1:9/x")
    assert shown.exit_code == 1
    assert "127.0.0.1:9/x: the database does not answer" in shown.stderr
    assert "hunter2" not in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("secret://env/NOT_SET", "secret://env/NOT_SET has no value"),
        ("postgresql://me@127.0.0.1:9", "the URL names no database"),
        ("mysql hunter2", "the URL of the database cannot be read (not shown)"),
    ],
)
def test_a_url_that_is_none_exits_2(run: Run, url: str, says: str) -> None:
    shown = run("data", "status", "--database", url)
    assert shown.exit_code == 2
    assert says in shown.stderr
    assert "hunter2" not in shown.stderr


def test_urls_come_from_the_environment_and_the_key_must_be_long(run: Run, policy: Path) -> None:
    env = {
        "MASKING_KEY": "short",
        "SHOP": "postgresql://me@127.0.0.1:9/x",
        "INTERLOCK_DATA_FROM": "secret://env/SHOP",
        "INTERLOCK_DATA_INTO": "secret://env/SHOP",
    }
    shown = run("data", "refresh", "--policy", str(policy), env=env)
    assert shown.exit_code == 2
    assert "the masking key is shorter than 32 characters" in shown.stderr


def test_an_age_that_is_no_duration_exits_2(run: Run) -> None:
    shown = run("data", "status", "--database", "postgresql://me@127.0.0.1:9/x", "--max-age", "soon")
    assert shown.exit_code == 2
    assert "--max-age soon: no duration" in shown.stderr


def test_the_copy_and_the_policy_in_the_documentation_can_be_read_and_name_every_rule(tmp_path: Path) -> None:
    page = (HOUSE / "docs" / "data.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    copy, policy = (_taken(tmp_path, text, kind) for text, kind in zip(examples, (Copy, Policy), strict=True))
    assert isinstance(copy, Copy)
    assert (copy.name, copy.policy, copy.fresh) == ("shop-test", "masking/shop.yaml", 2 * 86_400)
    assert isinstance(policy, Policy)
    shown = {rule.kind for part in policy.tables.values() for rule in part.columns.values()}
    arms = [arm.model_fields["kind"].default for arm in Rule.__origin__.__args__]
    assert shown == set(arms)
    assert all(f"`{kind}`" in page for kind in arms)


def _taken(folder: Path, text: str, kind: type[Copy | Policy]) -> Copy | Policy | None:
    (folder / "example.yaml").write_text(text)
    problems: list[str] = []
    taken = read(folder / "example.yaml", "example", kind, problems)
    assert problems == []
    return taken
