"""Bring replicas up from their digest and wait until they answer and their logs arrive."""

from domain.errors import Conflict, Rejected, Unavailable
from domain.ports import Clock, Ports, Probe, Workload
from domain.release.artifact import Deployment, Replica
from domain.release.outcomes import Deployed
from tasks.step import Warrant, step


def already_up(warrant: Warrant, deployment: Deployment, ports: Ports) -> Deployed | None:
    """Find every replica of the deployment up and ready: this release, these bytes, this configuration."""
    here = ports.workload.running(deployment.service, deployment.environment)
    replicas = tuple(replica for replica in here if replica.slot == deployment.slot)
    wanted = (True, deployment.release, deployment.artifact.image, deployment.config_digest)
    right = all((r.running, r.release, r.image, r.config_digest) == wanted for r in replicas)
    if not right or len(replicas) != deployment.replicas:
        return None
    health = deployment.runtime.health
    ready = all(_answer(replica, health, ports.probe)[0] and ports.workload.logged(replica) for replica in replicas)
    return Deployed(deployment=deployment, replicas=replicas) if ready else None


@step(Deployed, observe=already_up)
def deploy(warrant: Warrant, deployment: Deployment, ports: Ports) -> Deployed:
    """Start the deployment's replicas in their slot; returns when every one is ready.

    Raises Rejected when a replica never becomes ready or never logs, Conflict when it runs other bytes.
    """
    replicas = ports.workload.start(deployment.model_copy(update={"token": warrant.token}))
    wanted = deployment.artifact.image
    if wrong := [replica.name for replica in replicas if replica.image != wanted]:
        raise Conflict(f"{', '.join(wrong)} do not run {wanted[:19]}", "remove them and deploy again")
    for replica in replicas:
        _await_ready(replica, deployment, ports.probe, ports.clock)
        _await_logs(replica, deployment, ports.workload, ports.clock)
    return Deployed(deployment=deployment, replicas=replicas)


def _await_ready(replica: Replica, deployment: Deployment, probe: Probe, clock: Clock) -> None:
    runtime = deployment.runtime
    give_up = clock.now() + runtime.ready_within
    while True:
        ready, said = _answer(replica, runtime.health, probe)
        if ready:
            return
        if clock.now() >= give_up:
            raise Rejected(
                f"{replica.name} ({deployment.version}) not ready after {runtime.ready_within:.0f} s: {said}",
                f"look at its log, or raise runtime.ready_within in services/{deployment.service}.yaml",
            )
        clock.sleep(0.1)


def _answer(replica: Replica, health: str, probe: Probe) -> tuple[bool, str]:
    """Ask once whether a replica is ready, and give its answer."""
    url = f"http://{replica.address}:{replica.port}{health}"
    try:
        status, body = probe.request("GET", url, None, timeout=2.0)
    except Unavailable as error:
        return False, f"{url}: {error.message}"
    return status == 200, f"{url}: {status} {body[:120]}"


def _await_logs(replica: Replica, deployment: Deployment, workload: Workload, clock: Clock) -> None:
    within = deployment.runtime.logs_within
    give_up = clock.now() + within
    while not workload.logged(replica):
        if clock.now() >= give_up:
            raise Rejected(
                f"{replica.name} ({deployment.version}) answers but no log line arrived within {within:.0f} s",
                "a service must log at start; check that it writes to stdout",
            )
        clock.sleep(0.1)
