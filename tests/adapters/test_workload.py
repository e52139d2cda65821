import io
import json
import socket
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.docker import Docker
from adapters.docker_container import CONDEMNED
from adapters.docker_engine import Engine
from adapters.http import HttpProbe
from adapters.memory.workload import MemoryWorkload
from adapters.registry import OCIRegistry
from deployments.embedded import base_image, dockerd, registry
from deployments.embedded.process import stop
from domain.environment.profile import Resources
from domain.errors import Conflict, Invalid, Rejected, Unavailable
from domain.ports import Workload
from domain.release.artifact import Artifact, Deployment, Recipe
from domain.release.service import Runtime
from tests.adapters.zombie import NAP, Zombie

APP = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class App(BaseHTTPRequestHandler):
    def do_GET(self):
        secrets = {k: open(v).read() for k, v in os.environ.items() if k.endswith("_FILE") and k.startswith("PASS")}
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"env": dict(os.environ), "secrets": secrets, "uid": os.getuid()}).encode())
    def log_message(self, *_): pass
if not os.environ.get("QUIET"): print("listening", flush=True)
HTTPServer(("", int(os.environ["PORT"])), App).serve_forever()
"""
SLOW = ("python3", "-c", "import time; print('begun', flush=True); time.sleep(600)")
FAILS = ("python3", "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")


class Vault:
    """Knows one password, and counts how often it was asked."""

    asked = 0

    def resolve(self, reference: str) -> str:
        self.asked += 1
        if reference != "secret://vault/password":
            raise Invalid(f"{reference} is not in the vault")
        return "hunter2-hunter2"


@dataclass
class Place:
    """One workload with an artifact to run, in environments of its own."""

    workload: Workload
    artifact: Artifact
    memory: MemoryWorkload | None = None

    def deployment(self, environment: str, **changes: Any) -> Deployment:
        known = {
            "service": "shop",
            "environment": environment,
            "release": "r-1",
            "version": "1.0.0",
            "slot": "blue",
            "artifact": self.artifact,
            "replicas": 1,
            "resources": Resources(memory="64m"),
            "runtime": Runtime(port=8080),
            "config": {"MOTTO": "plain"},
            "token": 7,
        }
        return Deployment.model_validate({**known, **changes})


@dataclass
class Published:
    docker: Docker
    vault: Vault
    stack: str
    artifact: Artifact
    api: Any


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """An engine, a registry and one image in both."""
    base_image.ensure()
    stack, vault = f"test-{uuid.uuid4().hex[:8]}", Vault()
    docker = Docker(None, stack, vault)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    child = registry.start(tmp_path_factory.mktemp("registry"), port)
    files = {
        "Dockerfile": 'ARG BASE\nFROM ${BASE}\nCOPY app.py /\nUSER 65534\nCMD ["python3", "/app.py"]\n',
        "app.py": APP,
    }
    recipe = Recipe(
        service="shop", version="1.0.0", commit="c" * 40, dockerfile="Dockerfile", args={"BASE": base_image.TAG}
    )
    there = OCIRegistry(f"http://127.0.0.1:{port}")
    try:
        digest = docker.push(docker.build(recipe, packed(files)), there.repository("shop"), "1.0.0")
        artifact = there.resolve(there.repository("shop"), digest)
        assert artifact is not None
        yield Published(docker, vault, stack, artifact, Engine(None).api)
    finally:
        dockerd.clear(stack)
        stop(child)


@pytest.fixture(params=["memory", pytest.param("docker", marks=pytest.mark.real)])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "docker":
        real: Published = request.getfixturevalue("published")
        return Place(real.docker, real.artifact)
    memory = MemoryWorkload(Vault())
    artifact = Artifact(repository="r/shop", version="1.0.0", digest=f"sha256:{'a' * 64}", image=f"sha256:{'b' * 64}")
    return Place(memory, artifact, memory)


@pytest.fixture
def environment(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh environment; what was started in it is removed, so that networks do not run out."""
    name = f"e{uuid.uuid4().hex[:8]}"
    yield name
    if "published" in request.fixturenames or "docker" in request.node.name:
        real: Published = request.getfixturevalue("published")
        label = {"label": f"interlock.environment={name}"}
        for row in real.api.containers(all=True, filters=label):
            real.api.remove_container(row["Id"], force=True)
        for row in real.api.networks(filters=label):
            real.api.remove_network(row["Id"])
        for row in real.api.volumes(filters=label)["Volumes"] or ():
            real.api.remove_volume(row["Name"])


def packed(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def eventually(question: Callable[[], bool]) -> bool:
    """Ask for a while; False when the answer stays no."""
    for _ in range(600):
        if question():
            return True
        time.sleep(0.05)
    return False


def said_by(address: str) -> dict[str, Any]:
    """Ask the app who it is, as soon as it answers."""
    for _ in range(600):
        try:
            return json.loads(HttpProbe().request("GET", f"http://{address}:8080/", None, 5.0)[1])  # type: ignore[no-any-return]
        except Unavailable:
            time.sleep(0.05)
    raise AssertionError(f"{address} never answered")


def test_a_deployment_starts_its_replicas_and_they_are_listed(place: Place, environment: str) -> None:
    wanted = place.deployment(environment, replicas=2)
    started = place.workload.start(wanted)
    assert place.workload.running("shop", environment) == started
    assert {replica.config_digest for replica in started} == {wanted.config_digest}
    assert [replica.name.rsplit("-", 3)[1:] for replica in started] == [[environment, "blue", i] for i in ("0", "1")]
    for replica in started:
        assert (replica.image, replica.version, replica.slot) == (place.artifact.image, "1.0.0", "blue")
        assert (replica.release, replica.token, replica.port, replica.running) == ("r-1", 7, 8080, True)
    assert len({replica.address for replica in started} - {""}) == 2
    assert place.workload.running("shop", "elsewhere") == ()


def test_starting_twice_keeps_what_runs_and_adds_what_is_missing(place: Place, environment: str) -> None:
    wanted = place.deployment(environment, replicas=2)
    first, second = place.workload.start(wanted)
    assert place.workload.start(wanted.model_copy(update={"token": 8})) == (first, second)
    place.workload.stop([first], grace=0, token=8)
    again = place.workload.start(wanted.model_copy(update={"token": 8}))
    assert again[0].id != first.id
    assert again[1] == second


@pytest.mark.parametrize("change", [{"release": "r-2"}, {"config": {"MOTTO": "new"}}, {"runtime": Runtime(port=9090)}])
def test_a_replica_of_another_release_or_config_is_replaced(
    place: Place, environment: str, change: dict[str, Any]
) -> None:
    (before,) = place.workload.start(place.deployment(environment))
    (after,) = place.workload.start(place.deployment(environment, **change))
    assert after.name == before.name
    assert after.id != before.id
    assert place.workload.running("shop", environment) == (after,)


def test_the_slots_stand_side_by_side(place: Place, environment: str) -> None:
    blue = place.workload.start(place.deployment(environment))
    green = place.workload.start(place.deployment(environment, slot="green", release="r-2"))
    assert place.workload.running("shop", environment) == blue + green


def test_a_stale_token_is_refused_and_changes_nothing(place: Place, environment: str) -> None:
    started = place.workload.start(place.deployment(environment, token=9))
    with pytest.raises(Conflict, match="newer owner"):
        place.workload.start(place.deployment(environment, slot="green", token=8))
    assert place.workload.running("shop", environment) == started


def test_a_stale_token_touches_no_replica_that_a_newer_owner_kept(place: Place, environment: str) -> None:
    wanted = place.deployment(environment)
    place.workload.start(wanted)
    kept = place.workload.start(wanted.model_copy(update={"token": 8}))
    for stale in (
        lambda: place.workload.stop(kept, grace=0, token=7),
        lambda: place.workload.run(wanted, FAILS, timeout=60),
        lambda: place.workload.start(wanted.model_copy(update={"release": "r-2"})),
    ):
        with pytest.raises(Conflict, match="newer owner, token 8; mine is 7"):
            stale()
    assert place.workload.running("shop", environment) == kept
    place.workload.stop(kept, grace=0, token=9)
    with pytest.raises(Conflict, match="shop"):
        place.workload.start(place.deployment(environment, token=8))  # nothing is left that could carry a label
    assert place.workload.running("shop", environment) == ()


def test_a_claimed_environment_refuses_older_owners_before_anything_runs_there(place: Place, environment: str) -> None:
    place.workload.claim("shop", environment, 8)
    for stale in (
        lambda: place.workload.start(place.deployment(environment, token=7)),
        lambda: place.workload.claim("shop", environment, 7),
    ):
        with pytest.raises(Conflict, match="newer owner, token 8; mine is 7"):
            stale()
    assert place.workload.running("shop", environment) == ()
    assert place.workload.start(place.deployment(environment, token=8)) == place.workload.running("shop", environment)


@pytest.mark.real
def test_a_newer_owner_ends_the_command_of_an_older_one(published: "Published", environment: str) -> None:
    place, there = Place(published.docker, published.artifact), {"label": f"interlock.environment={environment}"}
    with ThreadPoolExecutor(1) as beside:
        older = beside.submit(lambda: place.workload.run(place.deployment(environment), SLOW, timeout=50))
        assert eventually(lambda: bool(published.api.containers(filters=there)))
        place.workload.claim("shop", environment, 8)
        assert published.api.containers(all=True, filters=there) == []
        with pytest.raises((Conflict, Rejected), match="newer owner"):
            older.result(timeout=30)


@pytest.mark.real
@pytest.mark.parametrize(
    ("act", "place"),
    [
        ("retire", "before rename"),
        ("retire", "after rename"),
        ("retire", "before stop"),
        ("deploy", "before rename"),
        ("deploy", "before remove_container"),
    ],
)
def test_an_owner_who_is_stopped_in_the_middle_harms_no_replica_of_a_newer_one(
    published: Published, environment: str, act: str, place: str
) -> None:
    """Before or after a request to the engine, in the middle of stopping a replica, or of replacing it."""
    here = Place(published.docker, published.artifact)
    (before,) = published.docker.start(here.deployment(environment, token=3))
    forward = here.deployment(environment, release="r-2").model_dump_json()
    zombie = Zombie(act, place, 5, published.stack, forward)
    here_now = published.docker.running("shop", environment)
    assert not [replica for replica in here_now if replica.running and replica.name.endswith(CONDEMNED)]
    (mine,) = published.docker.start(here.deployment(environment, token=7))
    assert (mine.id == before.id) == (place == "before rename")
    assert zombie.wake().startswith("Conflict")
    assert published.api.inspect_container(mine.id)["State"]["Running"]
    left = [replica for replica in published.docker.running("shop", environment) if replica.id != mine.id]
    assert not [replica for replica in left if replica.running]


@pytest.mark.real
def test_a_check_of_a_newer_owner_is_not_removed_by_an_older_one(published: Published, environment: str) -> None:
    here = Place(published.docker, published.artifact)
    command = here.deployment(environment).model_dump_json()
    zombie = Zombie("check", "after create_container", 5, published.stack, command)
    with ThreadPoolExecutor(1) as pool:
        newer = pool.submit(published.docker.run, here.deployment(environment, token=7), NAP, timeout=60)
        mine = {"label": [f"interlock.environment={environment}", "interlock.token=7"], "status": "running"}
        assert eventually(lambda: bool(published.api.containers(filters=mine)))
        assert zombie.wake().startswith("Conflict")
        assert newer.result().exit_code == 0


def test_a_replica_that_logs_is_told_from_a_silent_one(place: Place, environment: str) -> None:
    if place.memory:
        place.memory.silent.add("2.0.0")
    (loud,) = place.workload.start(place.deployment(environment))
    quiet_one = place.deployment(environment, slot="green", version="2.0.0", config={"QUIET": "1"})
    (quiet,) = place.workload.start(quiet_one)
    assert eventually(lambda: place.workload.logged(loud))
    assert not place.workload.logged(quiet)
    place.workload.stop([loud, quiet], grace=1, token=7)
    assert not place.workload.logged(loud)


def test_stopping_twice_is_fine(place: Place, environment: str) -> None:
    started = place.workload.start(place.deployment(environment, replicas=2))
    place.workload.stop(started[:1], grace=5, token=7)
    assert place.workload.running("shop", environment) == started[1:]
    place.workload.stop(started, grace=5, token=7)
    assert place.workload.running("shop", environment) == ()


def test_a_command_runs_once_and_its_exit_code_comes_back(place: Place, environment: str) -> None:
    if place.memory:
        place.memory.exit_codes[FAILS] = 3
    result = place.workload.run(place.deployment(environment), FAILS, timeout=60)
    assert result.exit_code == 3
    assert result.output
    assert place.workload.running("shop", environment) == ()


def test_a_command_that_does_not_end_is_rejected(place: Place, environment: str) -> None:
    if place.memory:
        place.memory.exit_codes[SLOW] = None
    with pytest.raises(Rejected, match="not done after 1 s"):
        place.workload.run(place.deployment(environment), SLOW, timeout=1)
    assert place.workload.running("shop", environment) == ()


def test_a_secret_that_cannot_be_resolved_starts_nothing(place: Place, environment: str) -> None:
    with pytest.raises(Invalid, match="secret://vault/unknown"):
        place.workload.start(place.deployment(environment, config={"PASSWORD": "secret://vault/unknown"}))
    assert place.workload.running("shop", environment) == ()


@pytest.mark.real
def test_a_secret_reaches_the_app_and_nothing_else(published: Published, environment: str) -> None:
    place = Place(published.docker, published.artifact)
    config = {"PASSWORD": "secret://vault/password", "MOTTO": "plain"}
    (replica,) = published.docker.start(place.deployment(environment, config=config))
    said = said_by(replica.address)
    assert said["secrets"] == {"PASSWORD_FILE": "hunter2-hunter2"}
    assert "PASSWORD" not in said["env"]
    assert said["env"]["MOTTO"] == "plain"
    assert (said["env"]["INTERLOCK_VERSION"], said["env"]["INTERLOCK_RELEASE"]) == ("1.0.0", "r-1")
    assert (said["env"]["INTERLOCK_ENVIRONMENT"], said["env"]["PORT"]) == (environment, "8080")
    assert said["uid"] == 65534
    inspected = json.dumps(
        [published.api.inspect_container(replica.id), published.api.history(published.artifact.image)]
    )
    assert "hunter2" not in inspected
    stat = published.docker.run(
        place.deployment(environment, config=config),
        ("python3", "-c", "import os; print(os.stat('/run/secrets/PASSWORD'))"),
        60,
    ).output
    assert "st_mode=33024" in stat  # 0o100400: the app's user alone
    assert "st_uid=65534" in stat


@pytest.mark.real
def test_limits_logs_and_restarts_are_set(published: Published, environment: str) -> None:
    place = Place(published.docker, published.artifact)
    (replica,) = published.docker.start(place.deployment(environment, resources=Resources(cpus=0.25, memory="96m")))
    seen = published.api.inspect_container(replica.id)
    host = seen["HostConfig"]
    assert (host["NanoCpus"], host["Memory"]) == (250_000_000, 96 << 20)
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert host["RestartPolicy"]["Name"] == "always"
    assert seen["Config"]["StopSignal"] == "SIGTERM"
    assert seen["Config"]["Image"] == published.artifact.reference
    assert host["Init"] is True


@pytest.mark.real
def test_a_stopped_replica_is_listed_and_started_again(published: Published, environment: str) -> None:
    wanted = Place(published.docker, published.artifact).deployment(environment)
    (replica,) = published.docker.start(wanted)
    published.api.kill(replica.id)
    assert eventually(lambda: not published.docker.running("shop", environment)[0].running)
    (again,) = published.docker.start(wanted)
    assert (again.id, again.running) == (replica.id, True)


@pytest.mark.real
def test_a_container_whose_maker_died_before_its_secrets_arrived_is_made_again(
    published: Published, environment: str
) -> None:
    config = {"PASSWORD": "secret://vault/password"}
    wanted = Place(published.docker, published.artifact).deployment(environment, config=config)
    (whole,) = published.docker.start(wanted)
    labels = published.api.inspect_container(whole.id)["Config"]["Labels"]
    published.docker.stop([whole], grace=0, token=7)
    half = published.api.create_container(image=published.artifact.image, name=whole.name, labels=labels)["Id"]
    (replica,) = published.docker.start(wanted)
    assert replica.id != half
    assert said_by(replica.address)["secrets"] == {"PASSWORD_FILE": "hunter2-hunter2"}


@pytest.mark.real
def test_a_container_that_somebody_labelled_by_hand_is_no_replica_unless_it_says_everything(
    published: Published, environment: str
) -> None:
    known = {"stack": published.stack, "service": "shop", "environment": environment, "slot": "red"}
    labels = {f"interlock.{name}": value for name, value in known.items()}
    published.api.create_container(image=published.artifact.image, labels=labels)
    volume = published.api.create_volume(f"{published.stack}-{environment}", labels=labels)["Name"]
    assert published.docker.running("shop", environment) == ()
    wanted = Place(published.docker, published.artifact).deployment(environment)
    assert published.docker.start(wanted) == published.docker.running("shop", environment)
    published.api.remove_volume(volume)  # it is still there: it only looked like one that keeps a token


@pytest.mark.real
def test_secrets_are_resolved_only_for_what_is_started(published: Published, environment: str) -> None:
    config = {"PASSWORD": "secret://vault/password"}
    wanted = Place(published.docker, published.artifact).deployment(environment, config=config)
    published.docker.start(wanted)
    before = published.vault.asked
    published.docker.start(wanted)
    assert published.vault.asked == before


@pytest.mark.real
def test_two_owners_of_a_fresh_environment_share_one_network(published: Published, environment: str) -> None:
    services = [
        Place(Docker(None, published.stack, Vault()), published.artifact).deployment(environment, service=f"shop{i}")
        for i in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda wanted: Docker(None, published.stack, Vault()).start(wanted), services))
    networks = published.api.networks(filters={"label": f"interlock.environment={environment}"})
    assert len(networks) == 1
    assert len({replica.address for (replica,) in started} - {""}) == 4


@pytest.mark.real
def test_a_replica_keeps_its_address_when_the_engine_starts_everything_in_another_order(
    published: Published, environment: str
) -> None:
    wanted = Place(published.docker, published.artifact).deployment(environment, replicas=3)
    before = published.docker.start(wanted)
    for replica in before:
        published.api.stop(replica.id, timeout=0)
    published.docker.run(wanted, ["sleep", "0"], timeout=60)  # it gets an address from the engine meanwhile
    for replica in reversed(before):
        published.api.start(replica.id)
    assert [it.address for it in published.docker.running("shop", environment)] == [it.address for it in before]


@pytest.mark.real
def test_an_environment_whose_network_is_older_than_own_addresses_still_works(
    published: Published, environment: str
) -> None:
    labels = {"interlock.stack": published.stack, "interlock.environment": environment}
    published.api.create_network(f"interlock-{published.stack}-{environment}", driver="bridge", labels=labels)
    (replica,) = published.docker.start(Place(published.docker, published.artifact).deployment(environment))
    assert replica.address


@pytest.mark.real
def test_an_image_that_the_engine_lacks_is_pulled_by_digest(published: Published, environment: str) -> None:
    published.api.remove_image(published.artifact.image, force=True)
    (replica,) = published.docker.start(Place(published.docker, published.artifact).deployment(environment))
    assert replica.image == published.artifact.image


@pytest.mark.real
def test_a_digest_that_holds_another_image_is_a_conflict(published: Published, environment: str) -> None:
    forged = published.artifact.model_copy(update={"image": f"sha256:{'0' * 64}"})
    with pytest.raises(Conflict, match="recorded as sha256:000"):
        published.docker.start(Place(published.docker, forged).deployment(environment))


@pytest.mark.real
def test_a_digest_that_the_registry_does_not_have_is_a_conflict(published: Published, environment: str) -> None:
    lost = published.artifact.model_copy(update={"digest": f"sha256:{'0' * 64}"})
    with pytest.raises(Conflict, match="not in the registry"):
        published.docker.start(Place(published.docker, lost).deployment(environment))


@pytest.mark.real
def test_a_command_sees_config_and_leaves_no_container(published: Published, environment: str) -> None:
    wanted = Place(published.docker, published.artifact).deployment(environment)
    result = published.docker.run(wanted, FAILS, timeout=60)
    assert sorted(result.output.split()) == ["err", "out"]
    flood = ("python3", "-c", "import os; print('x' * 200_000 + os.environ['MOTTO'])")
    output = published.docker.run(wanted, flood, timeout=60).output
    assert len(output) == 64 * 1024
    assert output.endswith("xplain\n")
    assert published.docker.run(wanted, ("no-such-program",), timeout=60).exit_code == 127
    assert not published.api.containers(all=True, filters={"label": f"interlock.environment={environment}"})


@pytest.mark.real
def test_a_config_key_that_is_no_variable_is_invalid(published: Published, environment: str) -> None:
    place = Place(published.docker, published.artifact)
    with pytest.raises(Invalid, match="etc/passwd"):
        published.docker.start(place.deployment(environment, config={"../../etc/passwd": "secret://vault/password"}))


@pytest.mark.real
def test_an_engine_that_does_not_answer_is_unavailable(published: Published, tmp_path: Path) -> None:
    gone = Docker(f"unix://{tmp_path}/docker.sock", "test", Vault())
    with pytest.raises(Unavailable, match=r"docker\.sock"):
        gone.start(Place(gone, published.artifact).deployment("e"))
