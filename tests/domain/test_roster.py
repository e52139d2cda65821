"""Whose a measurement is, and whether a source and the router saw the same."""

import pytest

from domain.canary.roster import Roster
from domain.canary.tally import Tally
from domain.canary.tick import Arm, Cell, Tick
from domain.release.artifact import Replica
from domain.release.route import Endpoint, Route


def running(name: str, version: str) -> Replica:
    return Replica.model_validate(
        {"id": f"{name}{'0' * 60}", "name": name, "address": "10.0.0.9", "port": 8080, "image": f"sha256:{'0' * 64}"}
        | {"service": "shop", "environment": "test", "release": f"r-{version}", "version": version}
        | {"slot": "blue" if name == "old-0" else "green", "token": 1}
    )


@pytest.mark.parametrize(
    ("arm", "replica", "place"),
    [
        ("green", None, ("candidate", "")),
        ("baseline", "web-7", ("stable", "web-7")),
        ("2.0", "10.0.0.2:8080", ("candidate", "new-0")),
        ("r-1.0", None, ("stable", "")),
        (None, "10.0.0.1", ("stable", "old-0")),
        (None, "new-000000000", None),
        (None, "new-00000000"[:12], ("candidate", "new-0")),
        ("blue", "new-0", None),
        ("purple", "new-0", None),
        (None, None, None),
    ],
)
def test_a_measurement_goes_to_the_arm_and_replica_it_names(
    arm: str | None, replica: str | None, place: tuple[str, str] | None
) -> None:
    old, new = (Endpoint(name=f"{age}-0", address=f"10.0.0.{i}", port=8080) for i, age in ((1, "old"), (2, "new")))
    route = Route(name="shop-test", port=8080, blue=(old,), green=(new,))
    known = Roster(route, "green", [running("old-0", "1.0"), running("new-0", "2.0"), running("gone-0", "0.9")])
    assert known.place(arm, replica) == place
    same = Roster(route, "green", [running("old-0", "1.0"), running("new-0", "1.0")])
    assert same.arm("1.0") is None


def test_an_arm_is_told_by_what_its_replicas_agree_on() -> None:
    old, new = (Endpoint(name=f"{age}-0", address=f"10.0.0.{i}", port=8080) for i, age in ((1, "old"), (2, "new")))
    route = Route(name="shop-test", port=8080, blue=(old,), green=(new,))
    known = Roster(route, "blue", [running("new-0", "2.0")])
    assert known.about("stable") == {"slot": "green", "version": "2.0", "release": "r-2.0"}
    assert known.about("candidate") == {"slot": "blue"}


def counted(requests: int, arm: Arm = "candidate") -> Tick:
    return Tick(second=0, cells=(Cell(arm=arm, replica="", requests=requests, bad=0),))


def test_a_source_that_lags_as_far_as_it_may_is_not_accused() -> None:
    tally, seconds = Tally(lag=10), [100] * 100
    assert [tally.note(counted(own), counted(100)) for own in ([0] * 10 + seconds)[:100]] == [""] * 100


def test_a_source_that_counts_too_little_is() -> None:
    tally = Tally(lag=10)
    said = [tally.note(counted(50), counted(100)) for _ in range(40)]
    assert said[:10] == [""] * 10
    assert said[-1] == "the source counts 2000 candidate requests, the router 3000"


def test_a_source_that_counts_twice_is() -> None:
    tally = Tally(lag=5)
    said = [tally.note(counted(200, "stable"), counted(100, "stable")) for _ in range(40)]
    assert said[:20] == [""] * 20
    assert said[-1] == "the source counts 8000 stable requests, the router 4000"
