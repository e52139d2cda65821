"""What answers a failure answers only where it holds something."""

import pytest

from domain.errors import Conflict
from domain.facts import Entered, Opened
from domain.lease import carrier_of
from domain.release.plan import Request
from flows.way_back import way_back_set
from tasks.step import Warrant
from tests.flows.conftest import World

RELEASE = "shop-v1.0.0-abc123"


def test_a_run_that_lost_its_environment_and_not_its_release_leaves_the_undo_to_the_sweep(world: World) -> None:
    """Found by the campaign (hole-ledger@release:after-intended-shift): the undo was begun in no environment at all."""
    desk = world.desk
    carrier = desk.leases.take("shop", carrier_of(RELEASE), f"{RELEASE}/run 1/x", "run 1", 15.0)
    warrant = Warrant(desk.journal, desk.leases, RELEASE, "shop", "dev", carrier=carrier)
    request = Request(service="shop", ref="v1.0.0", environments=("dev",), requester="dev")
    warrant.note(Opened(request=request, run="1"), "")
    for phase in ("planned", "built", "deploying"):
        warrant.note(Entered(phase=phase), "dev")
    before = desk.journal.entries()
    assert not warrant.lost()
    with pytest.raises(Conflict, match="the lease of dev is over"), way_back_set(warrant, desk):
        raise Conflict("the lease of dev is over")
    assert desk.journal.entries() == before
