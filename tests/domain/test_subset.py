"""A subset refers to nothing that it lacks, and holds nothing that nobody asked for or refers to."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.data.policy import Policy
from domain.data.shape import Column, ForeignKey, Shape, Table
from domain.data.subset import Bring, Plan, circles, plan

Rows = Mapping[str, list[dict[str, int | None]]]
Chosen = set[tuple[str, int]]
ID = Column(name="id", type="integer", base="int4", family="integer", nullable=False)


def shape_of(references: Mapping[str, list[str]]) -> Shape:
    """Tables with an id, and one nullable column for each table that they refer to."""
    return Shape(
        tables={
            name: Table(
                name=name,
                columns=(ID, *(ID.model_copy(update={"name": f"r{n}", "nullable": True}) for n, _ in enumerate(to))),
                uniques=(("id",),),
                keys=tuple(
                    ForeignKey(name=f"{name}_{n}", table=name, columns=(f"r{n}",), target=there, target_columns=("id",))
                    for n, there in enumerate(to)
                ),
            )
            for name, to in references.items()
        }
    )


def carry_out(steps: Plan, rows: Rows) -> Chosen:
    """Do what adapters/postgres_subset.py does, over rows in memory; a pick chooses odd ids."""
    chosen: Chosen = {(name, row["id"] or 0) for name in steps.whole for row in rows[name]}
    chosen |= {(pick.table, row["id"] or 0) for pick in steps.picks for row in rows[pick.table] if (row["id"] or 0) % 2}
    for each in steps.rounds:
        while fresh := {found for step in each.steps for found in brought(step, rows, chosen)} - chosen:
            chosen |= fresh
            if not each.again:
                break
    return chosen


def brought(step: Bring, rows: Rows, chosen: Chosen) -> Chosen:
    key, column = step.key, step.key.columns[0]
    links = [(row["id"] or 0, row[column]) for row in rows[key.table] if row[column] is not None]
    if step.up:
        return {(key.target, there or 0) for here, there in links if (key.table, here) in chosen}
    return {(key.table, here) for here, there in links if (key.target, there or 0) in chosen}


def least(policy: Policy, shape: Shape, rows: Rows) -> Chosen:
    """Say what the subset is, word by word as the module defines it, and slowly."""
    chosen: Chosen = set()
    for name, part in policy.tables.items():
        wanted = part.takes == "all" or part.where
        chosen |= {(name, row["id"] or 0) for row in rows[name] if wanted and (part.takes == "all" or row["id"] % 2)}  # type: ignore[operator]  # ids are never None
    for up in (False, True):
        grown = True
        while grown:
            before = len(chosen)
            for key in shape.references():
                taken = policy.table(key.table).copied and (up or key.target in policy.followed(key.table))
                chosen |= brought(Bring(key=key, up=up), rows, chosen) if taken else set()
            grown = len(chosen) > before
    return chosen


@st.composite
def worlds(draw: st.DrawFn, acyclic: bool) -> tuple[Policy, Shape, Rows]:
    names = [f"public.t{n}" for n in range(draw(st.integers(2, 6)))]
    references = {
        name: draw(st.lists(st.sampled_from(names[:at] if acyclic else names), max_size=3)) if at or not acyclic else []
        for at, name in enumerate(names)
    }
    tables: dict[str, Any] = {}
    for name in names:
        ways: list[dict[str, Any]] = [{"rows": "all"}, {"rows": "needed"}, {"where": "odd"}]
        ways += [{"follow": sorted(set(references[name]))}] if references[name] else []
        ways += [{"follow": sorted(set(references[name])), "where": "odd"}] if references[name] else []
        tables[name] = draw(st.sampled_from(ways)) | {"columns": {"id": "keep"}}
    rows = {
        name: [
            {"id": n} | {f"r{k}": draw(st.none() | st.integers(0, 4)) for k, _ in enumerate(references[name])}
            for n in range(5)
        ]
        for name in names
    }
    return Policy.model_validate({"key": "secret://env/K", "tables": tables}), shape_of(references), rows


def holds(policy: Policy, shape: Shape, rows: Rows) -> None:
    chosen = carry_out(plan(policy, shape), rows)
    for key in shape.references():
        for row in rows[key.table]:
            there = row[key.columns[0]]
            if (key.table, row["id"]) in chosen and there is not None:
                assert (key.target, there) in chosen
    assert chosen == least(policy, shape, rows)


@given(worlds(acyclic=True))
@settings(max_examples=300, deadline=None)
def test_the_subset_of_an_acyclic_schema_is_closed_and_least(world: tuple[Policy, Shape, Rows]) -> None:
    policy, shape, _ = world
    holds(*world)
    steps = plan(policy, shape)
    assert steps.circles == ()
    assert not any(each.again for each in steps.rounds)


@given(worlds(acyclic=False))
@settings(max_examples=300, deadline=None)
def test_circles_and_self_references_change_nothing_about_that(world: tuple[Policy, Shape, Rows]) -> None:
    holds(*world)


def test_what_goes_in_a_circle_is_told() -> None:
    shape = shape_of({"public.a": ["public.b"], "public.b": ["public.a"], "public.c": ["public.c"], "public.d": []})
    assert circles(shape.references()) == (("public.a", "public.b"), ("public.c",))


def test_a_reference_that_becomes_null_needs_nothing() -> None:
    shape = shape_of({"public.a": ["public.b"], "public.b": []})
    tables = {"a": {"rows": "all", "columns": {"id": "keep", "r0": None}}, "b": {"rows": "needed", "columns": {}}}
    policy = Policy.model_validate({"key": "secret://env/K", "tables": tables})
    assert plan(policy, shape).rounds == ()
