"""Look at an environment from outside: what runs, where traffic goes, which schema is there."""

from domain.environment.drift import Seen
from domain.ports import Ports
from tasks.step import look


@look
def observe(service: str, environment: str, ports: Ports) -> Seen:
    """Ask engine, router and database; raises Unavailable when one of them does not answer."""
    database = ports.databases.get(environment)
    return Seen(
        replicas=ports.workload.running(service, environment),
        route=ports.router.observe(f"{service}-{environment}"),
        fingerprint=database.fingerprint() if database else None,
        migrations=tuple(row.number for row in database.applied()) if database else None,
    )
