"""What counts as a migration, and what may be applied after what."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Invalid, Refused
from domain.schema.migration import Applied, Migration, pending, read

NAMES = st.text(string.ascii_lowercase + string.digits + "_", min_size=1, max_size=12)
SCRIPTS = st.text(string.ascii_letters + " ;\n'", max_size=60)


def step(number: int, up: str = "select 1", **more: object) -> Migration:
    return Migration.model_validate({"number": number, "name": "x", "up": up, **more})


def row(migration: Migration, **more: object) -> Applied:
    known = {"number": migration.number, "name": migration.name, "phase": migration.phase}
    return Applied.model_validate({**known, "checksum": migration.checksum, "release": "shop-1.0.0", **more})


class TestRead:
    @settings(deadline=None)
    @given(st.lists(st.tuples(NAMES, SCRIPTS, st.none() | SCRIPTS), max_size=8), st.randoms())
    def test_well_formed_files_are_read_in_order_whatever_order_they_come_in(self, steps, random) -> None:
        files = {f"{n:04d}_{name}.up.sql": up for n, (name, up, _) in enumerate(steps, 1)}
        files |= {f"{n:04d}_{name}.down.sql": down for n, (name, _, down) in enumerate(steps, 1) if down is not None}
        shuffled = list(files.items())
        random.shuffle(shuffled)
        found = read(dict(shuffled))
        assert [(one.number, one.name, one.up, one.down) for one in found] == [
            (n, name, up, down) for n, (name, up, down) in enumerate(steps, 1)
        ]

    @settings(deadline=None)
    @given(st.sets(st.integers(1, 30), max_size=10))
    def test_a_gap_is_refused_and_every_missing_number_named(self, numbers: set[int]) -> None:
        missing = set(range(1, max(numbers, default=0))) - numbers
        files = {f"{number:04d}_x.up.sql": "" for number in numbers}
        if not missing:
            assert len(read(files)) == len(numbers)
            return
        with pytest.raises(Invalid) as caught:
            read(files)
        assert {int(line[:4]) for line in caught.value.message.splitlines()} == missing

    def test_the_header_sets_phase_transaction_and_timeout(self) -> None:
        (found,) = read({"0001_x.up.sql": "-- interlock: phase=contract tx=off timeout=2m\nselect 1"})
        assert (found.phase, found.transactional, found.timeout) == ("contract", False, 120.0)

    def test_without_a_header_a_step_expands_in_a_transaction(self) -> None:
        (found,) = read({"0001_x.up.sql": "select 1", "smoke.sql": "select 2"})
        assert (found.phase, found.transactional, found.timeout, found.down) == ("expand", True, 30.0, None)

    def test_all_problems_are_told_at_once(self) -> None:
        files = {
            "notes.txt": "",
            "0001_a.up.sql": "-- interlock: phase=sideways colour=red",
            "0001_b.up.sql": "",
            "0002_c.up.sql": "-- interlock: tx=maybe timeout=soon",
            "0009_d.down.sql": "",
        }
        with pytest.raises(Invalid) as caught:
            read(files)
        for word in ("notes.txt", "'colour'", "sideways", "0001_b", "tx=maybe", "timeout=soon", "0009"):
            assert word in caught.value.message


class TestPending:
    @settings(deadline=None)
    @given(st.integers(0, 8), st.integers(0, 8))
    def test_what_was_applied_is_not_pending_and_the_rest_is_in_order(self, total: int, done: int) -> None:
        bundle = [step(number) for number in range(1, total + 1)]
        found = pending(bundle, [row(one) for one in bundle[:done]])
        assert [one.number for one in found] == list(range(1, total + 1))[done:]

    @settings(deadline=None)
    @given(st.data())
    def test_every_edited_step_is_named(self, data: st.DataObject) -> None:
        bundle = [step(number) for number in range(1, data.draw(st.integers(1, 8)) + 1)]
        edited = data.draw(st.sets(st.sampled_from(range(1, len(bundle) + 1)), min_size=1))
        rows = [row(one, checksum="0" * 64) if one.number in edited else row(one) for one in bundle]
        with pytest.raises(Refused) as caught:
            pending(bundle, rows)
        assert {int(line[:4]) for line in caught.value.message.splitlines()} == edited

    @pytest.mark.parametrize("phase", ["migrate", "contract"])
    def test_a_step_that_is_missing_from_the_bundle_is_refused(self, phase: str) -> None:
        with pytest.raises(Refused, match=r"0002_x: applied .* but missing"):
            pending([step(1)], [row(step(1)), row(step(2, phase=phase))])

    def test_an_expansion_that_a_rollback_left_behind_may_be_missing(self) -> None:
        assert pending([step(1)], [row(step(1)), row(step(2))]) == ()

    def test_a_step_before_one_that_is_applied_is_out_of_order(self) -> None:
        with pytest.raises(Refused, match="0001_x: out of order, 0002"):
            pending([step(1), step(2)], [row(step(2))])

    def test_edited_and_out_of_order_are_told_at_once(self) -> None:
        with pytest.raises(Refused) as caught:
            pending([step(1), step(2)], [row(step(2), checksum="0" * 64)])
        assert len(caught.value.message.splitlines()) == 2
