"""What distinguishes one simulated house from another, and what is configured there."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Literal

from config.catalog import Catalog
from config.settings import Settings
from domain.environment.profile import Environment
from domain.policy.people import People, Person
from domain.release.service import Service

ENVIRONMENTS = ("dev", "production")
Nature = Literal[
    "good", "failing", "unvisited", "never ready", "silent", "red", "unbuildable",
    "unmigratable", "unprovable", "locked out",
]  # fmt: skip
"""What becomes of a version when nothing interferes: all but the first must never be released."""


@dataclass(frozen=True)
class Shape:
    """What distinguishes one house from another."""

    services: tuple[str, ...] = ("shop",)
    strategy: Literal["canary", "blue-green", "rolling"] = "canary"
    replicas: int = 2
    schema: bool = True
    visitors: int = 4000
    bake: int = 3
    tidy: bool = False

    @classmethod
    def drawn(cls, random: Random) -> "Shape":
        """Draw one of them."""
        return cls(
            services=("shop", "cart") if random.random() < 0.2 else ("shop",),
            strategy=random.choice(("canary", "canary", "blue-green", "rolling")),
            replicas=random.choice((1, 2, 2, 3)),
            schema=random.random() < 0.5,
            visitors=random.choice((4000, 4000, 400)),
            bake=random.choice((3, 3, 3, 20)),  # seconds; the last is longer than a lease lives without a beat
            tidy=random.random() < 0.1,
        )


@cache
def settings() -> Settings:
    here = Path("/nowhere")
    return Settings.model_validate(
        {
            "stack": "simulation",
            "sources": here,
            "ledger": {"url": "sqlite:////nowhere/ledger.db"},
            "engine": {"kind": "docker"},
            "registry": {"kind": "oci", "url": "http://127.0.0.1:1"},
            "router": {"kind": "haproxy", "folder": here},
            "store": {"kind": "folder", "folder": here},
            "secrets": {"folder": here},
            "notices": {"kind": "folder", "folder": here},
        }
    )


@cache
def catalog(shape: Shape) -> Catalog:
    rollout = {"strategy": shape.strategy, "bake": shape.bake, "patience": 20}
    environments = {
        "dev": Environment.model_validate({"name": "dev", "rollout": {"strategy": "blue-green", "evidence": "checks"}}),
        "production": Environment.model_validate(
            {"name": "production", "after": "dev", "replicas": shape.replicas, "rollout": rollout}
        ),
    }
    people = People(people=(Person(name="dora", email="dora@example.org", roles=("developer",)),))
    return Catalog(
        services={name: _service(name, shape.schema and name == "shop") for name in shape.services},
        environments=environments,
        people=people,
    )


def _service(name: str, schema: bool) -> Service:
    first = {"shop": 18080, "cart": 18090}[name]
    places = {
        environment: {"port": first + place} | ({"database": f"secret://env/{environment.upper()}"} if schema else {})
        for place, environment in enumerate(ENVIRONMENTS)
    }
    return Service.model_validate(
        {
            "name": name,
            "owner": "shop-team",
            "source": {"repository": name},
            "schema": {"migrations": "db"} if schema else None,
            "runtime": {"ready_within": 2, "logs_within": 1, "drain": 0},
            "criteria": {"error_floor": 0.005, "harm_budget": 0.005},
            "success": [{"name": "availability", "measure": "success_ratio", "at_least": 0.99}],
            "checks": {
                "unit": {"kind": "command", "command": ["unit-tests"]},
                "smoke": {"kind": "http", "steps": [{"path": "/", "contains": "ok"}]},
            },
            "environments": places,
        }
    )
