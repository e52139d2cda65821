"""A service that brings its own migration tool: its image goes up, on a copy first, and old images are asked there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from domain.errors import Rejected, Unavailable
from domain.release.artifact import CommandResult, Deployment
from domain.release.recall import proofs_of
from domain.schema.told import markdown
from domain.schema.tool import ToolSpec
from flows.drill import drill
from flows.release import release

if TYPE_CHECKING:
    from conftest import World

TOOL = ToolSpec(up=("tool", "up"), smoke=("tool", "smoke"), status=("tool", "status"), watch=("wanted",))
COPY = "secret://env/DEV?database=a copy in memory"
HERE = "secret://env/DEV"


@dataclass
class Images:
    """What every image's tool does: it says yes, unless `fails` tells for a version and a command."""

    ran: list[tuple[str, str, str]] = field(default_factory=list)
    says: str = "at r1\n"
    fails: Callable[[str, str], bool] = lambda version, command: False

    def run(self, deployment: Deployment, command: Sequence[str], timeout: float) -> CommandResult:
        assert timeout > 0
        words, version = " ".join(command), deployment.version
        if words.startswith("tool"):
            self.ran.append((version, words, deployment.config["DATABASE_URL"]))
        code = int(self.fails(version, words))
        return CommandResult(exit_code=code, output="column is missing\n" if code else self.says)

    def take(self) -> list[tuple[str, str, str]]:
        done, self.ran = self.ran, []
        return done


@pytest.fixture
def images(world: "World", monkeypatch: pytest.MonkeyPatch) -> Images:
    """The shop of the other stories, migrated by its own tool."""
    spec, images = world.desk.service, Images()
    assert spec.schema_
    schema = spec.schema_.model_copy(update={"tool": TOOL})
    desk = replace(world.desk, service=spec.model_copy(update={"schema_": schema}))
    for flow in ("release", "rollback", "recover", "drill"):
        monkeypatch.setattr(f"flows.{flow}.connect", lambda name, house=None: desk)
    monkeypatch.setattr(world.workload, "run", images.run)
    return images


def go(ref: str) -> str:
    return release.fn("shop", ref, "dev", "dora", "a test")


def commit(world: "World", tag: str, wanted: str) -> None:
    world.source.commit("feat: more", {"app.py": tag, "wanted/schema.txt": wanted}, tag=tag)


def test_a_first_release_goes_up_on_a_copy_then_where_it_counts(world: "World", images: Images) -> None:
    go("v1.0.0")
    assert images.take() == [
        ("1.0.0", "tool up", COPY),
        ("1.0.0", "tool smoke", COPY),
        ("1.0.0", "tool up", HERE),
    ]
    [row] = world.databases["dev"].applied()
    assert row.name.startswith("by_tool_")


def test_the_image_that_serves_is_asked_before_and_after_on_the_copy(world: "World", images: Images) -> None:
    go("v1.0.0")
    images.take()
    commit(world, "v1.1.0", "two")
    go("v1.1.0")
    assert images.take() == [
        ("1.0.0", "tool smoke", COPY),
        ("1.1.0", "tool up", COPY),
        ("1.0.0", "tool smoke", COPY),
        ("1.1.0", "tool smoke", COPY),
        ("1.1.0", "tool up", HERE),
    ]
    assert [row.number for row in world.databases["dev"].applied()] == [1, 2]


def test_an_old_image_that_fails_on_the_new_schema_stops_the_release_before_anything_is_touched(
    world: "World", images: Images
) -> None:
    go("v1.0.0")
    commit(world, "v1.1.0", "two")
    asked = iter([False, True])
    images.fails = lambda version, command: (version, command) == ("1.0.0", "tool smoke") and next(asked)
    with pytest.raises(Rejected, match=r"the old version fails on the new schema: tool smoke: .*column is missing"):
        go("v1.1.0")
    assert ("1.1.0", "tool up", HERE) not in images.ran
    assert {replica.version for replica in world.workload.running("shop", "dev")} == {"1.0.0"}


def test_an_old_image_that_fails_already_shows_nothing_and_is_told_once(world: "World", images: Images) -> None:
    go("v1.0.0")
    commit(world, "v1.1.0", "two")
    images.fails = lambda version, command: (version, command) == ("1.0.0", "tool smoke")
    with pytest.raises(Rejected, match="on the schema it has now") as refused:
        go("v1.1.0")
    assert refused.value.message.count("column is missing") == 1


def test_a_tool_that_fails_where_it_counts_is_answered_with_the_way_back(world: "World", images: Images) -> None:
    go("v1.0.0")
    commit(world, "v1.1.0", "two")
    asked = iter([False, True])
    images.fails = lambda version, command: (version, command) == ("1.1.0", "tool up") and next(asked)
    with pytest.raises(Rejected, match="the tool ended with 1"):
        go("v1.1.0")
    assert {replica.version for replica in world.workload.running("shop", "dev")} == {"1.0.0"}
    assert [row.number for row in world.databases["dev"].applied()] == [1]


def test_where_nothing_that_it_watches_changed_the_tool_is_not_run(world: "World", images: Images) -> None:
    go("v1.0.0")
    images.take()
    world.source.commit("feat: only code", {"app.py": "new"}, tag="v1.1.0")
    go("v1.1.0")
    assert images.take() == []


def test_an_older_version_that_is_released_again_finds_its_schema_there(world: "World", images: Images) -> None:
    go("v1.0.0")
    commit(world, "v1.1.0", "two")
    go("v1.1.0")
    images.take()
    world.source.commit("revert: as before", {"app.py": "old", "wanted/schema.txt": ""}, tag="v1.2.0")
    go("v1.2.0")
    commit(world, "v1.3.0", "two")
    images.take()
    go("v1.3.0")
    assert images.take() == []


def test_a_tool_that_can_go_back_is_walked_there_and_back(
    world: "World", images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.release.connect", lambda name, house=None: with_down)
    spec = world.desk.service
    assert spec.schema_
    more = {"down": ("tool", "down"), "plan": ("tool", "plan")}
    schema = spec.schema_.model_copy(update={"tool": TOOL.model_copy(update=more)})
    with_down = replace(world.desk, service=spec.model_copy(update={"schema_": schema}))
    go("v1.0.0")
    walked = [command for _, command, place in images.take() if place == COPY]
    assert walked == [f"tool {it}" for it in ("status", "plan", "up", "down", "up", "smoke", "down", "up")]
    [proof] = proofs_of(world.desk.journal.entries(kinds=("done",)))
    assert (proof.tier, proof.announced) == (2, "at r1")
    assert "What its own tool says that it will do" in markdown("dev", proof)


def test_an_image_cannot_have_a_secret_by_printing_its_reference(
    world: "World", images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.release.connect", lambda name, house=None: with_down)
    spec = world.desk.service
    assert spec.schema_
    schema = spec.schema_.model_copy(update={"tool": TOOL.model_copy(update={"down": ("tool", "down")})})
    with_down = replace(world.desk, service=spec.model_copy(update={"schema_": schema}))
    images.says = "secret://file/another-service\n"
    with pytest.raises(Rejected, match=r"the way back fails: .*reads as a reference to a secret"):
        go("v1.0.0")
    assert all(command != "tool down" for _, command, _ in images.ran)


def test_a_drill_asks_both_images_on_the_schema_that_stays(world: "World", images: Images) -> None:
    go("v1.0.0")
    commit(world, "v1.1.0", "two")
    go("v1.1.0")
    images.take()
    [told] = drill.fn("shop", "dev")
    assert told["holds"] == "yes"
    assert images.take() == [("1.0.0", "tool smoke", COPY), ("1.1.0", "tool smoke", COPY)]
    images.fails = lambda version, command: version == "1.0.0"
    with pytest.raises((Rejected, Unavailable), match="the old version"):
        drill.fn("shop", "dev")
