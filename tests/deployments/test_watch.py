"""The watch beside a runner: it starts a sweep as soon as something is lost, and not again at once."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from deployments.watch import AGAIN, Watch
from domain.facts import Entered, Opened
from domain.lease import carrier_of
from domain.release.plan import Request
from ledger.journal import SqlJournal
from ledger.lease import SqlLeases
from ledger.open import Ledger, open_ledger
from ledger.tables import LEASE


class Scene:
    """A ledger with one release that a run carries, and the sweeps that were started."""

    def __init__(self, folder: Path) -> None:
        self.ledger: Ledger = open_ledger(f"sqlite:///{folder}/ledger.db")
        self.journal, self.leases = SqlJournal(self.ledger), SqlLeases(self.ledger)
        self.watch = Watch(SimpleNamespace(journal=self.journal, leases=self.leases))  # type: ignore[arg-type]  # all it asks
        self.sweeps: list[str] = []
        request = Request(service="shop", ref="main", environments=("production",), requester="dora")
        self.write(Opened(request=request, run="run"), Entered(phase="planned"))
        self.leases.take("shop", carrier_of("r1"), "r1/run 7/a", "run 7", 60)

    def write(self, *facts: Opened | Entered, environment: str = "") -> None:
        for fact in facts:
            self.journal.append(fact, actor="dora", release="r1", service="shop", environment=environment)

    def expire(self) -> None:
        with self.ledger.writing() as connection:
            connection.execute(update(LEASE).values(expires_at=self.ledger.now - 1))


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(tmp_path)
    monkeypatch.setattr("flows.dispatch.start", lambda flow, _: scene.sweeps.append(flow) or "run")
    return scene


def test_a_release_that_is_carried_needs_no_sweep(scene: Scene) -> None:
    assert not scene.watch.look(0.0)
    assert scene.sweeps == []


def test_a_lease_that_ended_starts_one_sweep_and_another_only_when_that_changed_nothing(scene: Scene) -> None:
    scene.expire()
    assert [scene.watch.look(now) for now in (2.0, 4.0, 2.0 + AGAIN - 0.1)] == [True, False, False]
    assert scene.watch.look(2.0 + AGAIN)
    assert scene.sweeps == ["sweep/interlock"] * 2


def test_what_is_over_is_nobodys_loss(scene: Scene) -> None:
    scene.expire()
    scene.write(Entered(phase="aborted"))
    assert not scene.watch.look(0.0)


def test_a_release_that_began_after_the_last_look_is_seen_at_the_next(scene: Scene) -> None:
    scene.write(Entered(phase="aborted"))
    assert not scene.watch.look(0.0)
    request = Request(service="shop", ref="main", environments=("production",), requester="dora")
    for fact in (Opened(request=request, run="run"), Entered(phase="planned")):
        scene.journal.append(fact, actor="dora", release="r2", service="shop")
    assert scene.watch.look(2.0)


def test_a_stuck_release_is_lost_only_when_nobody_keeps_its_environment(scene: Scene) -> None:
    for phase in ("built", "deploying", "rolling back", "stuck"):
        scene.write(Entered(phase=phase), environment="production")
    kept = scene.leases.take("shop", "production", "r1/waits for a person", "stuck", 3600)
    assert not scene.watch.look(0.0)
    scene.leases.give_back(kept)
    assert scene.watch.look(2.0)
