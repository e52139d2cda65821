"""Let one thing fail, and bring it back as a supervisor would."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from bench.chaos.links import Cut, cut
from bench.chaos.scene import Scene
from bench.chaos.watch import patiently
from deployments.embedded.process import Child, stop
from domain.errors import ReleaseError

DOWN = 3.0  # seconds until somebody starts again what was killed
HOLE = 30.0  # seconds without a packet
RESET = 3.0  # seconds in which every packet is answered with a reset
FULL = 8.0  # seconds without a free byte

_DAEMON = Path("/etc/docker/daemon.json")  # on the campaign's own machine
_PRODUCTS = {"haproxy-master": "router", "dockerd-live": "dockerd"}


def arm(file: Path, described: dict[str, object]) -> None:
    """Tell the next process that comes by this point what becomes of it."""
    fired_file(file).unlink(missing_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(described))
    new.rename(file)


def disarm(file: Path) -> None:
    """Plan nothing any more."""
    file.unlink(missing_ok=True)


def fired_file(file: Path) -> Path:
    """Name what a process that was hit leaves behind."""
    return file.with_name(f"{file.name}.fired")


def fired(file: Path) -> dict[str, float] | None:
    """Read who was hit and when: pid, and seconds since the epoch; None while nobody was."""
    with suppress(FileNotFoundError, ValueError):  # ValueError: it is just being written
        said: dict[str, float] = json.loads(fired_file(file).read_text())
        return said if "pid" in said else None  # else it is still the order, just renamed
    return None


def thaw(pid: int) -> None:
    """Let a frozen process go on; one that is gone is fine."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


@contextmanager
def failing(kind: str, scene: Scene, run: str, spared: frozenset[int]) -> Iterator[None]:
    """Let it fail at the start of the block, and after it wait until it is over and everything is back."""
    family, _, what = kind.partition("-")
    if kind == "hole-engine":
        with _frozen(_child(scene, "dockerd").pid):
            yield
            time.sleep(HOLE)
    elif family in ("hole", "reset"):
        how: Cut = "hole" if family == "hole" else "reset"
        with cut(scene.links[what], how):
            yield
            time.sleep(HOLE if how == "hole" else RESET)
    elif family == "disk":
        scene.disks[what].fill()
        try:
            yield
            time.sleep(FULL)
        finally:
            scene.disks[what].free()
        supervise(scene)
    elif kind == "cancel":
        cancel(scene, run)
        yield
    else:
        _kill(kind, scene, spared)
        yield
        time.sleep(DOWN)
        supervise(scene)


def supervise(scene: Scene, patience: float = 90.0) -> None:
    """Start whatever is missing, and try again while it will not start. Raises the last error."""
    give_up = time.monotonic() + patience
    while True:
        try:
            return scene.up()
        except ReleaseError:
            if time.monotonic() > give_up:
                raise
            time.sleep(1)


def cancel(scene: Scene, run: str) -> None:
    """Press Cancel in Prefect."""
    url = f"{scene.house.settings.prefect.api}/flow_runs/{run}/set_state"
    state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    httpx.post(url, json=state, timeout=30, trust_env=False).raise_for_status()


def _kill(kind: str, scene: Scene, spared: frozenset[int]) -> None:
    if kind == "machine":
        children = [child for child in scene.stack.status().values() if child]
        _end_of_the_world({1, os.getpid(), *spared})
    elif kind == "haproxy-worker":
        children = []
        _sigkill(_worker(_child(scene, "router").pid))
    else:
        if kind.startswith("dockerd"):
            live_restore(scene, on=kind == "dockerd-live")
        children = [_child(scene, _PRODUCTS.get(kind, kind))]
        _sigkill(children[0].pid)
    for child in children:
        _bury(child)


def _bury(child: Child) -> None:
    """Wait for the end of a child that was killed: dockerd thinks that a zombie still runs."""
    patiently(lambda: not child.alive, 10.0, pause=0.01)
    stop(child)


def live_restore(scene: Scene, *, on: bool) -> None:
    """Have the engine leave its containers alone when it goes (or not); it reads that again on SIGHUP."""
    _DAEMON.write_text(json.dumps({"live-restore": on}))
    os.kill(_child(scene, "dockerd").pid, signal.SIGHUP)
    time.sleep(0.3)  # there is no answer to a signal


def _end_of_the_world(spared: set[int]) -> None:
    """Kill every process of the campaign's own machine, containers and all, except these."""

    def none_is_left() -> bool:
        found = [pid for folder in Path("/proc").glob("[0-9]*") if (pid := int(folder.name)) not in spared]
        alive = [pid for pid in found if _lives(pid)]
        for pid in alive:
            _sigkill(pid)
        return not alive

    patiently(none_is_left, 10.0)


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _worker(master: int) -> int:
    """Find the worker that serves: the youngest child of the master."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(children[-1])


def _child(scene: Scene, product: str) -> Child:
    child = scene.stack.status()[product]
    if child is None:
        raise RuntimeError(f"{product} does not run: it cannot be killed")
    return child


def _sigkill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def _frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
