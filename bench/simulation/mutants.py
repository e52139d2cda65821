"""Interlock with one of its mechanisms taken away: each time an invariant must notice, or it is worth nothing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from bench.simulation.case import live
from bench.simulation.twins import HeartLeases
from domain.facts import Fact, Intended
from domain.release.standing import Standing
from tasks import step
from tasks.step import Warrant

Patches = Mapping[str, Any]


def survives(name: str, seed: int, releases: int) -> tuple[str, int]:
    """Simulate with a mechanism taken away; return the invariant that noticed (empty: none did) and after how many."""
    number = lived = 0
    with ExitStack() as stack:
        for target, value in MUTANTS[name]().items():
            stack.enter_context(patch(target, value))
        while lived < releases:
            result = live(seed, number)
            number, lived = number + 1, lived + result.releases
            if result.broken:
                return result.broken[0].partition(":")[0], lived
    return "", lived


def _no_intent() -> Patches:
    record = Warrant.record

    def silent(self: Warrant, fact: Fact) -> None:
        if not isinstance(fact, Intended):
            record(self, fact)

    return {"tasks.step.Warrant.record": silent}


def _no_observe() -> Patches:
    carry_out = step.carry_out

    def blind(outcome: Any, act: Any, _observe: Any, *args: Any, **kwargs: Any) -> Any:
        return carry_out(outcome, act, None, *args, **kwargs)

    return {"tasks.step.carry_out": blind}


def _no_heartbeat() -> Patches:
    @contextmanager
    def still(_self: HeartLeases, _lease: Any, _ttl: float) -> Iterator[None]:
        yield

    return {"bench.simulation.twins.HeartLeases.keep_alive": still}


def _no_carrier() -> Patches:
    @contextmanager
    def alone(warrant: Warrant, *_args: Any, **_kwargs: Any) -> Iterator[Warrant]:
        yield replace(warrant, carrier=None)

    return {"flows.release.carried": alone, "flows.rollback.carried": alone}


def _no_reach() -> Patches:
    from domain.release import way_back  # noqa: PLC0415  # its rule is inside; a route that reaches all stands in for it

    plain = way_back.way_back

    def careless(standing: Standing, *args: Any) -> Any:
        route, kept = standing.route, {"emptying": None}
        for slot in ("blue", "green"):
            there = standing.slot(slot)
            if route and there and not getattr(route, slot):
                route = route.model_copy(update={slot: ("reachable",)})
        return plain(standing.model_copy(update={**kept, "route": route}), *args)

    return {"flows.take_back.way_back": careless}


MUTANTS: Mapping[str, Callable[[], Patches]] = {
    "nothing": dict,
    "the intent before an effect": _no_intent,
    "the look at the world before an effect is repeated": _no_observe,
    "the check of the leases before an effect": lambda: {"tasks.step.Warrant.check": lambda _self: None},
    "the journal's check of tokens": lambda: {
        "adapters.memory.journal.MemoryJournal.insist_current": lambda *_args: None,
    },
    "both checks": lambda: {
        "tasks.step.Warrant.check": lambda _self: None,
        "adapters.memory.journal.MemoryJournal.insist_current": lambda *_args: None,
    },
    "the products' check of tokens": lambda: {
        "adapters.memory.router.MemoryRouter.claim": lambda *_args: None,
        "adapters.memory.workload.MemoryWorkload.claim": lambda *_args: None,
        "adapters.memory.database.MemoryDatabase._insist": lambda *_args: None,
    },
    "the claim with which a hold begins": lambda: {"flows.hold.claim": lambda *_args: None},
    "the beat that keeps a lease alive": _no_heartbeat,
    "the lease on the release itself": _no_carrier,
    "the verdicts that were recorded": lambda: {"tasks.judge._concluded": lambda *_args: None},
    "the rule that a version must be reachable to get traffic": _no_reach,
    "the comparison of a plan with what stands": lambda: {
        "tasks.record.standing.insist_as_planned": lambda *_args: None,
    },
    "the rule that a release is in one place": lambda: {"flows.rollback.insist_on_place": lambda *_args: None},
    "the schema that a dead run did not write down": lambda: {"flows.take_back.recall_schema": lambda *_args: None},
}
