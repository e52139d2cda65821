"""What every test may ask for: a Prefect and a PostgreSQL of its own, free ports, a stack beside a developer's."""

import os
import random
import shutil
import socket
import tempfile
import tracemalloc  # noqa: F401  # pytest imports it while it reports a warning; met half imported, that fails the test
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import yaml

from config.settings import HOUSE
from deployments.embedded import dockerd, mark, postgres, process
from deployments.stack import Stack
from tests.adapters.shop import Shop

_ISOLATED = pytest.StashKey[tuple[Path, dict[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Hide the developer's Prefect and stack before anything imports Prefect, which reads its settings then.

    Without an address Prefect starts a server of its own in the middle of a test; it is told not to.
    """
    home = Path(tempfile.mkdtemp(prefix="interlock-tests-"))
    (home / "runtime").mkdir(mode=0o700)
    config.stash[_ISOLATED] = home, dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "INTERLOCK_"))]:
        del os.environ[name]
    os.environ |= {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "XDG_RUNTIME_DIR": str(home / "runtime"),
    }


def pytest_unconfigure(config: pytest.Config) -> None:
    """Put the environment back and remove the private home."""
    home, before = config.stash[_ISOLATED]
    os.environ.clear()
    os.environ.update(before)
    shutil.rmtree(home, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on just now, below those that the kernel hands out to clients."""
    with ExitStack() as held:
        return [_hold(held) for _ in range(count)]


def _hold(held: ExitStack) -> int:
    while True:
        probe, port = held.enter_context(socket.socket()), random.randrange(20000, 30000)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="session", autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """A Docker Engine for the real tests: the machine's own, or one that is started here and stopped at the end."""
    if not any(item.get_closest_marker("real") for item in request.session.items):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="il-engine-", ignore_cleanup_errors=True) as folder:
        child = dockerd.ensure(Path(folder))
        yield
        if child:
            process.stop(child)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The superuser's connection string of a real PostgreSQL 18; `shop` may create databases, `poor` may not."""
    with tempfile.TemporaryDirectory(prefix="interlock-pg-") as name, socket.socket() as free:
        Path(name).chmod(0o711)  # the cluster runs as another user
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        word = Path(name, "password")
        superuser = postgres.dsn(port, postgres.SUPERUSER, postgres.password_in(word), "postgres")
        child = postgres.start(Path(name, "cluster"), port=port, password=word, settings=["fsync=off"])
        try:
            postgres.role(superuser, "shop", "p@ss:w/rd shop", creates_databases=True)
            postgres.role(superuser, "poor", "poor-password")
            yield superuser
        finally:
            postgres.stop(child)


@pytest.fixture
def shop(server: str) -> Shop:
    return Shop(server)


@pytest.fixture(scope="session")
def free_port() -> int:
    """A port that nobody listens on just now."""
    return free_ports(1)[0]


def quick_config(target: Path) -> Path:
    """Copy the config folder with free ports for every service, and no more than seconds of patience and bake."""
    shutil.copytree(HOUSE / "config", target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for file in target.glob("services/*.yaml"):
        service = yaml.safe_load(file.read_text())
        places = service["environments"].values()
        for placement, port in zip(places, free_ports(len(places)), strict=True):
            placement["port"] = port
        file.write_text(yaml.safe_dump(service, sort_keys=False))
    for file in target.glob("environments/*.yaml"):
        profile = yaml.safe_load(file.read_text())
        profile["rollout"] |= {"bake": "2s", "patience": "2m"}
        file.write_text(yaml.safe_dump(profile, sort_keys=False))
    return target


@pytest.fixture(scope="session")
def new_stack() -> Callable[[Path], Stack]:
    """Describe a stack in a folder that gets in nobody's way; it is not started."""

    def describe(folder: Path) -> Stack:
        ports = dict(zip(("postgres", "registry", "prefect"), free_ports(3), strict=True))
        return Stack(folder, config=quick_config(folder / "config"), ports=ports)

    return describe


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path (unix sockets allow 107 bytes) that PostgreSQL's own user may walk through."""
    folder = Path(tempfile.mkdtemp(prefix="il-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(short_folder: Path, new_stack: Callable[[Path], Stack]) -> Iterator[Stack]:
    """A whole stack, up (half a minute); `stack.environment()` is what a command needs to talk to it."""
    stack = new_stack(short_folder / "stack")
    os.environ["INTERLOCK_FAULTS"] = str(stack.folder / "fault.json")  # absent, and nothing happens; see tasks/fault.py
    try:
        stack.up()
        yield stack
    finally:
        stack.down(purge=True)
        assert not list(mark.carriers(stack.name))


@pytest.fixture(scope="session")
def prefect_harness() -> Iterator[None]:
    """A Prefect server for flows that run inside the test process (15 s, once)."""
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415  # 2 s that most sessions need not pay

    with prefect_test_harness(server_startup_timeout=120):
        yield
