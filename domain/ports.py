"""The outside world, as a release sees it.

Small Protocols in our words; value types in and out. Every method may raise Unavailable when the product behind it
does not answer; other errors are named where they can happen. Methods that change something are safe to call twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Protocol

from domain.canary.tick import Tick
from domain.chain import Checkpoint, Row
from domain.data.stamp import Stamp
from domain.environment.orphans import Belonging
from domain.facts import Entry, Fact
from domain.lease import Lease
from domain.post import Notice
from domain.release.artifact import Artifact, CommandResult, Commit, Deployment, Image, Recipe, Replica
from domain.release.route import Route
from domain.schema.backup import Backup
from domain.schema.invariant import Breach
from domain.schema.migration import Applied, Migration
from domain.schema.rehearsal import Cost, Seen


class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Tell the time in seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Source(Protocol):
    """One repository."""

    def resolve(self, ref: str) -> Commit:
        """Find the commit behind a branch, tag or sha. Raises Invalid when there is none."""
        ...

    def tags(self, commit: str) -> tuple[str, ...]:
        """List the tags that point at a commit."""
        ...

    def history(self, since: str | None, until: str) -> tuple[Commit, ...]:
        """List commits reachable from `until` and not from `since`, newest first."""
        ...

    def changed(self, since: str | None, until: str) -> tuple[str, ...]:
        """List the paths that differ between two commits (all paths when `since` is None)."""
        ...

    def files(self, commit: str, folder: str) -> Mapping[str, str]:
        """Read the text files directly inside a folder at a commit: name → text; empty when there is no folder."""
        ...

    def archive(self, commit: str) -> bytes:
        """Export exactly this commit as an uncompressed tar."""
        ...


class Keeper(Protocol):
    """A product that keeps things in our name."""

    def belongings(self) -> tuple[Belonging, ...]:
        """List all of them, whoever they belong to; nothing without a label or a name of ours."""
        ...

    def discard(self, belonging: Belonging, token: int, /) -> bool:
        """Remove one; False when it is in use, a newer owner's, or no longer what it was. One that is gone is fine.

        `token` is 0 where no lease guards it.
        """
        ...


class Builder(Keeper, Protocol):
    """The engine that builds images and hands them to the registry."""

    def build(self, recipe: Recipe, context: bytes) -> Image:
        """Build from a tar of one commit. Raises Rejected with the end of the log when the build fails."""
        ...

    def find(self, labels: Mapping[str, str]) -> Image | None:
        """Find an image that carries all these labels."""
        ...

    def push(self, image: Image, repository: str, tag: str) -> str:
        """Upload an image under a tag; return the manifest digest the registry accepted."""
        ...


class Registry(Protocol):
    """Where published images live."""

    def repository(self, service: str) -> str:
        """Name the repository of a service, host included."""
        ...

    def resolve(self, repository: str, reference: str) -> Artifact | None:
        """Look up a tag or digest and re-hash what comes back; None when there is nothing.

        Raises Conflict when the registry's bytes do not hash to the digest it claims.
        """
        ...


class Workload(Keeper, Protocol):
    """Where replicas run."""

    def start(self, deployment: Deployment) -> tuple[Replica, ...]:
        """Bring up the missing replicas of a deployment from its digest, config injected; return all of them.

        Does not wait for readiness. Raises Invalid when a secret reference cannot be resolved, Conflict when a newer
        owner (a higher token) has started or stopped replicas there.
        """
        ...

    def running(self, service: str, environment: str) -> tuple[Replica, ...]:
        """List the replicas of a service in an environment, stopped ones included."""
        ...

    def logged(self, replica: Replica) -> bool:
        """Tell whether any log line of the replica has arrived."""
        ...

    def stop(self, replicas: Sequence[Replica], grace: float, token: int) -> None:
        """Stop and remove replicas; those already gone are fine.

        Raises Conflict, naming them, when a newer owner (a higher token) has started replicas there; nothing is
        stopped then.
        """
        ...

    def claim(self, service: str, environment: str, token: int) -> None:
        """Refuse older owners (lower tokens) there from now on, and end the commands that they still have running.

        Raises Conflict when a newer one has been there.
        """
        ...

    def run(self, deployment: Deployment, command: Sequence[str], timeout: float) -> CommandResult:
        """Run a command once in the deployment's image, network and config, and remove the container.

        Raises Rejected when the time is up.
        """
        ...


class Probe(Protocol):
    """Plain HTTP, for readiness and journeys."""

    def request(self, method: str, url: str, body: str | None, timeout: float) -> tuple[int, str]:
        """Send one request; return status and body. Raises Unavailable when nothing answers."""
        ...


class Router(Keeper, Protocol):
    """Traffic."""

    def apply(self, route: Route, token: int) -> None:
        """Make the router do this, and come back when it does: rendered to disk first, then commanded, then confirmed.

        Replicas that leave a slot are drained (up to the route's drain time) before they are removed.
        Raises Rejected when a replica never becomes healthy, Conflict when the router reports another share, or when a
        newer owner (a higher token) has moved the route: nothing is changed then, and an owner who is overtaken on the
        way leaves the route as the newer one wants it.
        """
        ...

    def claim(self, name: str, token: int) -> None:
        """Refuse older owners (lower tokens) of a route from now on. Raises Conflict for a newer one."""
        ...

    def observe(self, name: str) -> Route | None:
        """Report what the router really does for a route; None when it does not know it."""
        ...

    def samples(self, route: Route, candidate: str) -> AbstractContextManager["Samples"]:
        """Listen to a route; `candidate` is the slot whose requests count as the candidate's arm."""
        ...


class Samples(Protocol):
    """A running stream of measurements."""

    def tick(self) -> Tick:
        """Wait for the next second to close and count it; a second without requests is an empty tick."""
        ...


class Tool(Protocol):
    """A service's own migration tool, in an image of that service."""

    def run(self, line: str, *, database: str | None = None, revision: str = "", timeout: float) -> CommandResult:
        """Run one command line on the service's database, or on another one of the same server.

        `revision`: what the tool's `status` printed earlier. Raises Rejected when the time (seconds) is up.
        """
        ...


class Database(Keeper, Protocol):
    """One service's database in one environment."""

    def fingerprint(self) -> str:
        """Hash the schema (64 hex digits): equal schemas, equal fingerprints; our own tables are left out."""
        ...

    def server(self) -> str:
        """Name the server's version: `18.6`."""
        ...

    def applied(self) -> tuple[Applied, ...]:
        """List what the migration table holds, in order."""
        ...

    def backup(self, into: IO[bytes]) -> Backup:
        """Stream a compressed dump and digest every table in the same snapshot."""
        ...

    def verify(self, stored: IO[bytes], backup: Backup) -> None:
        """Restore a stored dump into a scratch database and compare every table's digest.

        Raises Rejected naming the tables that differ. The scratch database is dropped in any case.
        """
        ...

    def clone(self, stored: IO[bytes], backup: Backup) -> AbstractContextManager["Clone"]:
        """Restore a stored dump into a scratch database to try things on; it is dropped in any case.

        Raises Rejected when the dump is damaged.
        """
        ...

    def migrate(
        self,
        step: Migration,
        release: str,
        token: int,
        lock_timeout: float,
        lock_budget: float,
        tool: Tool | None = None,
    ) -> Applied:
        """Apply one migration and its row in the migration table; `tool` performs one that is by tool.

        Raises Rejected when the SQL fails or the lock budget is spent; the schema is then as before, but for a step
        without a transaction, and what a batched step has done stays done. Raises Conflict when a newer owner (a higher
        token) has migrated, or when another script was applied under the number, Invalid for a tool that is not given.
        """
        ...

    def begun(self, step: Migration) -> bool:
        """Tell whether a migrator was cut off in this step, which runs without a transaction."""
        ...

    def claim(self, token: int) -> None:
        """Refuse older owners (lower tokens) from now on, and end what one is at. Raises Conflict for a newer one."""
        ...

    def rows(self) -> Mapping[str, int]:
        """Count the rows of every table."""
        ...

    def breaches(self, invariants: Mapping[str, str], timeout: float) -> tuple[Breach, ...]:
        """Ask each query, by name, for rows; list those that return any, or nothing within `timeout` seconds.

        A query can change nothing. One that fails is listed with the reason.
        """
        ...


class Copyist(Protocol):
    """Takes one copy of a database without what is private in it."""

    def refresh(self) -> Stamp:
        """Put a fresh copy in the place of the last one, which stays until the new one is whole.

        Raises Refused when the policy does not fit, Rejected when a private value would survive.
        """
        ...

    def stamp(self) -> Stamp:
        """Read what the copy says about itself; raises Invalid when it says nothing."""
        ...


class Clone(Protocol):
    """A copy of a database that nobody else uses, and nobody will miss."""

    @property
    def server(self) -> str:
        """Name the server's version: `18.6`."""
        ...

    def run(self, script: str, *, transactional: bool, timeout: float, batch: int | None = None) -> Cost:
        """Run a script as a migration would (`timeout`: seconds for each statement); say what it cost.

        `batch`: its one statement takes so many rows, and is run until there are none; see domain/schema/batched.py.

        Raises Rejected with the line when it fails; a transactional script has changed nothing then.
        """
        ...

    def operate(self, tool: Tool, line: str, *, revision: str = "", timeout: float) -> tuple[Cost, str]:
        """Have a tool run one line here; return what that cost, and what it printed.

        Raises Rejected with the end of what it printed when it fails: what it did until then stays.
        """
        ...

    def speak(self, statements: str, *, keep: bool) -> tuple[tuple[str, str], ...]:
        """Run a version's statements, each for itself, in order; keep what they wrote, or undo it all.

        Returns those that failed: the statement's first line, and what the server says.
        """
        ...

    def look(self, *, rows_only: bool = False) -> Seen:
        """Fingerprint the schema and digest what is in it; a partitioned table is counted as a whole, too.

        `rows_only` counts rows instead of digesting tables, and leaves partitions out.
        """
        ...

    def breaches(self, invariants: Mapping[str, str], timeout: float) -> tuple[Breach, ...]:
        """Ask each query, by name, as the database would be asked."""
        ...

    def rewind(self, sequences: Mapping[str, int]) -> None:
        """Have sequences stand where they stood by an earlier look, so that they give out the same numbers again."""
        ...

    def undone(self) -> AbstractContextManager[None]:
        """Undo whatever the block does, but for the numbers that sequences gave out."""
        ...


class Store(Keeper, Protocol):
    """A place for evidence, backups and checkpoints: write once, read by key, remove what nobody needs any more."""

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        """Write an object; return its sha256. Raises Conflict when the key exists with other content."""
        ...

    def open(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """Read an object. Raises Invalid when there is none."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """List keys with a prefix, in order."""
        ...

    def ages(self, prefix: str) -> Mapping[str, float]:
        """Tell how long ago each object with a prefix was written: key → seconds, by the store's clock, in order."""
        ...

    def remove(self, key: str) -> None:
        """Remove an object for good before anything else is done; one that is gone is fine."""
        ...


class Secrets(Protocol):
    """Turns references into values, at the last moment."""

    def resolve(self, reference: str) -> str:
        """Look up `secret://…`. Raises Invalid naming the reference, never the value, when it cannot."""
        ...


class Notices(Protocol):
    """Delivers one message to one stakeholder group."""

    def deliver(self, group: str, title: str, body: str, key: str) -> None:
        """Send; `key` is the idempotency key. A group without a target is Invalid."""
        ...


@dataclass(frozen=True)
class Ports:
    """Everything a release of one service may touch, apart from databases, which belong to an environment."""

    clock: Clock
    source: Source
    builder: Builder
    registry: Registry
    workload: Workload
    probe: Probe
    router: Router
    databases: Mapping[str, Database]
    store: Store
    notices: Notices


class Journal(Protocol):
    """The append-only truth."""

    def append(
        self,
        fact: Fact,
        *,
        actor: str,
        release: str,
        service: str,
        environment: str = "",
        token: int = 0,
        carrier: int = 0,
    ) -> Entry:
        """Write one fact.

        Raises Conflict when `token` is not the environment's current one, or `carrier` not the current one of the lease
        on the release (0 skips a check), Refused when the fact would be an illegal transition of its release, and
        Invalid when it could not be read back (NaN).
        """
        ...

    def entries(
        self,
        *,
        release: str | None = None,
        service: str | None = None,
        environment: str | None = None,
        kinds: Sequence[str] = (),
        after: int = 0,
    ) -> tuple[Entry, ...]:
        """Read entries in order; every filter that is given must match (no kinds: every kind)."""
        ...

    def rows(self, after: int = 0) -> Iterator[Row]:
        """Read entries as they are stored, in order, to recompute the chain."""
        ...

    def checkpoint(self) -> Checkpoint | None:
        """Take a checkpoint of the newest row; None while the journal is empty."""
        ...


class Leases(Protocol):
    """One writer per service and environment, on the database's clock."""

    def take(
        self, service: str, environment: str, owner: str, reason: str, ttl: float, *, force: bool = False
    ) -> Lease:
        """Take the lease for `ttl` seconds, renew one's own (same owner keeps its token), or take over an expired one.

        One's own lease that has expired gets a new token, too: the process that let it expire may still be alive.
        `force` takes over a live one. Raises Conflict naming holder, reason and remaining time.
        """
        ...

    def renew(self, lease: Lease, ttl: float) -> Lease:
        """Extend by `ttl` seconds from now, even when it has expired, as long as nobody else took it.

        Raises Conflict when the token is no longer current.
        """
        ...

    def keep_alive(self, lease: Lease, ttl: float) -> AbstractContextManager[object]:
        """Renew in time, over and over, while the block runs; a lease that is lost meanwhile is not won back."""
        ...

    def check(self, lease: Lease) -> None:
        """Raise Conflict unless the token is current and not expired."""
        ...

    def give_back(self, lease: Lease) -> None:
        """Free the environment; nothing happens when somebody else holds it by now."""
        ...

    def holder(self, service: str, environment: str) -> Lease | None:
        """Tell who holds it, also when it has expired; None when it is free."""
        ...


class Post(Protocol):
    """Where notices wait until they are delivered, at least once. Times are seconds since the epoch."""

    def enqueue(self, key: str, group: str, title: str, body: str) -> None:
        """Keep a notice; a key that is known already changes nothing."""
        ...

    def deliver(self, notices: Notices, now: float) -> int:
        """Try everything that is due, and return how many were sent; what fails raises nothing and waits its turn."""
        ...

    def due(self, now: float) -> tuple[Notice, ...]:
        """List what wants to be sent now."""
        ...

    def dead(self) -> tuple[Notice, ...]:
        """List what was given up, with the last error of each."""
        ...
