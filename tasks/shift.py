"""Move traffic: one wanted route, rendered, commanded and confirmed by the router."""

from domain.ports import Router
from domain.release.outcomes import Routed
from domain.release.route import Route
from tasks.step import Warrant, step


def already_so(warrant: Warrant, route: Route, router: Router) -> Routed | None:
    """Ask the router whether it does this already."""
    return Routed(route=route) if router.observe(route.name) == route else None


@step(Routed, observe=already_so, timeout=300)
def attach(warrant: Warrant, route: Route, router: Router) -> Routed:
    """Introduce replicas to the router without giving them traffic (unless nothing else serves)."""
    router.apply(route, warrant.token)
    return Routed(route=route)


@step(Routed, observe=already_so, timeout=300)
def shift(warrant: Warrant, route: Route, router: Router) -> Routed:
    """Move a share of the traffic; the share is confirmed from what the router reports."""
    router.apply(route, warrant.token)
    return Routed(route=route)
