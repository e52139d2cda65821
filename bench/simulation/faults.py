"""What may go wrong, drawn from a seed: who is hit, at which moment, and how."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from bench.simulation.life import Life
from bench.simulation.processes import Died, Role, Stumbled
from bench.simulation.world import Outage

Kind = Literal[
    "killed",
    "killed with its runner",
    "cancelled",
    "cancelled but alive",
    "asleep",
    "asleep, then cut off",
    "a sweep meanwhile",
    "a clock that jumps",
    "calls unanswered",
    "calls acted and unanswered",
    "a port down for a while",
    "an unforeseen error",
    "rolled back by an operator",
    "a rival",
]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]  # what Literal keeps
PORTS = (
    *("ledger", "prefect", "source", "builder", "registry", "workload", "probe", "router", "database", "store"),
    "notices",
)
TTL = 15.0  # seconds that a lease lives without a beat
_MOMENTS: dict[Role, int] = {"release": 185, "rival": 150, "rollback": 75, "sweep": 16, "follower": 110}


@dataclass(frozen=True)
class Fault:
    """One thing that happens to one process, at the how manieth moment of its life or at the first of a name."""

    kind: Kind
    at: int | str
    port: str = ""
    number: float = 0.0
    where: str = "production"
    late: bool = False

    def __str__(self) -> str:
        more = f" {self.port}" * bool(self.port) + f" {self.number:g}" * bool(self.number)
        return f"{self.kind}{more}{' beats late' * self.late}"

    def strike(self, world: Life) -> None:
        """Let it happen to the process that runs just now."""
        _STRIKES[self.kind](self, world)


def _die(as_what: Literal["alive", "died", "cancelled"]) -> Callable[[Fault, Life], None]:
    def strike(_fault: Fault, _world: Life) -> None:
        raise Died(as_what)

    return strike


def _cancelled_but_alive(_fault: Fault, world: Life) -> None:
    """Prefect says cancelled, yet the process runs on: others take over under its feet."""
    if process := world.process:
        world.prefect.ends[process.run] = "cancelled"
        _meanwhile(world)


def _asleep(fault: Fault, world: Life) -> None:
    """Stand still for longer than a lease lives; others take over, and come to rest."""
    if process := world.process:
        process.stop_hearts(world.clock.now())
        world.clock.sleep(fault.number)
        _meanwhile(world)
        if not fault.late:
            process.beat()
        if fault.kind == "asleep, then cut off":
            world.outages.append(Outage("ledger", acted=False, calls=5))


def _a_sweep(_fault: Fault, world: Life) -> None:
    world.sweep()


def _jump(fault: Fault, world: Life) -> None:
    """Let the database's clock jump ahead: every lease expires before anybody can renew it."""
    if process := world.process:
        process.stop_hearts(world.clock.now())
        world.clock.sleep(fault.number)
        if not fault.late:
            process.beat()


def _unanswered(fault: Fault, world: Life) -> None:
    acted = fault.kind == "calls acted and unanswered"
    world.outages.append(Outage(fault.port, acted, calls=fault.number))


def _down(fault: Fault, world: Life) -> None:
    world.outages.append(Outage(fault.port, acted=False, until=world.clock.now() + fault.number))


def _stumble(fault: Fault, world: Life) -> None:
    world.outages.append(Outage(fault.port, acted=fault.late, calls=1, error=Stumbled))


def _operator(fault: Fault, world: Life) -> None:
    world.roll_back(fault.where)


def _rival(_fault: Fault, world: Life) -> None:
    world.rival()


_STRIKES: dict[Kind, Callable[[Fault, Life], None]] = {
    "killed": _die("died"),
    "killed with its runner": _die("alive"),
    "cancelled": _die("cancelled"),
    "cancelled but alive": _cancelled_but_alive,
    "asleep": _asleep,
    "asleep, then cut off": _asleep,
    "a sweep meanwhile": _a_sweep,
    "a clock that jumps": _jump,
    "calls unanswered": _unanswered,
    "calls acted and unanswered": _unanswered,
    "a port down for a while": _down,
    "an unforeseen error": _stumble,
    "rolled back by an operator": _operator,
    "a rival": _rival,
}


def _meanwhile(world: Life) -> None:
    """Let everybody else come to rest; a fault may hit them, too, but they cannot fall asleep in their turn."""
    if len(world.stack) < 3:
        world.come_to_rest()


def drawn(random: Random) -> list[tuple[Role, int, Fault]]:
    """Draw what goes wrong around one release: (who, the how manieth of them, what)."""
    count = random.choices((0, 1, 2, 3, 4), weights=(12, 55, 18, 10, 5))[0]
    return [_one(random, number) for number in range(count)]


def _one(random: Random, number: int) -> tuple[Role, int, Fault]:
    kind = random.choice(KINDS)
    role: Role = "release" if number == 0 else random.choice(("release", "sweep", "follower", "follower", "rollback"))
    at = random.randrange(_MOMENTS[role])
    port = random.choice(PORTS) if kind in _NEEDS_A_PORT else ""
    fault = Fault(
        kind,
        at,
        port,
        number=_number(kind, random),
        where=random.choice(("production", "production", "dev")),
        late=random.random() < 0.3,
    )
    return role, random.choice((1, 1, 2, 3)) if role != "release" else 1, fault


_NEEDS_A_PORT: frozenset[Kind] = frozenset(
    {"calls unanswered", "calls acted and unanswered", "a port down for a while", "an unforeseen error"}
)


def _number(kind: Kind, random: Random) -> float:
    """Draw how many calls, or how many seconds."""
    match kind:
        case "asleep" | "asleep, then cut off":
            return random.choice((TTL - 5, TTL + 1, 60.0, 200.0, 900.0))
        case "a clock that jumps":
            return random.choice((TTL - 5, TTL + 1, 700.0, 40 * 86_400.0))
        case "calls unanswered" | "calls acted and unanswered":
            return random.choice((1, 1, 2, 4, 8))
        case "a port down for a while":
            return random.choice((3.0, 20.0, 100.0, 400.0))
    return 0.0
