"""Simulated processes, and a Prefect that starts them and knows how each one ended."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from prefect.exceptions import Pause

from adapters.memory.journal import Held
from domain.errors import Unavailable
from flows.dispatch import Ended

if TYPE_CHECKING:
    from bench.simulation.world import World

Role = Literal["release", "rival", "rollback", "sweep", "follower", "drill"]
"""Who a process is: what a person started, a sweep, or a run that a sweep started."""


class Died(BaseException):
    """The process is gone; what is neither in the journal nor in the world is lost."""

    def __init__(self, seen_as: Ended) -> None:
        super().__init__(f"seen as {seen_as}")
        self.seen_as = seen_as


class Stumbled(Exception):
    """An error that no adapter should raise: a time-out of the task, or a bug."""


class Strikes(Protocol):
    """What may happen to a process at one of its moments."""

    @property
    def at(self) -> int | str:
        """Tell at which moment."""
        ...

    def strike(self, world: Any) -> None:
        """Let it happen; `world` is the Life that the process is part of."""
        ...


@dataclass
class Process:
    """One operating system process with one flow run in it, and perhaps one subflow."""

    role: Role
    run: str
    life: str
    faults: list[Strikes] = field(default_factory=list)
    subflow: str = ""
    passed: list[str] = field(default_factory=list)
    hearts: list[tuple[Held, float]] = field(default_factory=list)
    still: list[tuple[Held, float]] = field(default_factory=list)  # woken up, and its heart has not beaten yet
    _seen: Counter[str] = field(default_factory=Counter)

    def comes_by(self, moment: str) -> list[Strikes]:
        """Count a moment; the third time under one name it is none any more. Returns what happens there.

        A fault is at the how manieth moment of a process, or at the first one of a name.
        """
        self._seen[moment] += 1
        if self._seen[moment] > 2:
            return []
        self.passed.append(moment)
        here = {len(self.passed) - 1, moment if self._seen[moment] == 1 else ""}
        return [fault for fault in self.faults if fault.at in here] if self.faults else []

    def stop_hearts(self, now: float) -> None:
        """Keep no lease alive any more; each has its whole time left from here."""
        for held, ttl in self.hearts:
            if ttl in held.alive:
                held.alive.remove(ttl)
                held.expires_at = now + ttl
        self.still = list(self.hearts)

    def beat(self) -> None:
        """Keep alive again what is still there."""
        for held, ttl in self.still:
            held.alive.append(ttl)
        self.still = []


@dataclass
class Prefect:
    """Starts runs when it is told to, a little later; tells how each one ended; may not answer."""

    world: "World"
    flows: Mapping[str, Callable[..., Any]]
    due: list[str] = field(default_factory=list)  # runs that a runner has not taken up yet
    works: dict[str, tuple[Role, Callable[[], Any]]] = field(default_factory=dict)
    ends: dict[str, Ended] = field(default_factory=dict)

    def start(self, deployment: str, parameters: dict[str, Any]) -> str:
        """Have a run started."""
        self._answer()
        run = self.world.new_run()
        self.works[run] = "follower", partial(self.flows[deployment], **parameters)
        self.due.append(run)
        return run

    def wait(self, key: str, timeout: float) -> None:  # noqa: ARG002  # nobody waits that long
        """Suspend the run: its process ends here."""
        self._answer()
        raise Pause

    def wake(self, run: str) -> bool:
        """Have a suspended run started again from the top."""
        self._answer()
        if self.ends.get(run) != "waiting":
            return False
        self.ends[run] = "alive"
        self.due.append(run)
        return True

    def stop(self, run: str) -> None:
        """Cancel a run; one that has no process just now is cancelled at once."""
        self._answer()
        idle = run in self.due or self.ends.get(run) == "waiting"
        self.due = [it for it in self.due if it != run]
        self.ends[run] = "cancelled" if idle else "cancelling"

    def end_of(self, run: str) -> Ended:
        """Tell how a run ended."""
        self._answer()
        return self.ends.get(run, "unknown")

    def being_cancelled(self) -> list[str]:
        """List the runs that are about to be cancelled."""
        self._answer()
        return [run for run, end in self.ends.items() if end == "cancelling"]

    def end(self, run: str, text: str) -> None:  # noqa: ARG002  # nobody reads the page
        """End a run as cancelled."""
        self._answer()
        self.ends[run] = "cancelled"

    def leave_word(self, run: str, text: str) -> None:  # noqa: ARG002  # nobody reads the page
        """Do nothing: the page of a run is not simulated."""
        self._answer()

    def get_id(self) -> str | None:
        """Name the flow run that this process is in, as prefect.runtime does."""
        process = self.world.process
        return (process.subflow or process.run) if process else None

    def get_parent_flow_run_id(self) -> str | None:
        """Name the flow run around it."""
        process = self.world.process
        return process.run if process and process.subflow else None

    def as_subflow(self, flow: Callable[..., Any]) -> Callable[..., Any]:
        """Run a flow inside the run that calls it."""

        def inside(*args: Any, **kwargs: Any) -> Any:
            process = self.world.process
            if process is None:
                return flow(*args, **kwargs)
            process.subflow = self.world.new_run()
            try:
                return flow(*args, **kwargs)
            finally:
                process.subflow = ""

        return inside

    def _answer(self) -> None:
        try:
            self.world.reach("prefect", acted=False)
        except Unavailable as error:  # Prefect's client raises its own errors, which no flow expects
            raise Stumbled(str(error)) from error
