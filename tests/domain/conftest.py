"""Scenes for domain tests: a shop, its people, a plan."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.environment.profile import Environment
from domain.policy.approval import Approval, Statement
from domain.policy.people import People, Person
from domain.release.artifact import Artifact, Commit, Deployment
from domain.release.draw_up import History, SourceFacts, draw_up
from domain.release.plan import Plan, Request, Settled
from domain.release.service import Service

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def commit(number: int, author: str = "dora@example.org", subject: str = "feat: more") -> Commit:
    return Commit(sha=f"{number:040x}", author=author, subject=subject, at=f"2026-11-20T10:{number % 60:02d}:00+00:00")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ada", "grace", "linus", "dora"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name], check=True)
    return {name: folder / name for name in ("ada", "grace", "linus", "dora")}


@pytest.fixture(scope="session")
def people(keys: dict[str, Path]) -> People:
    roles = {"ada": "tech-lead", "grace": "product-owner", "linus": "sre", "dora": "tech-lead"}
    return People(
        people=tuple(
            Person(name=n, email=f"{n}@example.org", roles=(r,), keys=(keys[n].with_suffix(".pub").read_text(),))
            for n, r in roles.items()
        )
    )


@pytest.fixture(scope="session")
def sign(keys: dict[str, Path]) -> Callable[..., Approval]:
    def sign(statement: Statement, key: str | None = None) -> Approval:
        done = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", "interlock-approval", "-f", keys[key or statement.approver]],
            input=statement.text.encode(), capture_output=True, check=True,
        )  # fmt: skip
        return Approval(statement=statement, signature=done.stdout.decode())

    return sign


@pytest.fixture
def service() -> Service:
    return Service.model_validate(
        {
            "name": "shop",
            "owner": "shop-team",
            "source": {"repository": "shop"},
            "schema": {"migrations": "db"},
            "criteria": {"error_floor": 0.005, "harm_budget": 0.005},
            "success": [{"name": "availability", "measure": "success_ratio", "at_least": 0.99}],
            "environments": {
                "dev": {"port": 18081, "config": {"GREETING": "hi"}, "database": "secret://env/DEV"},
                "production": {"port": 18080, "config": {"GREETING": "welcome"}, "database": "secret://env/PROD"},
            },
        }
    )


@pytest.fixture
def environments() -> dict[str, Environment]:
    return {
        "dev": Environment.model_validate({"name": "dev", "rollout": {"strategy": "rolling", "evidence": "checks"}}),
        "production": Environment.model_validate(
            {"name": "production", "after": "dev", "replicas": 2, "seats": [["tech-lead"], ["product-owner", "sre"]]}
        ),
    }


@pytest.fixture
def plan(service: Service, environments: dict[str, Environment], people: People) -> Callable[..., Plan]:
    def plan(
        tag: str = "v1.1.0",
        number: int = 2,
        settled: dict[str, Settled] | None = None,
        to: tuple[str, ...] = ("dev", "production"),
        requester: str = "dora",
        service: Service = service,
        **source: object,
    ) -> Plan:
        request = Request(service="shop", ref=tag, environments=to, requester=requester)
        facts = SourceFacts.model_validate({"commit": commit(number), "tags": (tag,), **source})
        return draw_up(request, service, environments, people, facts, History(settled=settled or {}), "reg/shop")

    return plan


@pytest.fixture
def settled() -> Callable[..., Settled]:
    def settled(version: str, slot: str, environment: str = "production", release: str | None = None) -> Settled:
        digest = "sha256:" + f"{abs(hash(version)):064x}"[-64:]
        deployment = Deployment.model_validate(
            {
                "service": "shop",
                "environment": environment,
                "release": release or f"shop-{version}",
                "version": version,
                "slot": slot,
                "artifact": Artifact(repository="reg/shop", version=version, digest=digest, image=digest),
                "replicas": 2,
                "resources": {},
                "runtime": {},
                "config": {"GREETING": "welcome"},
            }
        )
        return Settled(deployment=deployment, commit=f"{1:040x}")

    return settled
