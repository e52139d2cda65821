"""A step: a Prefect task whose truth is the journal.

Every verb with an effect runs through `step`. Its key is (environment, verb, hash of its inputs) within a release.
A finished step returns its recorded outcome and touches nothing. Otherwise the intent is written first and the outcome
after. A step that finds an intent without an outcome looks at the world (`observe`) before it acts again. Prefect's
result cache is never used, and only Unavailable is retried.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial, wraps
from time import sleep
from typing import Any, Concatenate, ParamSpec, TypeVar

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.runtime import task_run
from prefect.tasks import exponential_backoff
from pydantic import BaseModel

from domain.canonical import sha256
from domain.errors import Conflict, Refused, ReleaseError, Unavailable
from domain.facts import Approved, Done, Entry, Fact, Failed, Intended
from domain.lease import Lease
from domain.policy.approval import Gate, quorum, seats_text
from domain.policy.people import People
from domain.ports import Journal, Leases
from domain.release.explain import sentence
from domain.value import Value
from tasks.fault import point

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Value)
PAUSES = (0.5, 1.0, 2.0)
"""Seconds between two attempts while something does not answer; Prefect waits as long between its retries."""


@dataclass(frozen=True)
class Permit:
    """A gate that was passed; it is counted again from the signatures before every step."""

    gate: Gate
    people: People
    passed_at: datetime

    def insist(self, entries: Sequence[Entry]) -> None:
        """Raise Refused unless the signed approvals in the journal still fill every seat."""
        approvals = [entry.fact.approval for entry in entries if isinstance(entry.fact, Approved)]
        count = quorum(approvals, self.gate, self.people, self.passed_at)
        if not count.reached:
            missing = seats_text(count.missing) or f"{count.rejected_by} rejected it"
            raise Refused(f"{self.gate.environment}: the approvals no longer add up: {missing}", "approve again")


@dataclass(frozen=True)
class Warrant:
    """The authority to act: for which release, as whom, and under which leases.

    `carrier` is the lease on the release itself (one run carries it), `lease` the one on the environment it is in.
    """

    journal: Journal
    leases: Leases
    release: str
    service: str
    actor: str
    carrier: Lease | None = None
    lease: Lease | None = None
    permit: Permit | None = None

    @property
    def environment(self) -> str:
        """Name the environment; empty before any is touched."""
        return self.lease.environment if self.lease else ""

    @property
    def token(self) -> int:
        """Give the fencing token. Raises Conflict without a lease: no environment may be touched then."""
        if self.lease is None:
            raise Conflict(f"{self.release} holds no environment", "take its lease before anything there is changed")
        return self.lease.token

    def check(self) -> None:
        """Raise Conflict when a lease is gone, Refused when the approvals in the journal no longer add up."""
        for held in (self.carrier, self.lease):
            if held:
                self.leases.check(held)
        if self.permit:
            self.permit.insist(self.journal.entries(release=self.release, kinds=("approved",)))

    def lost(self) -> bool:
        """Tell whether somebody else has taken over what this authority rests on; it may then change nothing more."""
        try:
            replace(self, permit=None).check()
        except Conflict:
            return True
        return False

    def note(self, fact: Fact, environment: str) -> None:
        """Write a fact about an environment that is not held (yet)."""
        self._write(fact, environment, 0)

    def record(self, fact: Fact) -> None:
        """Write a fact under this authority; the journal refuses a stale token."""
        self._write(fact, self.environment, self.lease.token if self.lease else 0)

    def _write(self, fact: Fact, environment: str, token: int) -> None:
        name = str(getattr(fact, "verb", "") or getattr(fact, "phase", ""))
        point("before", fact.kind, name, environment)
        self.journal.append(
            fact,
            actor=self.actor,
            release=self.release,
            service=self.service,
            environment=environment,
            token=token,
            carrier=self.carrier.token if self.carrier else 0,
        )
        point("after", fact.kind, name, environment)
        if FlowRunContext.get() and (said := sentence(fact)):
            get_run_logger().info("%s: %s", environment or self.service, said)


def worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # Prefect's signature
    """Retry only what did not answer."""
    return isinstance(state.result(raise_on_failure=False), Unavailable)


class Call:
    """A verb's arguments, closed to Prefect: it would walk through every model in them at every call."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    @property
    def environment(self) -> str:
        """Name where the verb acts; empty before any environment is touched."""
        return next((value.environment for value in self.args if isinstance(value, Warrant)), "")


def _as_task(verb: Callable[P, R], *, timeout: float | None) -> Callable[P, R]:
    def run(call: Call) -> R:
        return verb(*call.args, **call.kwargs)

    known = task(
        name=verb.__name__,
        description=verb.__doc__,
        task_run_name=_run_name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=len(PAUSES),
        retry_delay_seconds=exponential_backoff(backoff_factor=PAUSES[0]),
        retry_jitter_factor=0.5,
        retry_condition_fn=worth_retrying,
        timeout_seconds=timeout,
    )(run)

    @wraps(verb)
    def start(*args: P.args, **kwargs: P.kwargs) -> R:
        if FlowRunContext.get() is None:  # a command, a test or a simulation: the verb is a plain function
            return again(partial(verb, *args, **kwargs))
        return known(Call(*args, **kwargs))

    return start


def look(question: Callable[P, R]) -> Callable[P, R]:
    """Make a task of something that changes nothing but is worth seeing; retried only when Unavailable."""
    return _as_task(question, timeout=None)


def note(bookkeeping: Callable[P, R]) -> Callable[P, R]:
    """Make a verb of bookkeeping: too small for a task in the graph, tried again while the ledger does not answer."""

    @wraps(bookkeeping)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return again(partial(bookkeeping, *args, **kwargs))

    return run


def again(act: Callable[[], R]) -> R:
    """Try again while something does not answer, as Prefect does with a task."""
    for pause in PAUSES:
        try:
            return act()
        except Unavailable:
            sleep(pause)
    return act()


def step(
    outcome: type[T],
    *,
    observe: Callable[..., T | None] | None = None,
    timeout: float = 900.0,
) -> Callable[[Callable[Concatenate[Warrant, P], T]], Callable[Concatenate[Warrant, P], T]]:
    """Make a verb a step.

    `observe` takes the verb's arguments and returns the outcome if the world already shows it, else None; leave it out
    only where the verb itself looks before it changes anything. `timeout` in seconds.
    """

    def wrap(act: Callable[Concatenate[Warrant, P], T]) -> Callable[Concatenate[Warrant, P], T]:
        @wraps(act)
        def run(warrant: Warrant, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return carry_out(outcome, act, observe, warrant, *args, **kwargs)

        return _as_task(run, timeout=timeout)

    return wrap


def carry_out(
    outcome: type[T],
    act: Callable[Concatenate[Warrant, P], T],
    observe: Callable[..., T | None] | None,
    warrant: Warrant,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Do a verb once and for all; raises Conflict when the lease is gone, and whatever the verb raises."""
    verb = act.__name__
    key = step_key(warrant.environment, verb, (*args, *kwargs.values()))
    intended = False
    for entry in warrant.journal.entries(release=warrant.release, kinds=("intended", "done")):
        match entry.fact:
            case Done(key=found, outcome=recorded) if found == key:
                return outcome.model_validate(recorded)
            case Intended(key=found) if found == key:
                intended = True
    warrant.check()
    if intended and observe and (seen := observe(warrant, *args, **kwargs)) is not None:
        warrant.record(Done(key=key, verb=verb, outcome=seen.model_dump(mode="json"), observed=True))
        return seen
    if not intended:
        warrant.record(Intended(key=key, verb=verb))
    try:
        result = act(warrant, *args, **kwargs)
    except ReleaseError as error:
        if not isinstance(error, Unavailable):
            with suppress(ReleaseError):  # a stale token may not write, and the first error matters more
                warrant.record(Failed(key=key, verb=verb, error=type(error).__name__, message=error.message))
        raise
    warrant.record(Done(key=key, verb=verb, outcome=result.model_dump(mode="json")))
    return result


def step_key(environment: str, verb: str, inputs: tuple[Any, ...]) -> str:
    """Name a step by where it acts, what it does and the hash of its inputs; adapters are not inputs."""
    plain = [
        value for value in inputs if value is None or isinstance(value, BaseModel | str | int | float | bool | tuple)
    ]
    return f"{environment or '-'}/{verb}/{sha256(plain)[:16]}"


def _run_name() -> str:
    """Name the task run as an operator reads it: `deploy · production`."""
    call = task_run.parameters.get("call")
    where = call.environment if isinstance(call, Call) else ""
    name = str(task_run.task_name).replace("_", " ")
    return f"{name} · {where}" if where else name
