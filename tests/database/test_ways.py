"""The ways that a prover is measured with: each is whole, readable, and says what is wrong with it."""

import pytest

from bench.database.ways import BAD, GOOD, SMOKE, START, WAYS, Way
from domain.schema import migration
from domain.schema.grammar import Fault, parse

every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


def test_no_two_ways_have_one_name() -> None:
    assert len({way.name for way in WAYS}) == len(WAYS)


def test_there_are_enough_of_both_to_measure_with() -> None:
    assert min(len(BAD), len(GOOD)) >= 36
    assert not any(way.good for way in BAD)
    assert all(way.good for way in GOOD)


def test_every_sign_of_a_bad_way_is_the_plainest_one_somewhere() -> None:
    signs = {way.caught_by for way in BAD}
    assert signs == {"up fails", "old smoke", "down fails", "schema", "data", "writes", "up again"}


@every_way
def test_a_way_says_why_it_is_good_or_bad_and_only_a_bad_one_is_caught(way: Way) -> None:
    assert len(way.because.split()) > 3
    assert not way.because.endswith(".")
    assert bool(way.caught_by) != way.good


@every_way
def test_a_way_is_a_migration_in_postgresqls_own_grammar(way: Way) -> None:
    for script in (way.up, way.down, *([way.new_smoke] if way.new_smoke else [])):
        statements = parse(script)
        assert not isinstance(statements, Fault), statements
        assert statements
    name = "0001_" + way.name.replace("-", "_")
    [step] = migration.read({f"{name}.up.sql": way.up, f"{name}.down.sql": way.down, "smoke.sql": way.new_smoke})
    assert step.down == way.down


@pytest.mark.parametrize("script", [START, SMOKE], ids=["start", "smoke"])
def test_where_the_ways_begin_is_sql(script: str) -> None:
    statements = parse(script)
    assert not isinstance(statements, Fault), statements
    assert len(statements) > 30


def test_the_old_version_reads_and_writes() -> None:
    statements = parse(SMOKE)
    assert not isinstance(statements, Fault)
    assert {statement.node for statement in statements} == {"select_stmt", "insert_stmt", "update_stmt", "delete_stmt"}


@pytest.mark.parametrize("chance", ["random()", "now()", "clock_timestamp()", "current_", "gen_random_uuid()"])
def test_no_version_writes_what_hangs_on_the_clock_or_on_chance(chance: str) -> None:
    assert chance not in SMOKE.lower()
    assert [way.name for way in WAYS if chance in way.new_smoke.lower()] == []
