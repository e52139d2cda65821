import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from adapters.git import Git
from adapters.memory.source import MemorySource
from domain.errors import Invalid, Unavailable
from domain.ports import Source
from domain.release.artifact import Commit

NOBODY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
Record = Callable[[str, Mapping[str, str | None], str | None], str]


def git(folder: Path, *arguments: str, author: str = "dev@example.com") -> str:
    identity = {"GIT_AUTHOR_NAME": "Dev", "GIT_AUTHOR_EMAIL": author, "GIT_COMMITTER_NAME": "Dev"}
    env = {**os.environ, **NOBODY, **identity, "GIT_COMMITTER_EMAIL": author}
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], env=env, check=True, capture_output=True, text=True
    ).stdout.strip()


def new_repository(folder: Path) -> Record:
    """Make a repository and return a function that records a commit in it and returns its sha."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")

    def record(subject: str, files: Mapping[str, str | None], tag: str | None) -> str:
        for path, text in files.items():
            if text is None:
                (folder / path).unlink()
            else:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--allow-empty", "--message", subject)
        if tag:
            git(folder, "tag", "--annotate", "--message", tag, tag)
        return git(folder, "rev-parse", "HEAD")

    return record


@pytest.fixture(
    params=[
        "memory",
        pytest.param("path", marks=pytest.mark.real),
        pytest.param("bare", marks=pytest.mark.real),
        pytest.param("url", marks=pytest.mark.real),
    ]
)
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Source, Record]]:
    if request.param == "memory":
        memory = MemorySource()
        yield memory, lambda subject, files, tag: memory.commit(subject, files, tag=tag).sha
        return
    work = tmp_path / "work"
    record = new_repository(work)
    if request.param == "path":
        yield Git(str(work), tmp_path / "cache"), record
        return
    bare = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True, env={**os.environ, **NOBODY})

    def record_and_push(subject: str, files: Mapping[str, str | None], tag: str | None) -> str:
        sha = record(subject, files, tag)
        git(work, "push", "--quiet", "--force", str(bare), "main", "--tags")
        return sha

    yield Git(f"file://{bare}" if request.param == "url" else str(bare), tmp_path / "cache"), record_and_push


def test_a_branch_a_tag_and_a_sha_find_the_same_commit(repository: tuple[Source, Record]) -> None:
    source, record = repository
    record("first", {"app.py": "1"}, None)
    sha = record("second: with a colon", {"app.py": "2"}, "v1.0.0")
    by_branch = source.resolve("main")
    assert by_branch == source.resolve("v1.0.0") == source.resolve(sha)
    assert (by_branch.sha, by_branch.subject, by_branch.author) == (sha, "second: with a colon", "dev@example.com")
    assert source.tags(sha) == ("v1.0.0",)


def test_a_branch_that_moves_is_followed(repository: tuple[Source, Record]) -> None:
    source, record = repository
    first = record("first", {"app.py": "1"}, None)
    assert source.resolve("main").sha == first
    second = record("second", {"app.py": "2"}, None)
    assert source.resolve("main").sha == second


def test_an_unknown_ref_is_invalid_and_named(repository: tuple[Source, Record]) -> None:
    source, record = repository
    record("first", {"app.py": "1"}, None)
    for ref in ("v9.9.9", "--help", "0" * 40):
        with pytest.raises(Invalid, match=ref):
            source.resolve(ref)


def test_history_lists_what_is_new_with_the_newest_first(repository: tuple[Source, Record]) -> None:
    source, record = repository
    a, b, c = (record(name, {"app.py": name}, None) for name in "abc")
    source.resolve("main")
    assert [commit.subject for commit in source.history(a, c)] == ["c", "b"]
    assert [commit.sha for commit in source.history(None, b)] == [b, a]
    assert source.history(c, c) == ()


def test_changed_names_every_path_that_differs(repository: tuple[Source, Record]) -> None:
    source, record = repository
    first = record("a", {"app.py": "1", "old name.txt": "moved", "same.txt": "="}, None)
    second = record("b", {"app.py": "2", "old name.txt": None, "dir/naïve.txt": "moved"}, None)
    source.resolve("main")
    assert source.changed(first, second) == ("app.py", "dir/naïve.txt", "old name.txt")
    assert source.changed(None, first) == ("app.py", "old name.txt", "same.txt")
    assert source.changed(second, second) == ()


def test_files_reads_one_folder_and_not_what_lies_deeper(repository: tuple[Source, Record]) -> None:
    source, record = repository
    files = {"db/migrations/001.sql": "select 1;\n", "db/migrations/old/000.sql": "x", "db/x.sql": "", "top.txt": "é"}
    sha = record("a", files, None)
    source.resolve("main")
    assert source.files(sha, "db/migrations") == {"001.sql": "select 1;\n"}
    assert source.files(sha, "db/migrations/") == {"001.sql": "select 1;\n"}
    assert source.files(sha, ".") == {"top.txt": "é"}
    assert source.files(sha, "nowhere") == {}


def test_the_archive_holds_the_commit_and_nothing_else(repository: tuple[Source, Record]) -> None:
    source, record = repository
    first = record("a", {"app.py": "1\r\n2\n", "dir/b.txt": "b"}, None)
    record("b", {"app.py": "later", "c.txt": "c"}, None)
    source.resolve("main")
    packed = source.archive(first)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        held = {entry.name: tar.extractfile(entry) for entry in tar if entry.isfile()}
        assert {name: file.read() for name, file in held.items() if file} == {"app.py": b"1\r\n2\n", "dir/b.txt": b"b"}
    assert source.archive(first) == packed


def test_every_answer_about_an_unknown_commit_is_invalid(repository: tuple[Source, Record]) -> None:
    source, record = repository
    record("a", {"app.py": "1"}, None)
    source.resolve("main")
    for ask in (source.archive, lambda sha: source.files(sha, "db"), lambda sha: source.changed(None, sha)):
        with pytest.raises(Invalid):
            ask("0" * 40)


@pytest.mark.real
def test_uncommitted_work_is_not_in_the_archive(tmp_path: Path) -> None:
    record = new_repository(tmp_path / "work")
    sha = record("a", {"app.py": "committed"}, None)
    (tmp_path / "work/app.py").write_text("dirty")
    (tmp_path / "work/secret.env").write_text("dirty")
    packed = Git(str(tmp_path / "work"), tmp_path).archive(sha)
    assert b"dirty" not in packed
    assert b"secret.env" not in packed


@pytest.mark.real
def test_text_that_is_not_utf_8_is_named_and_a_binary_file_is_left_out(tmp_path: Path) -> None:
    record = new_repository(tmp_path / "work")
    (tmp_path / "work/db").mkdir()
    (tmp_path / "work/db/logo.png").write_bytes(b"\x89PNG\0\xff")
    source = Git(str(tmp_path / "work"), tmp_path)
    assert source.files(record("a", {"db/1.sql": "select 1"}, None), "db") == {"1.sql": "select 1"}
    (tmp_path / "work/db/2.sql").write_bytes("-- größer".encode("latin-1"))
    with pytest.raises(Invalid, match=r"db/2\.sql: not UTF-8"):
        source.files(record("b", {}, None), "db")


@pytest.mark.real
def test_a_mirror_still_answers_for_a_known_sha_when_the_remote_is_gone(tmp_path: Path) -> None:
    record = new_repository(tmp_path / "work")
    sha = record("a", {"app.py": "1"}, None)
    source = Git(f"file://{tmp_path}/work", tmp_path / "cache")
    source.resolve("main")
    shutil.rmtree(tmp_path / "work")
    known: Commit = source.resolve(sha)
    assert known.subject == "a"
    with pytest.raises(Unavailable, match="could not be fetched"):
        source.resolve("main")


@pytest.mark.real
def test_a_password_in_the_url_is_never_shown(tmp_path: Path) -> None:
    source = Git("http://user:hunter2@127.0.0.1:9/shop.git", tmp_path)
    with pytest.raises(Unavailable) as caught:
        source.resolve("main")
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1:9/shop.git" in str(caught.value)


@pytest.mark.real
def test_a_folder_that_is_no_repository_says_so(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(Invalid, match="not a git repository"):
        Git(str(tmp_path / "plain"), tmp_path).resolve("main")


@pytest.mark.real
def test_the_settings_of_a_machine_do_not_change_the_archive(tmp_path: Path) -> None:
    record = new_repository(tmp_path / "work")
    sha = record("a", {"run.sh": "echo 1\n"}, None)
    source = Git(str(tmp_path / "work"), tmp_path)
    before = source.archive(sha)
    for setting in (("core.autocrlf", "true"), ("tar.umask", "0077"), ("log.showSignature", "true")):
        git(tmp_path / "work", "config", *setting)
    assert source.archive(sha) == before
    assert source.resolve("main").subject == "a"
