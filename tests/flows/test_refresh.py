"""The flow that keeps copies fresh: each has its turn, and what fails keeps the last one."""

from typing import TYPE_CHECKING

import pytest

from adapters.memory.copyist import MemoryCopyist
from domain.data.copy import Copy
from domain.errors import Invalid, Refused, Rejected
from domain.facts import Done
from flows.refresh import refresh

if TYPE_CHECKING:
    from conftest import World

DECLARED = {"from": "secret://env/PROD", "policy": "masking/shop.yaml"}


@pytest.fixture
def copyists(world: "World", monkeypatch: pytest.MonkeyPatch) -> dict[str, MemoryCopyist]:
    """Two copies are declared, and stand in memory."""
    made = {"analytics": MemoryCopyist(), "shop-test": MemoryCopyist()}
    for name in made:
        declared = Copy.model_validate({**DECLARED, "name": name, "into": f"secret://env/{name.upper()}"})
        world.desk.catalog.copies[name] = declared
    monkeypatch.setattr("flows.refresh.open_house", lambda: world.desk)
    monkeypatch.setattr("flows.refresh.copyist", lambda wanted, *_: made[wanted.name])
    return made


def test_every_copy_is_taken_again_and_the_journal_says_what_is_in_it(
    world: "World", copyists: dict[str, MemoryCopyist]
) -> None:
    told = refresh.fn()
    assert [(row["copy"], row["fresh"]) for row in told] == [("analytics", "yes"), ("shop-test", "yes")]
    assert "3 rows of 1 tables" in told[0]["what"]
    facts = [entry.fact for entry in world.desk.journal.entries(service="interlock", kinds=("done",))]
    assert [fact.outcome["tables"] for fact in facts if isinstance(fact, Done)] == [{"public.orders": 3}] * 2
    assert "secret://" not in str(facts)


def test_one_copy_alone_can_be_asked_for(copyists: dict[str, MemoryCopyist]) -> None:
    refresh.fn("shop-test")
    assert {name: copyist.taken for name, copyist in copyists.items()} == {"analytics": 0, "shop-test": 1}


def test_one_that_fails_keeps_nobody_from_its_turn_and_fails_the_run(copyists: dict[str, MemoryCopyist]) -> None:
    refresh.fn()
    copyists["analytics"].fails = Refused("customers.mail has no rule")
    with pytest.raises(Rejected, match=r"analytics: customers\.mail has no rule"):
        refresh.fn()
    assert (copyists["analytics"].taken, copyists["shop-test"].taken) == (1, 2)


def test_a_copy_that_nobody_declared_is_invalid_and_names_what_was_meant(copyists: dict[str, MemoryCopyist]) -> None:
    with pytest.raises(Invalid, match="copy 'shop-tset' does not exist"):
        refresh.fn("shop-tset")
    assert copyists["shop-test"].taken == 0
