"""The database's measurements count what they say, and their damages are damages."""

import argparse
import hashlib
import math
import random
from collections import Counter

import pytest
import zstandard

from bench.database.__main__ import megabytes
from bench.database.backup import Round, markdown
from bench.database.corruption import KEY, Seen, read
from bench.database.corruption import markdown as found
from bench.database.cost import Cost, tree
from bench.database.damage import Damaged, Good, corpus, flip_in_a_row, pack, planned
from bench.database.fingerprint import markdown as steady
from bench.database.latency import Course, percentile
from bench.database.rollback import Back
from bench.database.rollback import markdown as gone_back
from bench.database.stall import Row
from domain.errors import Rejected
from domain.schema.backup import Backup, StoredBackup, TableDigest
from domain.schema.replay import Pass, Replayed

ROWS = "".join(f"{n}\tuser{n}@example.org\tname {n}\t{n * 31}\n" for n in range(1_000)).encode()
PLAIN = random.Random(0).randbytes(5_000) + ROWS


@pytest.fixture(scope="module")
def good() -> Good:
    stored, table = pack(PLAIN), TableDigest(rows=1_000, sum="12", xor="-3")
    backup = Backup(format="f", server="18.6", fingerprint="ab" * 32, tables={"public.t": table, "public.u": table})
    manifest = StoredBackup(key=KEY, sha256=hashlib.sha256(stored).hexdigest(), backup=backup)
    return Good(stored, manifest, {"a row less": pack(PLAIN[:-40]), "another database's dump": pack(b"other")})


@pytest.fixture(scope="module")
def damages(good: Good) -> list[Damaged]:
    return list(corpus(good, 1))


class TestStall:
    @pytest.mark.parametrize(("part", "value"), [(0.0, 1), (0.5, 5), (0.51, 6), (0.99, 10), (1.0, 10)])
    def test_a_percentile_is_the_value_at_its_rank(self, part: float, value: float) -> None:
        assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], part) == value

    def test_nothing_has_no_percentile(self) -> None:
        assert math.isnan(percentile([], 0.5))

    def test_a_request_counts_from_when_it_was_due(self) -> None:
        """Client, number, µs since it was due, script, end in s and µs, µs of it before it was sent."""
        log = ["0 1 1500 0 100 500000 300", "1 1 2000000 1 102 250000 1900000", "0 2 150000 0 102 100000 90"]
        course = Course.read(log)
        assert course.milliseconds == [1.5, 2000.0, 150.0]
        assert course.last_due == pytest.approx(101.95)
        assert (course.over(100), course.over(1000)) == (2, 1)

    @pytest.mark.parametrize(("ended", "count"), [(10.2, 0), (12.0, 2000)])
    def test_what_was_never_sent_is_told(self, ended: float, count: int) -> None:
        assert Course([1.0], 10.0).never_sent(1000, ended) == count

    @pytest.mark.parametrize(
        ("took", "never_sent", "done", "kept"),
        [
            ([150.0], 0, 1.0, True),
            ([150.0, 151.0], 0, 1.0, False),
            ([1.0], 300, 1.0, False),
            ([1.0], 0, 1.1, False),
            ([1.0], 0, None, False),
        ],
    )
    def test_the_goal_is_about_the_worst_request(
        self, took: list[float], never_sent: int, done: float | None, kept: bool
    ) -> None:
        assert Row("ours", "reader", Course(took, 0.0), never_sent, done, 12.0).kept is kept


class TestBackup:
    def test_the_ratio_is_the_median_of_the_rounds_ratios(self) -> None:
        costs = [(1.0, 2.0, 1.0), (10.0, 50.0, 30.0), (4.0, 8.0, 8.0)]
        rounds = [Round(*(Cost(cpu, 1.0) for cpu in some), 1, 1) for some in costs]
        assert "| **our backup, verified (level full) ÷ plain** | 4.00 × | 3.00 | 8.00 |" in markdown(rounds, 3)

    def test_only_what_is_below_the_postmaster_counts(self) -> None:
        known = {1: (0, 100), 10: (1, 5), 11: (10, 7), 12: (11, 1), 20: (1, 50)}
        assert tree(known, 10) == 13
        assert tree(known, 99) == 0


class TestCorruption:
    def test_there_are_enough_of_them_and_they_are_counted(self, good: Good, damages: list[Damaged]) -> None:
        assert len(damages) == planned(len(good.others)) >= 50
        assert {damage.where for damage in damages} == {"object", "dump", "manifest"}

    def test_the_same_seed_does_the_same_damage(self, good: Good, damages: list[Damaged]) -> None:
        assert list(corpus(good, 1)) == damages
        drawn = [damage for damage in damages if damage.kind.startswith("a bit")]
        again = [damage for damage in corpus(good, 2) if damage.kind.startswith("a bit")]
        assert [one.stored for one in drawn] != [other.stored for other in again]

    def test_every_damage_changes_the_bytes(self, good: Good, damages: list[Damaged]) -> None:
        untouched = (good.stored, good.manifest.model_dump_json())
        assert [damage.kind for damage in damages if (damage.stored, damage.manifest) == untouched] == []
        assert all(damage.stored != good.stored for damage in damages if damage.where != "manifest")
        assert all(damage.stored == good.stored for damage in damages if damage.where == "manifest")

    def test_no_two_are_the_same(self, damages: list[Damaged]) -> None:
        twice = Counter((damage.where, damage.stored, damage.manifest) for damage in damages)
        assert [damage.kind for damage in damages if twice[damage.where, damage.stored, damage.manifest] > 1] == []

    def test_the_sha256_of_a_damaged_dump_is_right_so_that_only_the_restore_can_tell(
        self, good: Good, damages: list[Damaged]
    ) -> None:
        inside = [damage for damage in damages if damage.where == "dump"]
        for damage in inside:
            read({KEY: damage.stored}, damage.manifest, good.manifest.backup.fingerprint)
            assert zstandard.ZstdDecompressor().decompressobj().decompress(damage.stored) != PLAIN

    def test_whatever_is_wrong_with_the_object_alone_its_sha256_tells(self, good: Good, damages: list[Damaged]) -> None:
        fingerprint = good.manifest.backup.fingerprint
        read({KEY: good.stored}, good.manifest.model_dump_json(), fingerprint)
        for damage in damages:
            if damage.where == "object":
                with pytest.raises(Rejected, match="sha256"):
                    read({KEY: damage.stored}, damage.manifest, fingerprint)

    @pytest.mark.parametrize("seed", range(20))
    def test_a_bit_flipped_in_a_row_leaves_a_row(self, seed: int) -> None:
        changed = flip_in_a_row(random.Random(seed), PLAIN)
        assert [(a ^ b).bit_count() for a, b in zip(PLAIN, changed, strict=True) if a != b] == [1]
        assert changed[:5_000] == PLAIN[:5_000]
        assert [row.count(b"\t") for row in changed[5_000:].splitlines()] == [3] * 1_000

    @pytest.mark.parametrize(
        ("stored", "restored", "harmless", "verdict"),
        [
            ("", "", False, "Goal, all found: missed (0 of 1 that do harm)"),
            ("", "", True, "Goal, all found: kept (0 of 0 that do harm)"),
            ("", "differs", False, "Goal, all found: kept (1 of 1 that do harm)"),
            ("differs", "", False, "Goal, all found: kept (1 of 1 that do harm)"),
        ],
    )
    def test_what_nobody_found_is_missed_unless_it_does_no_harm(
        self, stored: str, restored: str, harmless: bool, verdict: str
    ) -> None:
        table = found([Seen(Damaged("dump", "a part missing", b"", ""), stored, restored, harmless)], 1, [""])
        assert verdict in table
        assert "Goal, no false alarm: kept" in table

    def test_an_undamaged_backup_that_is_refused_is_a_false_alarm(self) -> None:
        assert "False alarms: 1 of 2" in (table := found([], 1, ["", "public.t has other content"]))
        assert "Goal, no false alarm: missed" in table


class TestFingerprint:
    @pytest.mark.parametrize(
        ("took", "same", "verdicts"), [(100.0, True, "kept kept"), (100.1, False, "missed missed")]
    )
    def test_it_is_to_be_quick_and_the_same(self, took: float, same: bool, verdicts: str) -> None:
        table = steady([took, took, 500.0], [1.0], 1.0, 3, {"all runs": same})
        quick, steadily = verdicts.split()
        assert table.endswith(f"Goal, median ≤ 100 ms: {quick}. Goal, always the same: {steadily}.")


class TestRollback:
    @pytest.mark.parametrize(
        ("freeze", "differing", "verdict"),
        [(2000, (), "kept"), (2001, (), "missed"), (10, ("public.orders has other content",), "missed")],
    )
    def test_no_row_may_be_lost_and_nobody_wait_long(
        self, freeze: int, differing: tuple[str, ...], verdict: str
    ) -> None:
        passes = (Pass(keys=7, rows=6, seconds=0.1, snapshot="1:1:"),) * 2
        more = {"compared": (), "kept": (), "left_behind": (), "frozen": True}
        report = Replayed(database="new", passes=passes, lost=0, freeze_ms=freeze, **more)
        table = gone_back([(1.0, 1.5), (2.0, 2.2)], Back(report, 1.0, 2.0, differing, Course([3.0], 0.0), 10**6))
        assert table.endswith(f"Goal, 0 rows lost and ≤ 2000 ms: {verdict}.")
        assert "| armed ÷ not | 2 | 1.500 | 1.850 | 1.30 × | 1.10 | 1.50 |" in table
        assert "| keys replayed, in passes | 14, 2 |" in table


@pytest.mark.parametrize(("text", "size"), [("SMALL", 20), ("small", 20), ("1GB", 1000), ("300MB", 300), ("5", 5)])
def test_a_size_is_in_megabytes(text: str, size: int) -> None:
    assert megabytes(text) == size


@pytest.mark.parametrize("text", ["0", "-1", "big", "1TB", ""])
def test_another_size_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        megabytes(text)
