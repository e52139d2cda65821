"""A HAProxy of one's own on a folder, as the demo and the tests use it."""

import signal
from pathlib import Path

from adapters.haproxy_folder import Folder
from adapters.haproxy_runtime import Runtime
from deployments.embedded import process
from deployments.embedded.process import Child
from domain.errors import Unavailable


def start(folder: Path, bind: str = "127.0.0.1", binary: str = "haproxy") -> Child:
    """Start master and worker on what the folder's wishes say; log to `folder/haproxy.log`.

    Raises Invalid for a folder that HAProxy cannot use, Unavailable with its log when it does not come up.
    """
    home = Folder(folder, bind)
    home.render()
    master = f"{home.run / 'master.sock'},mode,600"
    command = [binary, "-W", "-S", master, "-f", str(home.root / "haproxy.cfg"), "-p", str(home.run / "haproxy.pid")]
    return process.start("haproxy", command, folder=home.root, ready=lambda: _answers(home.run))


def stop(child: Child) -> None:
    """Stop master and worker; requests under way are cut, the folder stays."""
    process.stop(child, how=signal.SIGTERM)


def _answers(run: Path) -> bool:
    try:
        return "Uptime_sec" in Runtime(run, timeout=1).ask("show info")
    except Unavailable:
        return False
