import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from typer.testing import Result

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]


def test_what_is_due_is_shown_and_delivered_when_asked(scene: "Scene", run: Run) -> None:
    assert run("notices").stdout == "on their way: none\ngiven up: none\n"
    scene.house.post.enqueue("key-1", "ops", "shop 1.0.0 started", "a body")
    shown = run("notices").stdout
    assert "ops" in shown
    assert "shop 1.0.0 started" in shown
    assert [it["key"] for it in json.loads(run("notices", "--json").stdout)["due"]] == ["key-1"]
    assert run("notices", "--retry").stdout == "1 delivered\non their way: none\ngiven up: none\n"
    [message] = (scene.folder / "notices").glob("*.txt")
    assert "Subject: shop 1.0.0 started" in message.read_text()
