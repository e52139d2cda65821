"""An owner of a route who was stopped in the middle of it, and wakes up too late: a real HAProxy, a real SIGSTOP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from adapters import haproxy_lock
from adapters.haproxy import HAProxy
from adapters.haproxy_folder import Folder
from bench.traffic import Call, Load
from deployments.embedded import haproxy
from domain.errors import Conflict
from domain.release.route import Route
from tests.adapters.replica import Replica, free_port
from tests.adapters.test_router import soon
from tests.adapters.zombie import Zombie

MIX = [Call("read", weight=3), Call("write", "POST", body='{"n": {n}}')]
_numbers = count(1)


class Scene:
    """A route that an old owner (token 5) was about to give to v2, and that a newer one (token 7) keeps with v1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.router = HAProxy(folder, drain=2, ready=10)
        self.old, self.new = Replica("old", "v1"), Replica("new", "v2")
        self.before = Route(name=f"fenced-{next(_numbers)}", port=free_port(), blue=(self.old.endpoint,))
        self.forward = self.before.holding("blue", ()).holding("green", (self.new.endpoint,)).giving("green", 10_000)
        self.router.apply(self.before, 3)

    def zombie(self, place: str) -> Zombie:
        """Let the old owner come as far as this place."""
        forward = self.forward.model_copy(update={"health": "/"}) if place == "reload" else self.forward
        place = place.replace("ROUTE", self.before.name)
        return Zombie("move", place, 5, str(self.folder), forward.model_dump_json())

    @property
    def claimed(self) -> bool:
        """Tell whether the newer owner has claimed the route."""
        return (self.folder / "routes" / f"{self.before.name}@7.json").exists()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hap")
    child = haproxy.start(folder)
    yield folder
    haproxy.stop(child)


@pytest.fixture
def scene(running: Path) -> Iterator[Scene]:
    scene = Scene(running)
    yield scene
    scene.old.stop()
    scene.new.stop()


COMMANDS = ["add server", "set map", "state maint", "reload"]
FILES = ["routes/ROUTE@5.json", "haproxy.cfg"]


@pytest.mark.real
@pytest.mark.parametrize("place", [*COMMANDS, *FILES])
def test_a_newer_owner_gets_through_and_the_one_who_wakes_up_changes_nothing(scene: Scene, place: str) -> None:
    with Load(scene.before.port, rate=100, mix=MIX) as load:
        zombie = scene.zombie(place)
        scene.router.apply(scene.before, 7)
        rendered = (scene.folder / "haproxy.cfg").read_text()
        assert zombie.wake().startswith(f"Conflict route {scene.before.name} was last moved by a newer owner, token 7")
        assert scene.router.observe(scene.before.name) == scene.before
        assert (scene.folder / "haproxy.cfg").read_text() == rendered
    report = load.stop()
    assert report.sent > 50
    assert (report.failed, report.client_retries) == (0, 0), report


@pytest.mark.real
@pytest.mark.parametrize("place", ["add server", "set map", "state maint"])
def test_one_who_wakes_up_at_once_is_done_before_the_newer_owner_begins(scene: Scene, place: str) -> None:
    with Load(scene.before.port, rate=100, mix=MIX) as load, ThreadPoolExecutor(1) as pool:
        zombie = scene.zombie(place)
        newer = pool.submit(scene.router.apply, scene.before, 7)
        soon(lambda: scene.claimed)
        assert zombie.wake().startswith("Conflict")
        newer.result()
        assert scene.router.observe(scene.before.name) == scene.before
    report = load.stop()
    assert (report.failed, report.client_retries) == (0, 0), report


@pytest.mark.real
def test_another_route_need_not_wait_for_the_whole_nap(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haproxy_lock, "_OVERDUE", 1.0)
    zombie = scene.zombie("set map")
    other = scene.before.model_copy(update={"name": "next-door", "port": free_port()})
    scene.router.apply(other, 1)
    assert zombie.wake().startswith("Unavailable")  # still the owner: it may try again
    assert scene.router.observe(other.name) == other
    scene.router.apply(scene.forward, 5)
    assert scene.router.observe(scene.forward.name) == scene.forward
    scene.router.forget(other.name, 1)


# the folder alone


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, "127.0.0.1")


SHOP = Route(name="shop", port=8080)


def test_what_an_older_owner_writes_does_not_count(folder: Folder) -> None:
    folder.claim("shop", 5)
    folder.record("shop", 5, SHOP.giving("green", 100))
    folder.claim("shop", 7)
    assert folder.wish("shop") == SHOP.giving("green", 100)
    folder.record("shop", 7, SHOP.giving("green", 700))
    folder.record("shop", 5, SHOP.giving("green", 500))
    assert folder.wish("shop") == SHOP.giving("green", 700)
    assert folder.split.read_text() == "shop 700\n"


def test_a_wish_from_before_tokens_counts_as_token_0_until_somebody_claims_the_route(folder: Folder) -> None:
    (folder.root / "routes" / "shop.json").write_text(SHOP.model_dump_json())
    folder.insist("shop", 0)
    folder.claim("shop", 1)
    assert folder.wish("shop") == SHOP
    with pytest.raises(Conflict, match="token 1; mine is 0"):
        folder.claim("shop", 0)


def test_wishes_do_not_pile_up(folder: Folder) -> None:
    for token in range(1, 9):
        folder.claim("shop", token)
        folder.record("shop", token, SHOP)
        with folder.turn("shop", token, patience=1):
            folder.outlast("shop", token)
    assert sorted(path.name for path in (folder.root / "routes").iterdir()) == ["shop@7.json", "shop@8.json"]
    assert len(list((folder.root / "locks").iterdir())) == 1


def test_a_withdrawn_route_remembers_its_newest_owner(folder: Folder) -> None:
    folder.claim("shop", 7)
    folder.record("shop", 7, None)
    assert folder.wish("shop") is None
    with pytest.raises(Conflict):
        folder.claim("shop", 6)


def test_a_rendering_that_was_overtaken_is_made_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another wish is filed while this one's rendering is on its way into the file."""
    replace, other = Path.replace, SHOP.model_copy(update={"name": "other", "port": 9090})
    folder.claim("shop", 1)
    folder.claim("other", 1)

    def late(path: Path, target: Path) -> Path:
        if target.name == "haproxy.cfg" and not folder.wish("other"):
            (folder.root / "routes" / "other@1.json").write_text(other.model_dump_json())
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", late)
    folder.record("shop", 1, SHOP)
    assert "frontend other" in (folder.root / "haproxy.cfg").read_text()
