"""A whole house in memory: every port's twin, a ledger in a file, and the flows' own `connect` pointed at it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import update

from adapters.connect import Desk
from adapters.memory.builder import MemoryBuilder
from adapters.memory.clock import MemoryClock
from adapters.memory.database import MemoryDatabase
from adapters.memory.notices import MemoryNotices
from adapters.memory.probe import MemoryProbe
from adapters.memory.registry import MemoryRegistry
from adapters.memory.router import MemoryRouter
from adapters.memory.secrets import MemorySecrets
from adapters.memory.source import MemorySource
from adapters.memory.store import MemoryStore
from adapters.memory.workload import MemoryWorkload
from config.catalog import Catalog
from config.settings import Settings
from domain.environment.profile import Environment
from domain.policy.people import People, Person
from domain.ports import Ports
from domain.release import standing, state
from domain.release.artifact import Artifact
from domain.release.service import Service
from domain.release.standing import Standing
from flows.rollback import rollback
from ledger.journal import SqlJournal
from ledger.lease import SqlLeases
from ledger.open import Ledger, open_ledger
from ledger.outbox import Outbox
from ledger.tables import LEASE

UP = "-- interlock: phase=expand\ncreate table orders (id int);"


@dataclass
class World:
    """The desk that flows see, and the twins behind it."""

    desk: Desk
    source: MemorySource
    router: MemoryRouter
    workload: MemoryWorkload
    probe: MemoryProbe
    store: MemoryStore
    notices: MemoryNotices
    databases: dict[str, MemoryDatabase]
    ledger: Ledger

    def standing(self, environment: str) -> Standing:
        return standing.fold(self.desk.journal.entries(service="shop", environment=environment))

    def phase(self, tag: str) -> str:
        states = state.fold(self.desk.journal.entries(service="shop"))
        return next(str(s.phase) for s in reversed(states.values()) if tag in s.release)

    def serving(self, environment: str) -> tuple[str, int, int]:
        """Tell what the world shows: (version, replicas, share of the leading slot in basis points)."""
        route = self.router.observe(f"shop-{environment}")
        assert route is not None
        running = [r for r in self.workload.running("shop", environment) if r.slot == route.leading]
        return running[0].version, len(running), route.share(route.leading)

    def release(self, tag: str) -> str:
        """Name the newest release of a tag."""
        return next(e.release for e in reversed(self.desk.journal.entries(kinds=("opened",))) if tag in e.release)

    def expire_leases(self) -> None:
        """Let as much time pass as every lease has left: what a killed process leaves behind."""
        with self.ledger.writing() as connection:
            connection.execute(update(LEASE).values(expires_at=self.ledger.now - 1))

    def said(self) -> set[tuple[str, str]]:
        return {(group, key.rsplit("/", 2)[1]) for group, key in self.notices.delivered}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    service = Service.model_validate(
        {
            "name": "shop",
            "owner": "shop-team",
            "source": {"repository": "shop"},
            "schema": {"migrations": "db"},
            "runtime": {"ready_within": 2, "logs_within": 1, "drain": 0},
            "criteria": {"error_floor": 0.005, "harm_budget": 0.005},
            "success": [{"name": "availability", "measure": "success_ratio", "at_least": 0.99}],
            "checks": {
                "unit": {"kind": "command", "command": ["unit-tests"]},
                "smoke": {"kind": "http", "steps": [{"path": "/", "contains": "ok"}]},
            },
            "environments": {
                "dev": {"port": 18081, "database": "secret://env/DEV"},
                "production": {"port": 18080, "database": "secret://env/PROD"},
            },
        }
    )
    environments = {
        "dev": Environment.model_validate({"name": "dev", "rollout": {"strategy": "blue-green", "evidence": "checks"}}),
        "production": Environment.model_validate(
            {"name": "production", "after": "dev", "replicas": 2, "rollout": {"bake": 5, "patience": 60}}
        ),
    }
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    images: dict[str, Artifact] = {}
    secrets = MemorySecrets({})
    source, router, workload, probe = MemorySource(), MemoryRouter(), MemoryWorkload(), MemoryProbe()
    store, notices = MemoryStore(), MemoryNotices()
    databases = {"dev": MemoryDatabase(), "production": MemoryDatabase()}
    shop = {"Dockerfile": "FROM x", "db/0001_orders.up.sql": UP, "db/smoke.sql": "insert into orders (id) values (7);"}
    source.commit("feat: open the shop", shop, tag="v1.0.0")
    settings = Settings.model_validate(
        {
            "stack": "memory",
            "sources": tmp_path,
            "ledger": {"url": f"sqlite:///{tmp_path}/ledger.db"},
            "engine": {"kind": "docker"},
            "registry": {"kind": "oci", "url": "http://127.0.0.1:1"},
            "router": {"kind": "haproxy", "folder": tmp_path},
            "store": {"kind": "folder", "folder": tmp_path},
            "secrets": {"folder": tmp_path},
            "notices": {"kind": "folder", "folder": tmp_path},
        }
    )
    roles = {"dora": "developer", "ada": "tech-lead"}
    people = People(
        people=tuple(
            Person(name=n, email=f"{n}@example.org", roles=(r,), keys=(f"ssh-ed25519 {n}",)) for n, r in roles.items()
        )
    )
    desk = Desk(
        settings=settings,
        catalog=Catalog(services={"shop": service}, environments=environments, people=people),
        secrets=secrets,  # type: ignore[arg-type]  # the twin; flows only hand it on
        journal=SqlJournal(ledger),
        leases=SqlLeases(ledger),
        post=Outbox(ledger),
        service=service,
        ports=Ports(
            clock=MemoryClock(),
            source=source,
            builder=MemoryBuilder(images),
            registry=MemoryRegistry(images),
            workload=workload,
            probe=probe,
            router=router,
            databases=databases,
            store=store,
            notices=notices,
        ),
    )
    for module in ("release", "rollback", "recover", "reconcile", "sweep", "drill", "prune"):
        monkeypatch.setattr(f"flows.{module}.connect", lambda name, house=None: desk)
    for module in ("flows.sweep", "flows.drill", "flows.prune"):
        monkeypatch.setattr(f"{module}.open_house", lambda: desk)
    monkeypatch.setattr("flows.way_back.rollback", rollback.fn)  # outside a run a subflow is a function, as verbs are
    return World(desk, source, router, workload, probe, store, notices, databases, ledger)
