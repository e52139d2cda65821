"""The Notices port: one message, one group, one key; and the clocks."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from adapters.apprise import Apprise
from adapters.memory.clock import MemoryClock
from adapters.memory.notices import MemoryNotices
from adapters.notice_folder import NoticeFolder
from adapters.system_clock import SystemClock
from domain.errors import Invalid, Unavailable
from domain.ports import Clock, Notices


class Inbox:
    """A web hook on loopback: keeps what was posted to each path; paths in `down` answer 503."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.down: set[str] = set()
        inbox = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path not in inbox.down:
                    inbox.posts.append((self.path, body))
                self.send_response(503 if self.path in inbox.down else 200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self.server.daemon_threads = True

    def url(self, path: str) -> str:
        return f"json://bot:hunter2@127.0.0.1:{self.server.server_port}{path}"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    thread = threading.Thread(target=inbox.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield inbox
    inbox.server.shutdown()
    inbox.server.server_close()
    thread.join()


class Vault:
    """A Secrets port that knows one secret, and counts how often it is asked."""

    def __init__(self, value: str = "") -> None:
        self.value, self.asked = value, 0

    def resolve(self, reference: str) -> str:
        self.asked += 1
        if reference != "secret://env/OPS_HOOK":
            raise Invalid(f"{reference}: no such secret")
        return self.value


Read = Callable[[], list[str]]


@pytest.fixture(params=["memory", "folder", pytest.param("apprise", marks=pytest.mark.real)])
def notices_and_titles(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Notices, Read]:
    """Give an adapter whose group `ops` has one target, and a way to read the titles that arrived there."""
    if request.param == "memory":
        memory = MemoryNotices(groups={"ops"})
        return memory, lambda: [notice.title for notice in memory.delivered.values()]
    if request.param == "folder":
        read = lambda: [path.read_text().splitlines()[1].removeprefix("Subject: ") for path in tmp_path.glob("*.txt")]  # noqa: E731  # as short as the others
        return NoticeFolder(tmp_path), read
    inbox: Inbox = request.getfixturevalue("inbox")
    return Apprise({"ops": [inbox.url("/ops")]}, Vault()), lambda: [post["title"] for _, post in inbox.posts]


def test_a_notice_arrives_once_per_key(notices_and_titles: tuple[Notices, Read]) -> None:
    notices, titles = notices_and_titles
    notices.deliver("ops", "shop 1.2.0 serves", "in production", key="shop-1/released")
    notices.deliver("ops", "the same, told anew", "in production", key="shop-1/released")
    notices.deliver("ops", "shop 1.2.0 was rolled back", "in production", key="shop-1/rolled-back")
    assert sorted(titles()) == ["shop 1.2.0 serves", "shop 1.2.0 was rolled back"]


@pytest.mark.parametrize("adapter", ["memory", pytest.param("apprise", marks=pytest.mark.real)])
def test_a_group_without_a_target_is_invalid(adapter: str) -> None:
    notices: Notices = MemoryNotices(groups=()) if adapter == "memory" else Apprise({"ops": ()}, Vault())
    with pytest.raises(Invalid, match="group ops has no target"):
        notices.deliver("ops", "t", "b", key="k")


def test_a_notice_in_a_folder_can_be_read(tmp_path: Path) -> None:
    folder = NoticeFolder(tmp_path / "notices")
    folder.deliver("on call", "shop is stuck", "call somebody\nnow: ä", key="shop-1/../stuck")
    (file,) = (tmp_path / "notices").iterdir()
    assert file.name.startswith("on-call.shop-1-..-stuck.")
    text = file.read_text(encoding="utf-8")
    assert text == "To: on call\nSubject: shop is stuck\nKey: shop-1/../stuck\n\ncall somebody\nnow: ä\n"


def test_keys_that_read_alike_are_two_files(tmp_path: Path) -> None:
    folder = NoticeFolder(tmp_path)
    for key in ("a/b", "a-b", "a b"):
        folder.deliver("ops", "t", "b", key)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "notices").write_text("a file where the folder should be")
    with pytest.raises(Unavailable, match="notices"):
        NoticeFolder(tmp_path / "notices").deliver("ops", "t", "b", key="k")


@pytest.mark.real
def test_every_target_of_the_group_and_no_other_gets_the_notice(inbox: Inbox) -> None:
    targets = {"ops": [inbox.url("/pager"), inbox.url("/chat")], "sales": [inbox.url("/sales")]}
    Apprise(targets, Vault()).deliver("ops", "title", "<b>body</b> & more", key="k")
    assert sorted(path for path, _ in inbox.posts) == ["/chat", "/pager"]
    assert {(post["title"], post["message"]) for _, post in inbox.posts} == {("title", "<b>body</b> & more")}


@pytest.mark.real
def test_a_secret_reference_is_resolved_once_when_it_is_loaded(inbox: Inbox) -> None:
    vault = Vault(inbox.url("/ops"))
    notices = Apprise({"ops": ["secret://env/OPS_HOOK"]}, vault)
    for key in "ab":
        notices.deliver("ops", "t", "b", key)
    assert vault.asked == 1
    assert len(inbox.posts) == 2
    with pytest.raises(Invalid, match=r"secret://env/OTHER"):
        Apprise({"ops": ["secret://env/OTHER"]}, vault)


@pytest.mark.real
def test_what_did_not_take_it_is_unavailable_and_only_that_is_asked_again(inbox: Inbox) -> None:
    notices = Apprise({"ops": [inbox.url("/pager"), inbox.url("/chat")]}, Vault())
    inbox.down.add("/chat")
    with pytest.raises(Unavailable, match=r"group ops: target 2 \(JSON\) did not take it") as caught:
        notices.deliver("ops", "t", "b", key="k")
    assert "hunter2" not in str(caught.value)
    inbox.down.clear()
    notices.deliver("ops", "t", "b", key="k")
    assert [path for path, _ in inbox.posts] == ["/pager", "/chat"]


@pytest.mark.real
def test_a_service_that_is_gone_is_unavailable(inbox: Inbox) -> None:
    url = inbox.url("/ops").replace(str(inbox.server.server_port), "1")  # nothing listens on port 1
    with pytest.raises(Unavailable):
        Apprise({"ops": [url]}, Vault()).deliver("ops", "t", "b", key="k")


def test_bad_urls_are_all_named_and_nothing_secret_is_printed(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    bad = {
        "ops": ["json://127.0.0.1", "slack://hunter2/x", "nosuch://user:hunter2@host"],
        "sales": ["hunter2", "secret://env/OPS_HOOK", ""],
        "dev": ["mailto://user:hunter2@", "json://127.0.0.1/a, json://127.0.0.1/b"],
    }
    with pytest.raises(Invalid) as caught:
        Apprise(bad, Vault("json://user:hunter2@:99999"))
    assert caught.value.message.splitlines() == [
        "notices: group ops: target 2 (slack://…) is no URL that apprise can use",
        "notices: group ops: target 3 (nosuch://…) is no URL that apprise can use",
        "notices: group sales: target 1 is no URL that apprise can use",
        "notices: group sales: target 2 (secret://…) is no URL that apprise can use",
        "notices: group sales: target 3 is no URL that apprise can use",
        "notices: group dev: target 1 (mailto://…) is no URL that apprise can use",
        "notices: group dev: target 2 (json://…) is no URL that apprise can use",
    ]
    assert "hunter2" not in str(caught.value) + caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("clock", [MemoryClock(now=100.0), SystemClock()], ids=["memory", "system"])
def test_a_clock_moves_on_by_what_is_slept_and_never_back(clock: Clock) -> None:
    before = clock.now()
    clock.sleep(0.05)
    assert clock.now() - before >= 0.0499
    clock.sleep(-1)
    assert clock.now() >= before


def test_nobody_waits_for_virtual_time() -> None:
    clock = MemoryClock(now=0.0)
    clock.sleep(3600)
    assert clock.now() == 3600
