"""Prefect's server, with a home, a port and a database of its own."""

import sys
from datetime import datetime
from pathlib import Path

import httpx

from deployments.embedded import process
from deployments.embedded.process import Child


def environment(home: Path, port: int) -> dict[str, str]:
    """Name this server, and nothing of the caller's own Prefect, to a client: CLI, runner or flow run.

    `home` is made, with the private runtime folder (mode 0700) that Prefect warns about when it is missing.
    """
    runtime = home / "runtime"
    runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    runtime.chmod(0o700)
    return {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "XDG_RUNTIME_DIR": str(runtime),
    }


def start(home: Path, database: str, port: int) -> Child:
    """Start the server on 127.0.0.1:`port` and wait until it is healthy (8 s, up to 45 s on a busy machine).

    `database` is a SQLAlchemy URL, `postgresql+asyncpg://…`: SQLite answered 503 to four clients at a time.
    Raises Unavailable with the end of the log when it does not come up.
    """
    return process.start(
        "prefect",
        [sys.executable, "-m", "prefect", "server", "start"],
        folder=home,
        ready=lambda: healthy(port),
        patience=180,
        env={
            **environment(home, port),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(port),  # `--port` alone leaves the pages calling 4200
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_UI_STATIC_DIRECTORY": str(home / "pages"),  # else in the package, where servers fight over it
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        },
    )


def healthy(port: int) -> bool:
    """Tell whether a server answers on this port."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def polled(port: int, deployment: str, since: datetime) -> bool:
    """Tell whether a runner has asked the server for work of `FLOW/NAME` since then."""
    url = f"http://127.0.0.1:{port}/api/deployments/name/{deployment}"
    try:
        answer = httpx.get(url, timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False
    last = answer.json().get("last_polled") if answer.is_success else None
    return last is not None and datetime.fromisoformat(last) >= since
