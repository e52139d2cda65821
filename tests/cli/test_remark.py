from collections.abc import Callable
from typing import TYPE_CHECKING

from typer.testing import Result

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]


def test_a_remark_stands_in_the_record_under_a_name(scene: "Scene", run: Run) -> None:
    release = scene.begin("v1.0.0")
    assert run("remark", release, "the campaign was postponed", "--as", "ada").exit_code == 0
    told = [line.split() for line in run("explain", release).stdout.splitlines()]
    assert any("ada" in words and "“the" in words for words in told)


def test_an_empty_remark_and_an_unknown_release_are_told_apart(scene: "Scene", run: Run) -> None:
    release = scene.begin("v1.0.0")
    assert "the remark is empty" in run("remark", release, " ", "--as", "ada").stderr
    assert run("remark", "nothing", "why", "--as", "ada").exit_code == 2


def test_a_long_story_is_told_in_ten_lines(scene: "Scene", run: Run) -> None:
    release = scene.carry("v1.0.0")
    for number in range(12):
        run("remark", release, f"remark {number}", "--as", "ada")
    shown = run("explain", release, "--brief").stdout.splitlines()
    assert "asked for v1.0.0" in shown[1]
    assert len(shown) == 1 + 10 + 3  # heading, the story, a blank line, where it is, what to type next
    assert "remark 11" in shown[10]
