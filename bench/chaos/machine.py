"""A machine of the campaign's own, inside this one: nobody else sees its processes, its network and its mounts.

Linux namespaces (unshare(1), as root) make one in a tenth of a second. In it the campaign has a Docker Engine that it
may kill, ports that are free, a kernel packet filter to cut connections with, and disks to fill. Whatever runs in it
ends with it. The files stay in one folder below /tmp, which the outer process removes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from config.settings import HOUSE
from domain.errors import Invalid

_NEW = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
)
# bash stays the first process, and so the one that buries orphans: flow runs outlive a runner that was killed.
_BOOT = """\
set -euo pipefail
mount --make-rprivate /
mkdir -p /etc/docker /var/lib/docker "$0/docker"
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /etc/docker
mount --bind "$0/docker" /var/lib/docker
ip link set lo up
"$@"
exit 0
"""
_HIDDEN = ("PREFECT_", "INTERLOCK_", "DOCKER_")


def run_inside(module: str, arguments: Sequence[str]) -> int:
    """Run `python -m module FOLDER arguments…` on a machine of its own; return its exit code.

    Raises Invalid where this machine cannot make one.
    """
    if os.geteuid():
        raise Invalid("only root can make a machine of one's own (unshare)", "run it as root")
    folder = Path(tempfile.mkdtemp(prefix="il-chaos-", dir="/tmp"))  # HAProxy's socket paths must be short
    folder.chmod(0o755)  # PostgreSQL's own user must get through
    python = [sys.executable, "-m", module, str(folder), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
    try:
        command = [*_NEW, "bash", "-c", _BOOT, str(folder), *python]
        return subprocess.run(command, cwd=HOUSE, env=environment, check=False).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Disk:
    """A small disk of its own for one folder (tmpfs), which can be filled to the last byte and freed again."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._megabytes = megabytes
        self._ballast = folder / ".ballast"

    def mount(self) -> None:
        """Put the empty disk in place."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m,mode=755", "tmpfs", str(self.folder))

    def unmount(self) -> None:
        """Take it away with all that is on it; nothing happens when it is not there."""
        if self.folder.is_mount():
            _run("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("wb") as file, suppress(OSError):  # ENOSPC: that is the point
            while True:
                file.write(b"\0" * (1 << 20))
                file.flush()
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 512)

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
