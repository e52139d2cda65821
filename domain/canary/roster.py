"""Who is who on a route: what measurements call an arm or a replica, and what we call it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from domain.canary.tick import Arm
from domain.release.artifact import Replica
from domain.release.route import Route, Slot

Place = tuple[Arm, str]


class Roster:
    """Knows an arm by its slot, its part in the canary, its version or its release, as far as these tell arms apart.

    A replica is known by its name, address, address:port, or container id, whole or short. Replicas that run and are
    not on the route are nobody's.
    """

    def __init__(self, route: Route, candidate: Slot, running: Iterable[Replica] = ()) -> None:
        arms: dict[str, set[Arm]] = defaultdict(set)
        places: dict[str, set[Place]] = defaultdict(set)
        containers = {replica.name: replica for replica in running}
        self._about: dict[Arm, dict[str, str]] = {}
        for slot in ("blue", "green"):
            arm = route.arm(slot, candidate)
            ours = [containers[end.name] for end in route.endpoints(slot) if end.name in containers]
            self._about[arm] = {"slot": slot, **_alike(ours)}
            for word in (slot, arm, "canary" if arm == "candidate" else "baseline"):
                arms[word].add(arm)
            for endpoint in route.endpoints(slot):
                address = endpoint.address
                for word in (endpoint.name, address, f"{address}:{endpoint.port}"):
                    places[word].add((arm, endpoint.name))
                if replica := containers.get(endpoint.name):
                    for word in (replica.version, replica.release):
                        arms[word].add(arm)
                    for word in (replica.id, replica.id[:12]):
                        places[word].add((arm, endpoint.name))
        self._arms = {word: meant.pop() for word, meant in arms.items() if len(meant) == 1}
        self._places = {word: meant.pop() for word, meant in places.items() if len(meant) == 1}

    @property
    def places(self) -> tuple[Place, ...]:
        """List who is on the route."""
        return tuple(sorted(set(self._places.values())))

    def about(self, arm: Arm) -> Mapping[str, str]:
        """Tell an arm's slot and, as far as its replicas agree, version and release."""
        return self._about[arm]

    def arm(self, said: str) -> Arm | None:
        """Tell which arm a word means; None when it means none, or both."""
        return self._arms.get(said)

    def place(self, arm: str | None, replica: str | None) -> Place | None:
        """Tell whose a measurement is by what it says of itself; None when it is nobody's, or contradicts itself.

        A replica that is not on the route keeps its own name when the arm is clear.
        """
        known = self._places.get(replica or "")
        if arm is None:
            return known
        meant = self.arm(arm)
        if known and meant == known[0]:
            return known
        return (meant, replica or "") if meant and not known else None


def _alike(replicas: Sequence[Replica]) -> dict[str, str]:
    said = {"version": {r.version for r in replicas}, "release": {r.release for r in replicas}}
    return {what: words.pop() for what, words in said.items() if len(words) == 1}
