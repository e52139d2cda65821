"""Whatever happened: no backup that a way back, an unfinished release or a person needs is ever let go."""

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.facts import BackupFreed, BackupHeld, BackupLetGo, Entered, Phase
from domain.release.retention import Keep, Shelved, shelves
from domain.release.state import NEXT
from tests.domain.test_retention import DAY, House

PLACES = st.sampled_from(["dev", "production"])
NAMES = st.sampled_from([f"r{number}" for number in range(6)])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), NAMES, PLACES, st.integers(0, 9)),
        st.tuples(st.just("serve"), NAMES, PLACES, st.integers(0, 9)),
        st.tuples(st.just("migrate"), NAMES, PLACES, st.integers(0, 9)),
    ),
    max_size=40,
)
Shelf = dict[tuple[str, str, int], tuple[str, float, bool, tuple[str, ...]]]
HANDS = st.sampled_from([(), (), ("hold",), ("hold", "free"), ("hold", "free", "hold")])
SHELF = st.dictionaries(
    st.tuples(PLACES, NAMES, st.integers(0, 1)),
    st.tuples(st.sampled_from(["both", "both", "both", "json", "dump"]), st.floats(-5, 120), st.booleans(), HANDS),
    max_size=24,
)


class History(House):
    """A history written down twice: as facts for the decision, and as what is true for the test."""

    def __init__(self, events: list[tuple[str, str, str, int]]) -> None:
        super().__init__()
        self.phases: dict[str, Phase] = {}
        self.serves: dict[str, list[str]] = {"dev": [], "production": []}
        self.migrated: dict[str, str] = {}
        self.held: set[str] = set()
        for release in ("r0", "r1", "r2", "r3"):  # these were over once; a rollback may take them up again
            self.step(release, "dev", 0)
        for what, release, environment, number in events:
            getattr(self, what)(release, environment, number)

    def step(self, release: str, environment: str, number: int) -> None:
        ways = sorted(NEXT[self.phases[release]]) if release in self.phases else ["aborted", "planned"]
        self.phases[release] = ways[number % len(ways)]  # type: ignore[assignment]  # phases, all of them
        self.write(Entered(phase=self.phases[release]), release, environment)

    def serve(self, release: str, environment: str = "dev", way: object = 0) -> None:
        super().serve(release, environment)
        self.serves[environment].append(release)

    def migrate(self, release: str, environment: str = "dev", _: int = 0) -> None:
        super().migrate(release, environment)
        self.migrated[environment] = release

    def hold(self, key: str, release: str, environment: str) -> None:
        self.write(BackupHeld(key=key, reason="a reason"), release, environment)
        self.held.add(key)

    def free(self, key: str, release: str, environment: str) -> None:
        self.write(BackupFreed(key=key, reason="a reason"), release, environment)
        self.held.discard(key)

    def shelve(self, shelf: Shelf) -> None:
        for (environment, release, number), (parts, days, told, hands) in shelf.items():
            name = self.back_up(release, days, environment, number)
            if not told:
                self.entries.pop()  # its process died before it could say so
            for ending in {"json": (".dump.zst",), "dump": (".json",), "both": ()}[parts]:
                del self.ages[name + ending]
            for what in hands:
                getattr(self, what)(name, release, environment)

    def needed(self, it: Shelved) -> bool:
        """Tell from what is true whether a way back or a person needs a backup."""
        served = self.serves[it.environment]
        before = [release for release in served if release != served[-1]]
        ways_back = {*served[-1:], *before[-1:], self.migrated.get(it.environment)}
        finished = self.phases.get(it.release) in ("released", "rolled back", "aborted")
        return it.release in ways_back or not finished or it.key in self.held


@settings(deadline=None, max_examples=400)
@given(events=EVENTS, shelf=SHELF, least=st.integers(1, 4), days=st.floats(0.5, 60))
def test_no_history_loses_what_a_way_back_a_release_or_a_person_needs(
    events: list[tuple[str, str, str, int]],
    shelf: Shelf,
    least: int,
    days: float,
) -> None:
    history, keep = History(events), Keep(backups=days * DAY, least=least)
    history.shelve(shelf)
    gone = [it.backup for it in history.rule(keep).values() if not it.keep]
    whole = [it for it in shelves(history.ages) if len(it.objects) == 2 and it.age >= 0]
    for it in gone:
        assert not history.needed(it)
        assert it.age >= min(days * DAY, DAY)
        assert len(it.objects) < 2 or it.age >= days * DAY
        younger = [other for other in whole if other.environment == it.environment and other.age <= it.age + 1]
        left = [other for other in younger if other not in gone]
        assert len(it.objects) < 2 or len(left) >= least
    for it in gone:  # and once they are gone, nothing more goes
        for key in it.objects:
            del history.ages[key]
    assert history.goes(keep) == set()


@settings(deadline=None, max_examples=100)
@given(events=EVENTS, shelf=SHELF)
def test_a_removal_that_broke_off_is_finished_or_kept_and_never_looks_whole(
    events: list[tuple[str, str, str, int]],
    shelf: Shelf,
) -> None:
    history = History(events)
    history.shelve(shelf)
    gone = [it.backup for it in history.rule().values() if not it.keep and it.backup.whole]
    for it in gone:
        history.write(BackupLetGo(key=it.key, objects=it.objects, reason="old"), it.release, it.environment)
        del history.ages[it.objects[0]]
    assert {it.key for it in gone} <= history.goes()
    assert not any(it.whole for it in shelves(history.ages) if it.key in {other.key for other in gone})
