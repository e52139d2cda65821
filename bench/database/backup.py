"""What does a backup cost that was proven, beside one that was merely taken?"""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from adapters.postgres_backup import environment
from bench.database.cost import TICK, Cost, watch
from bench.database.ground import Ground, Shop
from deployments.embedded.postgres import binaries
from domain.errors import Invalid, Rejected
from domain.schema.backup import Backup

Say = Callable[[str], None]

DATA, FULL = 3.5, 7.0  # the goals, times the plain dump


@dataclass(frozen=True)
class Round:
    """The same database three ways, and what each left on the disk (bytes)."""

    plain: Cost
    taken: Cost
    verified: Cost
    plain_size: int
    our_size: int

    @property
    def proven(self) -> Cost:
        """Take a backup, and verify it."""
        return self.taken + self.verified


def measure(ground: Ground, shop: Shop, rounds: int, minutes: float, say: Say) -> str:
    """Go so many rounds, who is first taking turns; give the table. Needs the command zstd."""
    if not shutil.which("zstd"):
        raise Invalid("there is no zstd on the PATH", "apt-get install zstd")
    until, done = time.monotonic() + minutes * 60, list[Round]()
    for number in range(rounds):
        if time.monotonic() > until:
            break
        say(f"round {number + 1} of {rounds}")
        done.append(_round(ground, shop, plain_first=number % 2 == 0))
    return markdown(done, rounds)


def markdown(rounds: list[Round], wanted: int) -> str:
    """Draw the tables; a ratio is that of one round, and its median that of the ratios."""
    costs: list[tuple[str, list[Cost]]] = [
        ("plain: pg_dump -Fc -Z0, zstd -1, to a file", [one.plain for one in rounds]),
        ("our backup: dump and digest", [one.taken for one in rounds]),
        ("our verification: restore and compare", [one.verified for one in rounds]),
    ]
    ratios = {
        "our backup ÷ plain": [one.taken.cpu / one.plain.cpu for one in rounds],
        "our backup, verified (level full) ÷ plain": [one.proven.cpu / one.plain.cpu for one in rounds],
    }
    full = median(ratios["our backup, verified (level full) ÷ plain"])
    lines = [
        f"Rounds: {len(rounds)} of {wanted}, alternating who is first. CPU seconds are the server's and the clients', "
        f"in steps of {1 / TICK:g} s. Stored: plain {rounds[-1].plain_size / 1e6:.1f} MB, "
        f"ours {rounds[-1].our_size / 1e6:.1f} MB.",
        *("", "| what | CPU s, median | min | max | wall s, median |", "|---|---:|---:|---:|---:|"),
        *(_cost(name, some) for name, some in costs),
        *("", "| CPU, round by round | median | min | max | goal |", "|---|---:|---:|---:|---:|"),
        _ratio("our backup ÷ plain", ratios["our backup ÷ plain"], "–"),
        f"| level data ÷ plain | – | – | – | ≤ {DATA:g} (this level does not exist yet) |",
        _ratio("our backup, verified (level full) ÷ plain", [*ratios.values()][1], f"≤ {FULL:g}"),
        *("", f"Goal for level full, ≤ {FULL:g} times: {'kept' if full <= FULL else 'missed'}."),
    ]
    return "\n".join(lines)


def _cost(name: str, costs: list[Cost]) -> str:
    cpu = [cost.cpu for cost in costs]
    wall = median(cost.wall for cost in costs)
    return f"| {name} | {median(cpu):.2f} | {min(cpu):.2f} | {max(cpu):.2f} | {wall:.2f} |"


def _ratio(name: str, ratios: list[float], goal: str) -> str:
    return f"| **{name}** | {median(ratios):.2f} × | {min(ratios):.2f} | {max(ratios):.2f} | {goal} |"


def _round(ground: Ground, shop: Shop, *, plain_first: bool) -> Round:
    plain, ours = ground.folder / "plain.dump.zst", ground.folder / "ours.dump.zst"
    spent = [_spent(ground, lambda: _plain(shop, plain))] if plain_first else []
    backups: list[Backup] = []
    taken = _spent(ground, lambda: backups.append(_take(shop, ours)))
    verified = _spent(ground, lambda: _verify(shop, ours, backups[0]))
    spent += [] if plain_first else [_spent(ground, lambda: _plain(shop, plain))]
    sizes = plain.stat().st_size, ours.stat().st_size
    plain.unlink()
    ours.unlink()
    return Round(spent[0], taken, verified, *sizes)


def _plain(shop: Shop, file: Path) -> None:
    """Dump as one would by hand; PostgreSQL's own compression would cost more than zstd's lowest."""
    command = [str(binaries() / "pg_dump"), "--format=custom", "--compress=0"]
    with (
        file.open("wb") as out,
        subprocess.Popen(command, env=environment(shop.dsn), stdout=subprocess.PIPE) as dump,
        subprocess.Popen(["zstd", "-1", "-q", "-c"], stdin=dump.stdout, stdout=out) as pack,
    ):
        assert dump.stdout
        dump.stdout.close()
        if pack.wait() or dump.wait():
            raise Rejected("pg_dump | zstd failed", "run it by hand")


def _take(shop: Shop, file: Path) -> Backup:
    with file.open("wb") as out:
        return shop.database.backup(out)


def _verify(shop: Shop, file: Path, backup: Backup) -> None:
    with file.open("rb") as stored:
        shop.database.verify(stored, backup)


def _spent(ground: Ground, act: Callable[[], object]) -> Cost:
    """Do something on a server that has nothing left to write, and add up what everybody spent."""
    ground.checkpoint()
    with watch(ground.postmaster) as cost:
        act()
    return cost()
