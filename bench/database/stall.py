"""Who waits while a column is added behind a long transaction?

pgbench sends at a fixed rate, and counts from when a request was due: one that found every connection waiting has
waited, too.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, cast

from psycopg import errors, sql

from bench.database.ground import SHOP, Ground, Shop
from bench.database.latency import Course, percentile
from deployments.embedded.postgres import binaries
from domain.errors import Unavailable
from domain.schema.migration import Migration

Rungs = Sequence[tuple[float, float]]
Say = Callable[[str], None]

CLIENTS = 24
WARM, AFTER, DRAIN = 1.0, 1.0, 4.0  # seconds: before the blocker, from it to the migration, and beyond what may pile up
PATIENCE = 30.0  # seconds for all connections
WORST, LONG, DONE = 150.0, 1000.0, 1.0  # the goals: ms, ms of which none, seconds after the blocker left

_SELECT = "\\set id random(1, {orders})\nselect id, customer, state, total_cents from orders where id = :id;\n"
_UPDATE = "\\set id random(1, {orders})\nupdate orders set total_cents = total_cents + 1 where id = :id;\n"
# (lock_timeout, pause) in seconds; a time-out of 0 is none. GitLab's: the first eleven of DEFAULT_TIMING_CONFIGURATION
# in lib/gitlab/database/with_lock_retries.rb. It has 41, for some forty minutes, then one attempt without a time-out.
_TWO_SECONDS: Rungs = [(2.0, pause) for pause in (1.0, 2.0, 4.0, *[8.0] * 20)]
_GITLAB_SHORT: Rungs = [(0.1, 0.05), (0.1, 0.05), (0.2, 0.05), (0.3, 0.1), (0.4, 0.15)]
_GITLAB: Rungs = [*_GITLAB_SHORT, *[(0.5, 2.0)] * 4, (1.0, 5.0), (1.0, 60.0)]
_GITLAB_END: Rungs = [*_GITLAB_SHORT, (0.0, 0.0)]


@dataclass(frozen=True)
class Plan:
    """How hard and how long: requests/s, seconds that the blocker stays."""

    rate: int
    blocker: float
    seed: int


@dataclass(frozen=True)
class Row:
    """What one migrator did to the users; `done` in seconds after the blocker left, None: nobody migrated."""

    migrator: str
    blocker: str
    course: Course
    never_sent: int
    done: float | None
    stayed: float

    @property
    def ours(self) -> bool:
        """Tell whether the goals are meant for it."""
        return self.migrator.startswith("ours")

    @property
    def kept(self) -> bool:
        """Tell whether the goals are kept."""
        course = self.course
        quick = not self.never_sent and max(course.milliseconds, default=0.0) <= WORST and not course.over(LONG)
        return quick and self.done is not None and self.done <= DONE

    def markdown(self) -> str:
        """Draw the table's row."""
        took, done = self.course.milliseconds, "–" if self.done is None else f"{self.done:.2f} s"
        cells = (
            *(self.migrator, f"{self.blocker}, {self.stayed:.1f} s", len(took), self.course.over(100)),
            *(self.course.over(LONG), self.never_sent, f"{percentile(took, 0.99):.0f}", f"{max(took, default=0):.0f}"),
            done,
        )
        return "| " + " | ".join(map(str, cells)) + " |"


HEAD = (
    "| migrator | blocker, stayed | requests | >100 ms | >1 s | never sent | p99 ms | max ms | done after it left |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|"
)


def measure(ground: Ground, shop: Shop, plan: Plan, say: Say) -> str:
    """Let every migrator add a column, behind a reader and behind our own backup; give the table."""
    began = time.monotonic()
    shop.database.backup(cast(IO[bytes], Patient(0.0)))
    alone = time.monotonic() - began
    reader, backup = (lambda: _reader(shop, plan.blocker)), (lambda: _backup(shop, plan.blocker))
    migrators: tuple[tuple[str, Callable[[], object] | None], ...] = (
        ("nobody migrates", None),
        ("naive", lambda: _climb(shop, "naive", [(0.0, 0.0)])),
        ("lock_timeout 2 s, again", lambda: _climb(shop, "two_seconds", _TWO_SECONDS)),
        ("GitLab's time-outs", lambda: _climb(shop, "gitlab", _GITLAB)),
        ("GitLab's, its end", lambda: _climb(shop, "gitlab_end", _GITLAB_END)),
        ("ours", lambda: _ours(shop, 1, plan.blocker)),
    )
    behind: tuple[tuple[str, Callable[[], object]], ...] = (
        ("naive", lambda: _climb(shop, "naive_2", [(0.0, 0.0)])),
        ("ours", lambda: _ours(shop, 2, plan.blocker)),
    )
    rows = []
    for name, migrate in migrators:
        say(f"{name}, behind a reader")
        rows.append(_course(ground, shop, plan, plan.blocker, name, "reader", reader, migrate))
    for name, migrate in behind:
        say(f"{name}, behind our own backup")
        longest = max(plan.blocker, 3 * alone)  # it shares the cores with the load
        rows.append(_course(ground, shop, plan, longest, name, "backup", backup, migrate))
    missed = [f"{row.migrator} behind the {row.blocker}" for row in rows if row.ours and not row.kept]
    goal = f"Goal for ours: max ≤ {WORST:g} ms, none over 1 s, done ≤ {DONE:g} s after the blocker left: "
    verdict = "missed: " + ", ".join(missed) if missed else "kept"
    return "\n".join([_about(plan), "", HEAD, *(row.markdown() for row in rows), "", goal + verdict + "."])


def _about(plan: Plan) -> str:
    return (
        f"{plan.rate} requests/s by pgbench on {CLIENTS} connections, 80 % select and 20 % update by key; the "
        f"migration (add column) comes {AFTER:g} s after the blocker. The backup goes to /dev/null and is kept open "
        f"until it has lasted {plan.blocker:g} s."
    )


def _course(
    ground: Ground,
    shop: Shop,
    plan: Plan,
    longest: float,
    name: str,
    who: str,
    block: Callable[[], object],
    migrate: Callable[[], object] | None,
) -> Row:
    """Play one migrator; `longest` is how many seconds the blocker may stay."""
    ground.checkpoint()
    seconds = round(WARM + 2 * longest + DRAIN)
    with _load(ground, shop, plan, seconds) as finish, ThreadPoolExecutor(2) as pool:
        _until_connected(shop)
        time.sleep(WARM)
        began = time.time()
        blocking = pool.submit(_until_done, block)
        time.sleep(AFTER)
        migrating = pool.submit(_until_done, migrate) if migrate else None
        left = blocking.result()
        done = migrating.result() - left if migrating else None
        course, ended = finish()
    return Row(name, who, course, course.never_sent(plan.rate, ended), done, left - began)


@contextmanager
def _load(ground: Ground, shop: Shop, plan: Plan, seconds: int) -> Iterator[Callable[[], tuple[Course, float]]]:
    """Send requests for so long; calling what is yielded waits for the end, and gives all of them and when it was."""
    for name, script in (("select", _SELECT), ("update", _UPDATE)):
        (ground.folder / f"{name}.sql").write_text(script.format(orders=shop.orders))
    command = [str(binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", "--jobs=1"]
    command += [f"--rate={plan.rate}", f"--time={seconds}", f"--random-seed={plan.seed}", "--log", "--log-prefix=load"]
    command += ["--file=select.sql@80", "--file=update.sql@20", shop.name]
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(ground.port), "PGUSER": SHOP, "PGPASSWORD": ground.password}
    with (ground.folder / "pgbench.txt").open("w+") as said:
        began = time.time()
        process = subprocess.Popen(command, cwd=ground.folder, env={**os.environ, **where}, stdout=said, stderr=said)

        def finish() -> tuple[Course, float]:
            code = process.wait(timeout=seconds + 120)
            log = ground.folder / f"load.{process.pid}"
            if code or not log.exists():
                said.seek(0)
                raise Unavailable(f"pgbench failed with {code}: {said.read()[-500:]}", "run it again")
            with log.open() as lines:
                course = Course.read(lines)
            log.unlink()
            return course, began + seconds

        try:
            yield finish
        finally:
            process.kill()
            process.wait()


def _until_connected(shop: Shop) -> None:
    give_up = time.monotonic() + PATIENCE
    with shop.session() as link:
        while time.monotonic() < give_up:
            [[found]] = link.execute(
                "select count(*) from pg_stat_activity where application_name = 'pgbench'"
            ).fetchall()
            if found >= CLIENTS:
                return
            time.sleep(0.1)
    raise Unavailable(f"pgbench has not connected within {PATIENCE:g} s", "let nothing else run meanwhile")


def _until_done(act: Callable[[], object]) -> float:
    act()
    return time.time()


def _reader(shop: Shop, seconds: float) -> None:
    """Read one row, and stay idle in the transaction."""
    with shop.session("nightly-report") as link, link.transaction():
        link.execute("select id from orders limit 1")
        time.sleep(seconds)


def _backup(shop: Shop, seconds: float) -> None:
    shop.database.backup(cast(IO[bytes], Patient(seconds)))


class Patient:
    """/dev/null, which takes at least so many seconds to have it all, as a slow store would."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def write(self, data: bytes) -> int:
        """Take it."""
        return len(data)

    def flush(self) -> None:
        """Come back when the time is up; the snapshot is held until then."""
        time.sleep(max(0.0, self._until - time.monotonic()))


def _climb(shop: Shop, column: str, rungs: Rungs) -> None:
    """Add a column; after each lock time-out pause, and try with the next."""
    statement = sql.SQL("alter table orders add column {} text").format(sql.Identifier(column))
    with shop.session("migrator") as link:
        for patience, pause in rungs:
            link.execute("select set_config('lock_timeout', %s, false)", (f"{round(patience * 1000)}ms",))
            try:
                link.execute(statement)
                return
            except errors.LockNotAvailable:
                time.sleep(pause)
    raise Unavailable("no lock after the last attempt", "shorten --blocker")


def _ours(shop: Shop, number: int, blocker: float) -> None:
    step = Migration(number=number, name="add_column", up=f"alter table orders add column ours_{number} text")
    shop.database.migrate(step, "bench", 1, lock_budget=10 * blocker + 60)
