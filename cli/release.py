"""`interlock release`: start a release, and follow it."""

from typing import Annotated

import typer

from adapters.connect import House, connect, open_house
from cli import options, runs, show
from cli.find import oneself, story_of
from cli.follow import follow, opened_by
from domain.environment.topology import path_to
from domain.errors import Invalid, Refused
from domain.release.recall import phase_of
from domain.release.state import OVER

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock release shop --ref v1.1.0 --reason 'order notes'`")
def release(
    service: options.Service,
    ref: options.Ref = "main",
    to: options.To = "production",
    requester: options.Requester = "",
    reason: options.Reason = "",
    wait: options.Wait = True,
    resume: Annotated[str, typer.Option(help="Go on with this interrupted release instead.", show_default=False)] = "",
) -> None:
    """Bring a commit to its last environment, and follow it there.

    The release runs in Prefect, not in this terminal: Ctrl-C only stops following. Exits 0 when it is released or waits
    for approval, 1 when it failed and was put back, 3 when a policy or a person refused.
    """
    house = open_house()
    desk = connect(service, house)
    path_to(to, house.environments)
    person = oneself(requester, house.people)
    if resume:
        _insist_unfinished(house, service, resume)
    else:
        desk.ports.source.resolve(ref)
    parameters = {"service": service, "ref": ref, "to": to, "requester": person.name, "reason": reason}
    started = runs.start("release/interlock", {**parameters, "resume": resume}, house.settings.prefect)
    show.say(f"run {started.url}")
    if wait:
        after = max((entry.seq for entry in house.journal.entries(release=resume)), default=0) if resume else 0
        follow(house, started, lambda: resume or opened_by(house, service, started.id), after)


def _insist_unfinished(house: House, service: str, release: str) -> None:
    """Refuse early what the flow would refuse: an unknown release, another service's, or one that is over."""
    entries = story_of(house.journal, release)
    if entries[0].service != service:
        raise Invalid(f"{release} is a release of {entries[0].service}", f"interlock release {entries[0].service} …")
    if (phase := phase_of(entries)) in OVER:
        raise Refused(f"{release} is {phase}", "start a new release")
