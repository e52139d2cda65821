"""What there is, seen from outside: asked of the products themselves, without the ledger's help.

The journal is read as rows, to be held against the world; nothing here is folded from it.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from adapters.connect import Desk
from adapters.docker_engine import Engine
from adapters.haproxy_config import SLOTS
from adapters.haproxy_folder import Folder
from adapters.haproxy_runtime import Runtime
from bench.chaos.scene import PLACE, PORT, SHOP, Scene
from deployments.embedded import postgres
from domain.errors import ReleaseError

ROUTE = f"{SHOP}-{PLACE}"
ASKED = 40  # requests that look who serves
OVER = frozenset({"released", "rolled back", "aborted"})
_FLOW = "PREFECT__FLOW_RUN_ID="
Row = dict[str, Any]


@dataclass(frozen=True)
class Container:
    """A container as the engine has it."""

    name: str
    state: str
    image: str
    address: str
    labels: Mapping[str, str]

    def label(self, name: str) -> str:
        """Read one of our labels."""
        return self.labels.get(f"interlock.{name}", "")


@dataclass(frozen=True)
class Schema:
    """The database: its schema's fingerprint and columns, what was migrated, and what was left lying about."""

    fingerprint: str
    columns: frozenset[str]
    migrated: Mapping[int, str]
    scratch: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """One look at everything."""

    share: str
    share_on_disk: str
    members: Mapping[str, frozenset[str]]
    answers: Mapping[str, int]
    containers: tuple[Container, ...]
    volumes: tuple[str, ...]
    networks: tuple[str, ...]
    maps: frozenset[str]
    schema: Schema
    leases: tuple[Row, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def slot(self) -> str:
        """Name the slot that gets everything; empty when none does."""
        return {"0": "blue", "10000": "green"}.get(self.share, "")

    @property
    def serving(self) -> tuple[Container, ...]:
        """List the containers in that slot."""
        return tuple(it for it in self.containers if it.label("slot") == self.slot)

    @property
    def version(self) -> str:
        """Name the one version that answers; empty when several or none do."""
        return next(iter(self.answers)).removeprefix("200 ") if len(self.answers) == 1 else ""


def look(scene: Scene) -> World:
    """Look at router, engine and database; what does not answer is a problem, and empty."""
    problems: list[str] = []
    runtime, folder = Runtime(scene.house.settings.router.folder / "run"), scene.house.settings.router.folder
    share, maps, members = "", frozenset[str](), dict[str, frozenset[str]]()
    try:
        split = runtime.entries(folder / "maps" / "split.map")
        share, maps = split.get(ROUTE, ""), frozenset(split)
        running = runtime.running(ROUTE)
        if running:
            members = {slot: frozenset(f"{it.address}:{it.port}" for it in running.members(slot)) for slot in SLOTS}
    except ReleaseError as error:
        problems.append(f"router: {error.message}")
    wish = Folder(folder, scene.house.settings.router.bind).wish(ROUTE)
    containers, volumes, networks = _engine(scene, problems)
    return World(
        share=share,
        share_on_disk=str(wish.green_share) if wish else "",
        members=members,
        answers=_ask(),
        containers=containers,
        volumes=volumes,
        networks=networks,
        maps=maps,
        schema=_schema(scene, problems),
        leases=tuple(leases(scene)),
        problems=tuple(problems),
    )


def _ask() -> dict[str, int]:
    """Ask as many users would, each on a connection of their own; count status and version."""
    heard = Counter[str]()
    for _ in range(ASKED):
        try:
            with httpx.Client(trust_env=False, timeout=5) as user:
                headers = {"x-user-id": f"look-{random.randrange(10**6)}"}
                answer = user.get(f"http://127.0.0.1:{PORT}/api/products/1", headers=headers)
            heard[f"{answer.status_code} {answer.headers.get('x-version', '')}"] += 1
        except httpx.HTTPError as error:
            heard[type(error).__name__] += 1
    return dict(heard)


def _engine(scene: Scene, problems: list[str]) -> tuple[tuple[Container, ...], tuple[str, ...], tuple[str, ...]]:
    """List all there is: the engine is nobody's but the campaign's."""
    try:
        api = Engine(scene.house.settings.engine.host).api
        containers = tuple(_container(row) for row in api.containers(all=True))
        volumes = tuple(row["Name"] for row in api.volumes()["Volumes"] or ())
        return containers, volumes, tuple(sorted(row["Name"] for row in api.networks()))
    except (ReleaseError, OSError) as error:
        problems.append(f"engine: {error}")
        return (), (), ()


def _container(row: Mapping[str, Any]) -> Container:
    networks = (row.get("NetworkSettings") or {}).get("Networks") or {}
    address = next((network["IPAddress"] for network in networks.values()), "")
    return Container(row["Names"][0].lstrip("/"), row["State"], row["ImageID"], address, row["Labels"] or {})


def _schema(scene: Scene, problems: list[str]) -> Schema:
    try:
        with admin(scene, f"{SHOP}_{PLACE}") as link:
            columns = link.execute(
                "select table_name || '.' || column_name as it from information_schema.columns"
                " where table_schema = 'public' and table_name <> 'interlock_migrations'"
            )
            found = frozenset(row["it"] for row in columns)
            rows = link.execute("select number, state, statements from public.interlock_migrations")
            migrated = {row["number"]: row["state"] for row in rows}
            left = link.execute("select datname from pg_database where datname like 'interlock_scratch_%'")
            scratch = tuple(row["datname"] for row in left)
        return Schema(_fingerprint(scene.desk), found, migrated, scratch)
    except (psycopg.Error, ReleaseError) as error:
        problems.append(f"database: {error}")
        return Schema("", frozenset(), {})


def _fingerprint(desk: Desk) -> str:
    return desk.ports.databases[PLACE].fingerprint()


def admin(scene: Scene, database: str) -> psycopg.Connection[Row]:
    """Connect as the superuser, past every link and every right."""
    word = (scene.stack.secrets / f"{postgres.SUPERUSER}-password").read_text().strip()
    dsn = postgres.dsn(scene.postgres, postgres.SUPERUSER, word, database)
    return psycopg.connect(dsn, autocommit=True, connect_timeout=5, row_factory=dict_row)


def orders(scene: Scene) -> set[str]:
    """List the ids of all orders."""
    with admin(scene, f"{SHOP}_{PLACE}") as link:
        return {str(row["id"]) for row in link.execute("select id from orders")}


def journal(scene: Scene, after: int = 0, *kinds: str) -> list[Row]:
    """Read the journal's rows after a place in it, of some kinds or of all; `fact` is the fact as plain JSON."""
    asked = "select * from journal where seq > %s and (kind = any(%s) or %s) order by seq"
    with admin(scene, "ledger") as link:
        rows = link.execute(asked, (after, list(kinds), not kinds)).fetchall()
    return [{**row, "fact": json.loads(row["body"])} for row in rows]


def leases(scene: Scene) -> list[Row]:
    """Read the leases that are alive, with the seconds they have left; none while the ledger is away."""
    with suppress(psycopg.Error), admin(scene, "ledger") as link:
        return link.execute(
            "select service, environment, token, owner, reason, expires_at - extract(epoch from clock_timestamp())"
            " as left from lease where expires_at > extract(epoch from clock_timestamp())"
        ).fetchall()
    return []


def phases(rows: Sequence[Row]) -> dict[str, str]:
    """Find the last phase of every release in some rows; empty where it has none yet."""
    found: dict[str, str] = {}
    for row in rows:
        if row["kind"] == "opened":
            found.setdefault(row["release"], "")
        elif row["kind"] == "entered":
            found[row["release"]] = row["fact"]["phase"]
    return found


def flow_processes() -> dict[int, str]:
    """List the processes that carry a flow run: pid → run id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile
            if b"prefect.engine" in (folder / "cmdline").read_bytes():
                lines = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
                run = next((line.removeprefix(_FLOW) for line in lines if line.startswith(_FLOW)), "")
                found[int(folder.name)] = run
    found.pop(os.getpid(), None)
    return found
