"""One YAML file into one model: what people get to read when it is wrong."""

from pathlib import Path

import pytest

from config.read import read
from config.settings import Settings
from domain.environment.profile import Environment
from domain.policy.people import People
from domain.release.service import Service
from domain.value import Value

SERVICE = """
name: shop
owner: payments
source: {repository: shop}
environments: {production: {port: 8080}}
"""
SETTINGS = """
stack: test
sources: sources
ledger: {url: sqlite:///ledger.db}
engine: {kind: docker}
registry: {kind: oci, url: http://127.0.0.1:5000}
router: {kind: haproxy, folder: router}
store: {kind: folder, folder: store}
secrets: {folder: secrets}
notices: {kind: folder, folder: notices}
"""


def problems(tmp_path: Path, text: str, model: type[Value]) -> list[str]:
    (tmp_path / "it.yaml").write_text(text)
    found: list[str] = []
    assert (read(tmp_path / "it.yaml", "it.yaml", model, found) is None) == bool(found)
    return found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("onwer: me", "onwer: unknown key; did you mean 'owner'?"),
        ("runtime: {prot: 80}", "runtime.prot: unknown key; did you mean 'port'?"),
        (
            "schema: {zzz: 1}",
            "schema.zzz: unknown key; known: consumers, drill_expires, invariant_timeout, invariants, lock_budget",
        ),
        ("schema: {invariants: {paid: slect 1}}", "schema.invariants.paid: line 1: syntax error"),
        ("schema: {invariants: {paid: delete from t}}", "schema.invariants.paid: should be one SELECT that returns"),
        ("runtime: {port: many}", "runtime.port: should be a whole number"),
        ("runtime: {port: 70000}", "runtime.port: Input should be less than or equal to 65535"),
        ("runtime: {health: healthz}", "runtime.health: should match ^/"),
        ("runtime: {drain: soon}", "runtime.drain: should be a duration such as 30s, 10m or 1.5h"),
        ("runtime: [8080]", "runtime: should hold keys and values"),
        ("build: {args: {DEBUG: yes}}", "build.args.DEBUG: should be text; put it in quotes"),
        ("needs: catalogue", "needs: should be a list"),
        ("needs: [Catalogue]", "needs.0: should be lower case letters, digits and dashes"),
        ("checks: {Unit: {kind: http, steps: [{path: /}]}}", "checks.Unit: the name should be lower case letters, "),
        ("checks: {unit: {kind: htpp}}", "checks.unit.kind: unknown; did you mean 'http'?"),
        ("checks: {unit: {command: [x]}}", "checks.unit.kind: missing; known: command, http"),
        ("checks: {unit: {kind: command, command: [x], stage: biuld}}", "checks.unit.stage: unknown; did you mean 'bu"),
        ("checks: {unit: {kind: command, comand: [x]}}", "checks.unit.command: missing"),
        ("checks: {unit: {kind: http, steps: [{path: x}]}}", "checks.unit.steps.0.path: should match ^/"),
        ("success: [{name: n, measure: p99_ms}]", "success.0: give exactly one of at_least and at_most"),
        ("7: seven", "7: a key should be text; put it in quotes"),
    ],
)
def test_a_mistake_is_named_with_its_path_and_what_to_do(tmp_path: Path, line: str, message: str) -> None:
    found = problems(tmp_path, SERVICE + line, Service)
    assert any(problem.startswith(f"it.yaml: {message}") for problem in found), found


def test_the_same_file_without_the_mistake_loads(tmp_path: Path) -> None:
    assert problems(tmp_path, SERVICE, Service) == []
    assert problems(tmp_path, SETTINGS, Settings) == []


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "name: Shop\nsource: {}\nenvironments: {}\nextra: 1", Service)
    assert [problem.split(": ")[1] for problem in found] == [
        "name",
        "owner",
        "source.repository",
        "environments",
        "extra",
    ]


def test_a_missing_key_says_what_belongs_there(tmp_path: Path) -> None:
    text = SERVICE.replace("owner: payments", "")
    assert problems(tmp_path, text, Service) == ["it.yaml: owner: missing; the person or team that answers for it"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [shop", "line 1, column 12: while parsing a flow sequence expected ',' or ']'"),
        ("a: 1\n b: 2", "line 2, column 3: mapping values are not allowed here"),
        ("a: \x07", "is not YAML: unacceptable character"),
        ("a: 2026-02-31", "is not YAML: day is out of range for month"),
        ("a: !!python/object/apply:os.system [id]", "line 1, column 4: could not determine a constructor"),
        ("name: a\nname: b", "line 2, column 1: 'name' is given twice"),
        ("- 1", "should hold keys and values"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    found = problems(tmp_path, text, Environment)
    assert found[0].startswith(f"it.yaml: {message}")


def test_every_key_given_twice_is_found_however_deep(tmp_path: Path) -> None:
    twice = SERVICE + "runtime:\n  port: 1\n  port: 2\nchecks: {}\nchecks: {}\n"
    assert problems(tmp_path, twice, Service) == [
        "it.yaml: line 8, column 3: 'port' is given twice",
        "it.yaml: line 10, column 1: 'checks' is given twice",
    ]


def test_a_yaml_merge_is_not_a_key_given_twice(tmp_path: Path) -> None:
    text = """
name: shop
owner: payments
source: {repository: shop}
environments:
  staging: &usual {port: 8081, config: {A: "1"}}
  production: {<<: *usual, port: 8080}
"""
    assert problems(tmp_path, text, Service) == []


def test_bytes_that_are_not_text_and_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    found: list[str] = []
    read(tmp_path / "latin.yaml", "latin", People, found)
    read(tmp_path / "absent.yaml", "absent", People, found)
    read(tmp_path, "folder", People, found)
    assert found == [
        "latin: is not UTF-8 text: byte 9",
        "absent: cannot be read: No such file or directory",
        "folder: cannot be read: Is a directory",
    ]


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    assert problems(tmp_path, "# nobody yet\n", People) == []


def test_no_message_repeats_a_value_because_it_may_be_a_secret(tmp_path: Path) -> None:
    text = SETTINGS.replace(
        "store: {kind: folder, folder: store}",
        "store: {kind: s3, bucket: b, access_key: AKIAHUSH, secret_key: [hush], region: {hush: hush}, endpoint: hush}",
    ).replace("sqlite:///ledger.db", "mysql://user:hush@host/db")
    found = problems(tmp_path, text, Settings)
    assert {problem.split(": ")[1] for problem in found} == {
        "ledger.url",
        "store.access_key",
        "store.secret_key",
        "store.region",
        "store.endpoint",
    }
    assert not [problem for problem in found if "hush" in problem.lower()]
