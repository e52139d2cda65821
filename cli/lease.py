"""`interlock lease`: who holds an environment, and how to free a dead one."""

from typing import Annotated

import typer

from adapters.connect import House, open_house
from cli import options, show
from cli.find import oneself
from domain.lease import Lease

app = typer.Typer(add_completion=False, help="See who holds an environment, and free a dead one.", no_args_is_help=True)


@app.command("list", epilog="Example: `interlock lease list`")
def list_(json: options.Json = False) -> None:
    """Show who may change what just now."""
    held = held_leases(open_house())
    if json:
        show.data(held)
    else:
        table(held)


def held_leases(house: House, service: str = "") -> list[Lease]:
    """Find every lease that is held, or was and has expired."""
    services = [house.catalog.service(service)] if service else house.catalog.services.values()
    places = [(spec.name, environment) for spec in services for environment in spec.environments]
    return [lease for place in places if (lease := house.leases.holder(*place))]


def table(held: list[Lease]) -> None:
    """Print leases."""
    rows = [(f"{it.service} · {it.environment}", it.owner, it.reason, _left(it), str(it.token)) for it in held]
    show.table("leases", ("", "held by", "reason", "left", "token"), rows, "leases: none, every environment is free")


@app.command("take-over", epilog="Example: `interlock lease take-over shop production --reason 'its run was killed'`")
def take_over(
    service: options.Service,
    environment: Annotated[
        str, typer.Argument(metavar="ENVIRONMENT", help="The environment that is held.", show_default=False)
    ],
    reason: options.Reason,
    myself: options.Myself = "",
    yes: options.Yes = False,
) -> None:
    """Free an environment whose holder is dead.

    Takes the lease and gives it back at once; both are recorded under your name. If the holder lives after all,
    whatever it writes from now on is refused.
    """
    house = open_house()
    house.catalog.service(service)
    house.catalog.environment(environment)
    person = oneself(myself, house.people)
    held = house.leases.holder(service, environment)
    if held is None:
        show.say(f"{service} in {environment} is free; nothing to do")
        return
    show.say(f"{service} in {environment}: held by {held.owner} ({held.reason}), {_left(held)}")
    if held.expires_in > 0 and not yes:
        typer.confirm(f"{held.owner} may still be at work. Take over?", abort=True)
    taken = house.leases.take(service, environment, person.name, reason, house.settings.lease.ttl, force=True)
    house.leases.give_back(taken)
    show.say(
        f"{service} in {environment} is free: {person.name} took over from {held.owner}, token {taken.token}", "green"
    )


def _left(lease: Lease) -> str:
    if lease.expires_in < 0:
        return f"expired {-lease.expires_in:.0f} s ago"
    return f"{lease.expires_in:.0f} s left"
