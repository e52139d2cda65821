"""Run a declared check and keep its log as evidence; what was not measured has not passed."""

from domain.canonical import sha256
from domain.errors import Rejected, Unavailable
from domain.ports import Clock, Ports, Probe, Workload
from domain.release.artifact import Deployment, Replica
from domain.release.outcomes import Checked
from domain.release.service import CommandCheck, HttpStep, JourneyCheck
from tasks.step import Warrant, step

_PASSED, _FAILED = "-passed.log", "-failed.log"


def already_passed(
    warrant: Warrant,
    name: str,
    asked: CommandCheck | JourneyCheck,
    deployment: Deployment,
    replicas: tuple[Replica, ...],
    ports: Ports,
) -> Checked | None:
    """Find the evidence of an interrupted run that this very check passed, against these very replicas."""
    stem = _stem(warrant, name, deployment.environment, asked, deployment, replicas)
    passed = [key for key in ports.store.keys(stem) if key.endswith(_PASSED)]
    return Checked(check=name, evidence=passed[-1]) if passed else None


@step(Checked, observe=already_passed, timeout=1800)
def check(
    warrant: Warrant,
    name: str,
    asked: CommandCheck | JourneyCheck,
    deployment: Deployment,
    replicas: tuple[Replica, ...],
    ports: Ports,
) -> Checked:
    """Run one check against a deployment (a command once, a journey on every replica).

    Raises Rejected naming the check, the step and what came back, with the key of its log.
    """
    if isinstance(asked, CommandCheck):
        token = warrant.token if warrant.lease else 0  # a check of the build happens in no environment
        log, problem = _command(asked, deployment.model_copy(update={"token": token}), ports.workload)
    else:
        log, problem = _journeys(asked, replicas, ports.probe, ports.clock)
    where = deployment.environment
    stem = _stem(warrant, name, where, asked, deployment, replicas)
    earlier = len(list(ports.store.keys(stem)))  # a check may run again; its log never replaces one
    key = f"{stem}{earlier + 1}{_FAILED if problem else _PASSED}"
    ports.store.put(key, [log.encode()])
    if problem:
        raise Rejected(f"check {name} in {where}: {problem}", f"the whole log is in the store under {key}")
    return Checked(check=name, evidence=key)


def _stem(warrant: Warrant, name: str, where: str, *about: object) -> str:
    """Name the evidence by what was checked against what: the same check of another candidate is another one."""
    return f"evidence/{warrant.release}/{where}/{name}-{sha256(about)[:12]}-"


def _command(asked: CommandCheck, deployment: Deployment, workload: Workload) -> tuple[str, str | None]:
    result = workload.run(deployment, asked.command, asked.timeout)
    if result.exit_code != 0:
        tail = "\n".join(result.output.splitlines()[-8:])
        return result.output, f"`{' '.join(asked.command)}` ended with exit code {result.exit_code}\n{tail}"
    if not result.output.strip():
        return result.output, f"`{' '.join(asked.command)}` printed nothing: an empty result is not a pass"
    return result.output, None


def _journeys(asked: JourneyCheck, replicas: tuple[Replica, ...], probe: Probe, clock: Clock) -> tuple[str, str | None]:
    if not replicas:
        return "", "no replica to ask: an empty result is not a pass"
    lines: list[str] = []
    for replica in replicas:
        for number, request in enumerate(asked.steps, start=1):
            said, problem = _request(request, replica, probe, clock)
            lines.append(f"{replica.name} step {number} {request.method} {request.path}: {said}")
            if problem:
                return "\n".join(lines), f"step {number} ({request.method} {request.path}) on {replica.name}: {problem}"
    return "\n".join(lines), None


def _request(request: HttpStep, replica: Replica, probe: Probe, clock: Clock) -> tuple[str, str | None]:
    url = f"http://{replica.address}:{replica.port}{request.path}"
    began = clock.now()
    try:
        status, body = probe.request(request.method, url, request.body, request.within)
    except Unavailable as error:
        return error.message, error.message
    took = clock.now() - began
    said = f"{status} in {took * 1000:.0f} ms, {len(body)} characters"
    if status != request.status:
        return said, f"answered {status}, expected {request.status}: {body[:200]}"
    if request.contains is not None and request.contains not in body:
        return said, f"the answer does not contain {request.contains!r}"
    if took > request.within:
        return said, f"took {took:.2f} s, allowed {request.within:.2f} s"
    return said, None
