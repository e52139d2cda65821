"""Git, through its own command: read-only on a local repository, or on a mirror of a remote one."""

import fcntl
import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from domain.errors import Invalid, Unavailable
from domain.release.artifact import Commit

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+:")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_SHA = re.compile(r"[0-9a-f]{40}")
_READ, _FETCH = 60.0, 600.0  # seconds: local reads; clones and fetches
_SETTINGS = (
    *("-c", "core.autocrlf=false", "-c", "tar.umask=0022"),  # an archive is the commit's bytes on every machine
    *("-c", "log.showSignature=false"),
    *("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30"),  # a stalled transfer ends by itself
)


class Git:
    """One repository: a path is read in place, a URL is mirrored below `cache`.

    `resolve` fetches a mirror first (unless it asks for a full sha that is already there); everything else reads what
    is there. Raises Invalid for unknown commits and broken repositories, Unavailable when a remote does not answer.
    """

    def __init__(self, path_or_url: str, cache: Path) -> None:
        self._remote = path_or_url if _REMOTE.match(path_or_url) else None
        self._shown = _PASSWORD.sub("", path_or_url)
        key = hashlib.sha256(path_or_url.encode()).hexdigest()[:16]
        self._folder = cache / f"{key}.git" if self._remote else Path(path_or_url)
        self._tags: dict[str, list[str]] | None = None

    def resolve(self, ref: str) -> Commit:
        """Find the commit behind a branch, tag or sha; a tag wins over a branch of the same name, as git has it."""
        sha = self._find(ref) if not self._remote or _SHA.fullmatch(ref) else None
        if self._remote and sha is None:
            self._fetch()
            sha = self._find(ref)
        if sha is None:
            raise Invalid(f"{self._shown} has no commit {ref!r}", "give a branch, a tag or a sha that was pushed")
        self._tags = None
        return self._log("--max-count=1", sha)[0]

    def tags(self, commit: str) -> tuple[str, ...]:
        """List the tags that point at a commit, by name; read once after each `resolve`, for the whole history."""
        if self._tags is None:
            self._tags = {}
            form = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end) %(refname:strip=2)"
            for row in self._run("for-each-ref", f"--format={form}", "refs/tags").decode(errors="replace").splitlines():
                sha, _, name = row.partition(" ")
                self._tags.setdefault(sha, []).append(name)
        return tuple(self._tags.get(self._known(commit), ()))

    def history(self, since: str | None, until: str) -> tuple[Commit, ...]:
        """List commits reachable from `until` and not from `since`, newest first."""
        return self._log(self._known(until), *([f"^{self._known(since)}"] if since else []))

    def changed(self, since: str | None, until: str) -> tuple[str, ...]:
        """List the paths that differ between two commits, renames as both their names (all when `since` is None)."""
        until = self._known(until)
        if since is None:
            return _split(self._run("ls-tree", "-r", "-z", "--full-tree", "--name-only", until))
        return _split(self._run("diff-tree", "-r", "-z", "--no-renames", "--name-only", self._known(since), until))

    def files(self, commit: str, folder: str) -> Mapping[str, str]:
        """Read the text files directly inside a folder at a commit: name → text.

        Binary files (a NUL byte), links and submodules are left out. Raises Invalid for text that is not UTF-8.
        """
        inside = folder.strip("/")
        where = ["--", f"{inside}/"] if inside not in ("", ".") else []
        rows = _split(self._run("ls-tree", "-z", "--full-tree", self._known(commit), *where))
        entries = [(meta.split(), path) for meta, _, path in (row.partition("\t") for row in rows)]
        blobs = {path: blob for (mode, _, blob), path in entries if mode.startswith("100")}
        texts: dict[str, str] = {}
        for path, data in zip(blobs, self._blobs(list(blobs.values())), strict=True):
            if b"\0" not in data:
                texts[path.rpartition("/")[2]] = _utf8(data, f"{self._shown} {commit[:12]}: {path}")
        return texts

    def archive(self, commit: str) -> bytes:
        """Export exactly this commit as an uncompressed tar; the same bytes every time."""
        return self._run("archive", "--format=tar", self._known(commit))

    def _log(self, *revisions: str) -> tuple[Commit, ...]:
        form = "--format=%H%x00%ae%x00%s%x00%cI"
        cells = _split(
            self._run("log", "-z", "--encoding=UTF-8", "--no-color", form, *revisions, "--"), keep_empty=True
        )
        rows = zip(*[iter(cells)] * 4, strict=True)
        return tuple(Commit(sha=sha, author=author, subject=subject, at=at) for sha, author, subject, at in rows)

    def _blobs(self, blobs: list[str]) -> Iterator[bytes]:
        out = self._run("cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs).encode())
        start = 0
        for _ in blobs:  # each: "<sha> blob <size>\n<content>\n"
            head = out.index(b"\n", start)
            end = head + 1 + int(out[start:head].split()[2])
            yield out[head + 1 : end]
            start = end + 1

    def _known(self, commit: str) -> str:
        if not _SHA.fullmatch(commit):
            raise Invalid(f"{commit!r} is not a full commit sha", "resolve the branch or tag first")
        return commit

    def _find(self, ref: str) -> str | None:
        if self._remote and not self._folder.is_dir():
            return None
        found = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if found.returncode and found.stderr:  # silent when there is just no such commit
            raise self._broken("rev-parse", found)
        return found.stdout.decode().strip() or None

    def _fetch(self) -> None:
        with _locked(self._folder):
            if not (self._folder / "HEAD").exists():
                self._over_the_wire("init", "--quiet", "--bare", str(self._folder))
            # Branches and tags only: a pull request's commits are nobody's release.
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            options = ("--quiet", "--prune", "--no-tags", "--no-write-fetch-head")
            self._over_the_wire("-C", str(self._folder), "fetch", *options, "--", str(self._remote), *refs)

    def _over_the_wire(self, *arguments: str) -> None:
        done = self._call(["git", *_SETTINGS, *arguments], _FETCH)
        if done.returncode:
            said = _PASSWORD.sub("", done.stderr.decode(errors="replace")).strip()
            raise Unavailable(f"{self._shown} could not be fetched: {said}", "check the URL, the network and access")

    def _run(self, *arguments: str, given: bytes = b"") -> bytes:
        done = self._git(*arguments, given=given)
        if done.returncode:
            raise self._broken(arguments[0], done)
        return done.stdout

    def _broken(self, verb: str, done: subprocess.CompletedProcess[bytes]) -> Invalid:
        said = done.stderr.decode(errors="replace").strip()
        return Invalid(f"git {verb} in {self._shown}: {said}", "is it a repository, and is the commit in it?")

    def _git(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return self._call(["git", "-C", str(self._folder), *_SETTINGS, *arguments], _READ, given)

    def _call(self, command: list[str], timeout: float, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                command, input=given, capture_output=True, timeout=timeout, env=_environment(), check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"git took longer than {timeout:.0f} s on {self._shown}", "try again") from error
        except FileNotFoundError as error:
            raise Invalid("the git command is not installed", "install git on the worker") from error


def _environment() -> dict[str, str]:
    """Leave out GIT_* (set inside hooks: it would point git elsewhere), and never wait for a password."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or "SSH" in name}
    ssh = kept.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=10")
    return kept | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": ssh, "GIT_OPTIONAL_LOCKS": "0"}


def _split(data: bytes, *, keep_empty: bool = False) -> tuple[str, ...]:
    cells = data.decode(errors="replace").split("\0")
    return tuple(cells[:-1] if keep_empty and data else filter(None, cells))


def _utf8(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"{where}: not UTF-8 at byte {error.start}", "convert the file to UTF-8") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch into a mirror."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
