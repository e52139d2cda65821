"""Move traffic: one wanted route, rendered, commanded and confirmed by the router."""

from domain.errors import Refused
from domain.ports import Router
from domain.release.outcomes import Routed
from domain.release.queue import KINDS, superseded_by
from domain.release.route import Route
from tasks.step import Warrant, step


def already_so(warrant: Warrant, route: Route, router: Router) -> Routed | None:
    """Ask the router whether it does this already."""
    return Routed(route=route) if router.observe(route.name) == route else None


@step(Routed, observe=already_so, timeout=300)
def attach(warrant: Warrant, route: Route, router: Router) -> Routed:
    """Introduce replicas to the router without giving them traffic (unless nothing else serves).

    Raises Refused when a newer release took this one's place before its intent to do so was in the journal.
    """
    if by := superseded_by(
        warrant.journal.entries(release=warrant.release, kinds=KINDS), warrant.environment, warrant.release
    ):
        raise Refused(f"{warrant.release} is superseded by {by}", f"see `interlock explain {by}`")
    router.apply(route, warrant.token)
    return Routed(route=route)


@step(Routed, observe=already_so, timeout=300)
def shift(warrant: Warrant, route: Route, router: Router) -> Routed:
    """Move a share of the traffic; the share is confirmed from what the router reports."""
    router.apply(route, warrant.token)
    return Routed(route=route)
