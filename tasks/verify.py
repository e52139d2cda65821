"""Look at the world after an undo; success is never reported unseen."""

from domain.errors import Conflict
from domain.ports import Ports
from domain.release.outcomes import Verified
from domain.release.route import Route, Slot
from tasks.step import Warrant, step


@step(Verified)
def verify(
    warrant: Warrant,
    version: str,
    image: str | None,
    slot: Slot | None,
    route: Route | None,
    fingerprint: str | None,
    ports: Ports,
) -> Verified:
    """Confirm from the outside who serves and on which schema.

    `image` and `slot` are None when nothing may serve. Raises Conflict naming every plane that is not as it must be.
    """
    wrong = []
    seen = ports.router.observe(route.name) if route else None
    if slot and route and (seen is None or seen.share(slot) != 10_000):
        wrong.append(f"traffic: slot {slot} does not have all of it")
    running = [r for r in ports.workload.running(warrant.service, warrant.environment) if r.running]
    if stray := [r.name for r in running if r.slot != slot]:
        wrong.append(f"code: still running: {', '.join(stray)}")
    if slot and not running:
        wrong.append("code: nothing runs")
    if foreign := [r.name for r in running if r.slot == slot and r.image != image]:
        wrong.append(f"code: {', '.join(foreign)} do not run {str(image)[:19]}")
    database = ports.databases.get(warrant.environment)
    schema = database.fingerprint() if database else None
    if fingerprint and schema != fingerprint:
        wrong.append(f"data: schema {str(schema)[:12]}, expected {fingerprint[:12]}")
    if wrong:
        raise Conflict(f"{warrant.environment} is not back: " + "; ".join(wrong), "see `interlock status`, then repair")
    return Verified(serving=version, fingerprint=schema)
