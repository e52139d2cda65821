from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from domain.canary.tick import Tick
from domain.errors import Conflict
from domain.facts import Approved, GateOpened, Looked, NotCounted
from domain.policy.approval import Approval, admit
from domain.policy.people import People

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Stand in for Prefect's server: remember which run of which release was woken."""
    woken: list[tuple[str, str]] = []

    def wake(release: str, first: str, prefect: object) -> str:
        woken.append((release, first))
        return "http://prefect/run"

    monkeypatch.setattr("cli.runs.wake", wake)
    return woken


@pytest.fixture
def sign(run: Run, keys: dict[str, Path]) -> Callable[..., Result]:
    def sign(release: str, name: str, *words: str, key: str = "") -> Result:
        return run("approve", release, "--as", name, "--key", str(keys[key or name]), "--yes", *words)

    return sign


def test_a_release_goes_on_when_two_people_signed(scene: "Scene", sign: Callable[..., Result], woken: list) -> None:
    release = scene.begin("v1.0.0")
    gate = scene.ask(release)
    first = sign(release, "ada")
    assert first.exit_code == 0, first.stderr
    assert f"plan {gate.plan}" in first.stdout
    assert "… product-owner or sre: missing; grace or linus" in first.stdout
    assert woken == []
    second = sign(release, "grace")
    assert "✓ tech-lead: ada" in second.stdout
    assert "its run goes on: http://prefect/run" in second.stdout
    assert woken == [(release, "run-of-v1.0.0")]
    signed = [entry for entry in scene.house.journal.entries(release=release) if isinstance(entry.fact, Approved)]
    assert [(entry.actor, entry.environment) for entry in signed] == [("ada", "production"), ("grace", "production")]


def test_a_gate_that_was_passed_asks_nobody(scene: "Scene", run: Run, sign: Callable[..., Result], woken: list) -> None:
    release = scene.begin("v1.0.0")
    scene.ask(release)
    sign(release, "ada")
    sign(release, "grace")
    scene.enter(release, "approved", "deploying", environment="production")
    assert "it is deploying" in sign(release, "linus").stderr
    assert "shop 1.0.0 is under way: deploying in production" in run("explain", release).stdout


def test_one_person_fills_one_seat(scene: "Scene", sign: Callable[..., Result], woken: list) -> None:
    release = scene.begin("v1.0.0")
    scene.ask(release)
    sign(release, "ada")
    sign(release, "ada")
    assert woken == []


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [
        ("dev", "dev", "dev asked for this release or wrote part of it; dev holds none of the roles"),
        ("eve", "eve", "eve holds none of the roles this gate asks for: tech-lead + (product-owner or sre)"),
        ("ada", "grace", "the signature does not verify with any key of ada"),
        ("grace", "stranger", "the signature does not verify with any key of grace"),
    ],
)
def test_what_does_not_count_is_refused(
    scene: "Scene", sign: Callable[..., Result], woken: list, name: str, key: str, says: str
) -> None:
    release = scene.begin("v1.0.0")
    scene.ask(release)
    shown = sign(release, name, key=key)
    assert shown.exit_code == 3
    assert says in shown.stderr
    assert scene.house.journal.entries(release=release, kinds=("approved",)) == ()
    assert woken == []


def test_one_rejection_wakes_the_run_to_be_aborted(scene: "Scene", sign: Callable[..., Result], woken: list) -> None:
    release = scene.begin("v1.0.0")
    scene.ask(release)
    shown = sign(release, "linus", "--reject")
    assert shown.exit_code == 0, shown.stderr
    assert "linus signed reject" in shown.stdout
    assert woken == [(release, "run-of-v1.0.0")]


def test_the_printed_text_is_an_approval_and_nothing_is_recorded(
    scene: "Scene", sign: Callable[..., Result], woken: list
) -> None:
    release = scene.begin("v1.0.0")
    gate = scene.ask(release)
    shown = sign(release, "ada", "--print")
    approval = Approval.read(shown.stdout)
    people: People = scene.house.people
    assert admit(approval, gate, people, approval.statement.expires.replace(year=2000)).name == "ada"
    assert f"plan {gate.plan}" in shown.stderr
    assert scene.house.journal.entries(release=release, kinds=("approved",)) == ()
    assert woken == []


def test_what_would_not_count_is_not_printed_either(scene: "Scene", sign: Callable[..., Result]) -> None:
    release = scene.begin("v1.0.0")
    scene.ask(release)
    shown = sign(release, "dev", "--print")
    assert (shown.exit_code, shown.stdout) == (3, "")
    assert "dev asked for this release" in shown.stderr


def test_who_asked_is_not_named_among_those_who_may_sign(scene: "Scene", sign: Callable[..., Result]) -> None:
    release = scene.begin("v1.0.0", requester="linus")
    scene.ask(release)
    assert "… product-owner or sre: missing; grace\n" in sign(release, "ada", "--print").stderr


def test_who_signed_is_not_asked_again_for_a_second_seat(scene: "Scene", sign: Callable[..., Result]) -> None:
    scene.edit("people.yaml", lambda it: it["people"][0]["roles"].append("sre"))
    release = scene.begin("v1.0.0")
    scene.ask(release)
    assert "missing; grace or linus\n" in sign(release, "ada").stdout.partition("ada signed")[2]


def test_a_question_about_another_plan_is_not_signed(scene: "Scene", sign: Callable[..., Result]) -> None:
    release = scene.begin("v1.0.0")
    gate = scene.ask(release)
    scene.write(GateOpened(gate=gate.model_copy(update={"plan": "0" * 64}), round=2), release, "production")
    shown = sign(release, "ada")
    assert shown.exit_code == 1
    assert "the plan in the journal is not the one in question\n→ run `interlock verify`" in shown.stderr


def test_a_decision_is_kept_when_its_run_cannot_be_woken(
    scene: "Scene", sign: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wake(*_: object) -> str:
        raise Conflict("no run waits")

    monkeypatch.setattr("cli.runs.wake", wake)
    release = scene.begin("v1.0.0")
    scene.ask(release)
    sign(release, "ada")
    shown = sign(release, "linus")
    assert shown.exit_code == 0
    assert "the decision is recorded, and will be found when the release is entered again" in shown.stdout
    assert f"→ interlock release shop --resume {release}" in shown.stdout
    assert len(scene.house.journal.entries(release=release, kinds=("approved",))) == 2


def test_nothing_is_signed_without_a_yes(scene: "Scene", run: Run, keys: dict[str, Path]) -> None:
    release = scene.begin("v1.0.0")
    scene.ask(release)
    shown = run("approve", release, "--as", "ada", "--key", str(keys["ada"]), input="n\n")
    assert shown.exit_code == 1
    assert "ada: approve 'release' in production? [y/N]" in shown.output
    assert scene.house.journal.entries(release=release, kinds=("approved",)) == ()


def test_a_key_that_others_can_read_is_not_used(scene: "Scene", run: Run, keys: dict[str, Path]) -> None:
    open_key = scene.folder / "open"
    open_key.write_bytes(keys["ada"].read_bytes())
    open_key.chmod(0o644)
    release = scene.begin("v1.0.0")
    scene.ask(release)
    shown = run("approve", release, "--as", "ada", "--key", str(open_key), "--yes")
    assert shown.exit_code == 2
    assert f"error: {open_key} did not sign: " in shown.stderr
    assert "UNPROTECTED PRIVATE KEY FILE" in shown.stderr


def test_ones_own_key_is_found_by_its_public_half(scene: "Scene", run: Run, keys: dict[str, Path], woken: list) -> None:
    release = scene.begin("v1.0.0")
    scene.ask(release)
    missing = run("approve", release, "--as", "ada", "--yes")
    assert (missing.exit_code, "no private key of ada is on this machine" in missing.stderr) == (2, True)
    folder = scene.folder / ".ssh"
    folder.mkdir()
    for name, file in (("grace", "id_a"), ("ada", "id_b")):
        (folder / file).write_bytes(keys[name].read_bytes())
        (folder / file).chmod(0o600)
        (folder / f"{file}.pub").write_bytes(keys[name].with_suffix(".pub").read_bytes())
    shown = run("approve", release, "--as", "ada", "--yes")
    assert shown.exit_code == 0, shown.stderr
    assert "ada signed approve" in shown.stdout


def test_a_hold_of_the_judge_is_a_question_too(scene: "Scene", sign: Callable[..., Result], woken: list) -> None:
    scene.carry("v1.0.0")
    release = scene.begin("v1.1.0")
    scene.deploy(release, "production", share=1000)
    scene.ask(release, question="go on at 10 %, 1")
    shown = sign(release, "ada")
    assert shown.exit_code == 0, shown.stderr
    assert "asked: go on at 10 %, 1?" in shown.stdout
    scene.write(NotCounted(question="go on at 10 %, 1", reason="resumed without", round=1), release, "production")
    assert sign(release, "grace").exit_code == 0  # an answer that does not count answers nothing
    scene.write(Looked(share=1000, next_share=5000, tick=Tick(second=1)), release, "production")
    assert "does not wait for anybody: it is deploying" in sign(release, "linus").stderr


def test_who_asks_about_the_wrong_thing_is_told_the_right_one(scene: "Scene", sign: Callable[..., Result]) -> None:
    done = scene.carry("v1.0.0")
    release = scene.begin("v1.1.0")
    scene.ask(release)
    assert (
        f"error: {done} does not wait for anybody: it is released\n→ interlock explain {done}"
        in sign(done, "ada").stderr
    )
    wrong = sign("shop-v1.1.0-abc12", "ada")
    assert (wrong.exit_code, f"→ did you mean {release}" in wrong.stderr) == (2, True)
    elsewhere = sign(release, "ada", "--environment", "staging")
    assert (elsewhere.exit_code, "asks about production, not staging" in elsewhere.stderr) == (2, True)
