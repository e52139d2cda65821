"""What does it cost to go back to a backup without losing what was written since?

pgbench writes at a fixed rate while a capture is armed, a backup taken, restored beside the living database and brought
up to date. Afterwards, with the old database frozen, both are held against each other row by row, by this bench and not
by what it measures. What the capture costs is measured first, with and without it by turns.
"""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import psycopg

from adapters import postgres_capture as capture
from adapters import postgres_catalog as catalog
from adapters import postgres_digest as content
from adapters.postgres_end import End
from adapters.postgres_errand import Manners
from adapters.postgres_restore import Terms, restore
from bench.database.cost import watch
from bench.database.ground import SHOP, Ground, Shop
from bench.database.latency import Course, percentile
from deployments.embedded.postgres import binaries
from domain.errors import Unavailable
from domain.schema.replay import Replayed

Say = Callable[[str], None]

WRITES = 600  # rows per second
PER_TRANSACTION = 2.1  # an update, an insert, and every tenth time a delete
CLIENTS = 4
PAIR = 10  # seconds of each half of a pair
BEFORE, AFTER = 2.0, 10.0  # seconds of writing before the backup, and between it and the decision to go back
FREEZE, LOST = 2000, 0  # the goals: milliseconds, rows

_NEW = "bench_restored"
_SCRIPT = """\\set id random(1, {orders})
\\set customer random(1, {customers})
\\set dice random(1, 10)
begin;
update orders set total_cents = total_cents + 1 where id = :id;
insert into orders (customer, state, total_cents, placed) values (:customer, 'new', :dice, now());
\\if :dice = 1
delete from events where id = :id;
\\endif
end;
"""


@dataclass(frozen=True)
class Back:
    """One way back: seconds for the backup and from the decision to the end, and what users saw (ms)."""

    report: Replayed
    dumped: float
    took: float
    differing: Sequence[str]
    course: Course
    size: int

    @property
    def kept(self) -> bool:
        """Tell whether the goals are kept."""
        return not self.differing and self.report.lost == LOST and self.report.freeze_ms <= FREEZE


def measure(ground: Ground, shop: Shop, rounds: int, say: Say) -> str:
    """Measure the capture in so many pairs, then go back once; give the tables."""
    pairs = [_pair(ground, shop, number, say) for number in range(rounds)]
    return markdown(pairs, _go_back(ground, shop, say))


def markdown(pairs: Sequence[tuple[float, float]], back: Back) -> str:
    """Draw the tables; a pair is CPU milliseconds per transaction without and with the capture."""
    ratios = [armed / bare for bare, armed in pairs]
    wrong = ", ".join(back.differing) or "none"
    took = back.course.milliseconds
    return "\n".join(
        (
            f"{WRITES} rows/s by pgbench in transactions of {PER_TRANSACTION:g} on {CLIENTS} connections; {AFTER:g} s "
            "from the backup to the decision. CPU is the server's and pgbench's.",
            *("", "| capture, CPU per transaction | pairs | without, ms | with, ms | ratio, median | min | max |"),
            "|---|---:|---:|---:|---:|---:|---:|",
            f"| armed ÷ not | {len(pairs)} | {median(bare for bare, _ in pairs):.3f} | "
            f"{median(armed for _, armed in pairs):.3f} | "
            f"{median(ratios):.2f} × | {min(ratios):.2f} | {max(ratios):.2f} |",
            *("", "| back to the backup, with what was written since | |", "|---|---:|"),
            f"| backup | {back.dumped:.1f} s |",
            f"| decision → complete | {back.took:.1f} s |",
            f"| keys replayed, in passes | {back.report.keys}, {len(back.report.passes)} |",
            f"| rows lost | {back.report.lost} |",
            f"| tables that differ, looked at from outside | {wrong} |",
            f"| writes stood still | {back.report.freeze_ms} ms |",
            f"| slowest write before that, p99 | {max(took, default=0):.0f} ms, {percentile(took, 0.99):.0f} ms |",
            f"| what the capture took on the disk | {back.size / 1e6:.1f} MB |",
            *("", f"Goal, 0 rows lost and ≤ {FREEZE} ms: {'kept' if back.kept else 'missed'}."),
        )
    )


def _pair(ground: Ground, shop: Shop, number: int, say: Say) -> tuple[float, float]:
    """Spend the same load with and without the capture, who is first taking turns."""
    say(f"pair {number + 1}")
    found = {}
    for armed in (number % 2 == 1, number % 2 == 0):
        with shop.session("capture") as link:
            (capture.arm if armed else capture.disarm)(link, Manners())
        ground.checkpoint()
        with watch(ground.postmaster) as cost:
            sent = _sent(ground, shop, number)
        found[armed] = cost().cpu * 1e3 / sent
    return found[False], found[True]


def _sent(ground: Ground, shop: Shop, seed: int) -> int:
    command, where = _pgbench(ground, shop, PAIR, seed)
    done = subprocess.run(command, env=where, capture_output=True, text=True, timeout=PAIR + 120, check=False)
    counted = re.search(r"actually processed: (\d+)", done.stdout)
    if done.returncode or not counted:
        raise Unavailable(f"pgbench failed: {done.stderr[-500:]}", "run it again")
    return int(counted[1])


def _go_back(ground: Ground, shop: Shop, say: Say) -> Back:
    with shop.session("capture") as link:
        capture.disarm(link, Manners())
        capture.arm(link, Manners())
    with _load(ground, shop) as finish, tempfile.TemporaryFile() as dump:
        time.sleep(BEFORE)
        say("backup")
        began = time.monotonic()
        backup = shop.database.backup(dump)
        dumped = time.monotonic() - began
        time.sleep(AFTER)
        dump.seek(0)
        began = time.monotonic()
        report = restore(End(shop.dsn), _NEW, dump, backup, Terms(keep_frozen=True), say=say)
        took = time.monotonic() - began
        course = finish()
    with shop.session() as link, psycopg.connect(ground.dsn(_NEW), autocommit=True) as new:
        with catalog.snapshot(link), catalog.snapshot(new):
            differing = content.differences(content.digests(link), content.digests(new))
        size = capture.state(link).size
    return Back(report, dumped, took, differing, course, size)


@contextmanager
def _load(ground: Ground, shop: Shop) -> Iterator[Callable[[], Course]]:
    """Write until the database is frozen, at which pgbench gives up; calling what is yielded gives every write."""
    command, where = _pgbench(ground, shop, 3600, 0)
    command[-1:-1] = ["--log", "--log-prefix=rollback"]
    process = subprocess.Popen(
        command, cwd=ground.folder, env=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def finish() -> Course:
        process.wait(timeout=60)
        log = ground.folder / f"rollback.{process.pid}"
        with log.open() as lines:
            return Course.read(line for line in lines if line.count(" ") == 6)  # the last one may be cut off

    try:
        yield finish
    finally:
        process.kill()
        process.wait()


def _pgbench(ground: Ground, shop: Shop, seconds: int, seed: int) -> tuple[list[str], dict[str, str]]:
    script = ground.folder / "writes.sql"
    script.write_text(_SCRIPT.format(orders=shop.orders, customers=shop.orders // 4 + 1))
    command = [str(binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", "--jobs=1"]
    command += [f"--rate={WRITES / PER_TRANSACTION:.1f}", f"--time={seconds}", f"--random-seed={seed + 1}"]
    command += [f"--file={script}", shop.name]
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(ground.port), "PGUSER": SHOP, "PGPASSWORD": ground.password}
    return command, {**os.environ, **where}
