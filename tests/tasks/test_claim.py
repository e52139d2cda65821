"""A hold begins by having every plane refuse whoever held it before."""

from collections.abc import Callable

import pytest

from adapters.memory.database import MemoryDatabase
from adapters.memory.router import MemoryRouter
from adapters.memory.workload import MemoryWorkload
from domain.errors import Conflict, Invalid, ReleaseError, Unavailable
from domain.ports import Ports
from tasks.claim import claim
from tasks.step import Warrant

HINT = "look there"


def refusing(error: ReleaseError) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise error

    return refuse


def test_every_plane_refuses_an_older_owner_from_then_on(warrant: Warrant, ports: Ports) -> None:
    claim(warrant, ports)
    older = warrant.token - 1
    for late in (
        lambda: ports.router.claim("shop-production", older),
        lambda: ports.workload.claim("shop", "production", older),
        lambda: ports.databases["production"].claim(older),
    ):
        with pytest.raises(Conflict, match="newer owner"):
            late()


@pytest.mark.parametrize("error", [Unavailable("away", HINT), Invalid("may not create a table", HINT)])
def test_a_plane_that_cannot_be_claimed_keeps_the_others_from_nothing(
    warrant: Warrant, ports: Ports, error: ReleaseError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryRouter, "claim", refusing(error))
    claim(warrant, ports)
    for late in (
        lambda: ports.workload.claim("shop", "production", warrant.token - 1),
        lambda: ports.databases["production"].claim(warrant.token - 1),
    ):
        with pytest.raises(Conflict):
            late()


@pytest.mark.parametrize("plane", [MemoryRouter, MemoryWorkload, MemoryDatabase])
def test_whoever_was_overtaken_learns_it_from_any_plane(
    warrant: Warrant, ports: Ports, plane: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plane, "claim", refusing(Conflict("a newer owner", HINT)))
    with pytest.raises(Conflict):
        claim(warrant, ports)


@pytest.mark.parametrize("plane", [MemoryRouter, MemoryWorkload, MemoryDatabase])
def test_before_an_undo_ends_a_plane_that_does_not_answer_is_insisted_on(
    warrant: Warrant, ports: Ports, plane: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.step.sleep", lambda _: None)
    monkeypatch.setattr(plane, "claim", refusing(Unavailable("away", HINT)))
    claim(warrant, ports)
    with pytest.raises(Unavailable):
        claim(warrant, ports, insist=True)
    monkeypatch.setattr(plane, "claim", refusing(Invalid("may not create a table", HINT)))
    claim(warrant, ports, insist=True)
