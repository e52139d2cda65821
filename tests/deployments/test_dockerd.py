import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from adapters.docker_engine import Engine
from deployments.embedded import base_image, dockerd
from deployments.embedded.process import Child, stop


@pytest.mark.real
def test_an_engine_that_answers_is_used_as_it_is(tmp_path: Path) -> None:
    assert dockerd.answers(dockerd.SOCKET)
    assert dockerd.ensure(tmp_path) is None


@pytest.mark.real
def test_an_engine_is_started_where_none_answers(tmp_path: Path) -> None:
    """In a network namespace of its own (unshare), so that the machine's engine keeps its bridge."""
    host = f"unix://{tmp_path}/d.sock"
    own = [f"--data-root={tmp_path}/data", f"--exec-root={tmp_path}/exec", f"--pidfile={tmp_path}/pid"]
    options = [*own, "--bridge=none", "--iptables=false", "--storage-driver=vfs"]
    asked = f"from deployments.embedded.dockerd import *; print(ensure(Path({str(tmp_path)!r}), {host!r}, {options!r})"
    command = ["unshare", "--net", sys.executable, "-c", f"{asked}.model_dump_json())"]
    bridge = Path("/sys/class/net/docker0").exists()
    assert not dockerd.answers(host)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    child = Child.model_validate_json(done.stdout)
    try:
        assert dockerd.answers(host)
        assert dockerd.ensure(tmp_path, host) is None
    finally:
        stop(child, patience=30)
    assert not dockerd.answers(host)
    assert Path("/sys/class/net/docker0").exists() == bridge


@pytest.mark.real
def test_clearing_a_stack_leaves_every_other_stack_alone() -> None:
    api, image = Engine(None).api, base_image.ensure()
    stacks = [f"test-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    for stack in stacks:
        labels = {"interlock.stack": stack}
        api.create_network(f"interlock-{stack}-dev", labels=labels)
        api.create_container(image=image, name=stack, labels=labels)
        api.create_volume(f"interlock-{stack}-token-1", labels=labels)

    def left(stack: str) -> int:
        labelled = {"label": f"interlock.stack={stack}"}
        volumes = api.volumes(filters=labelled)["Volumes"]
        return len(api.containers(all=True, filters=labelled)) + len(api.networks(filters=labelled)) + len(volumes)

    try:
        dockerd.clear(stacks[0])
        assert (left(stacks[0]), left(stacks[1])) == (0, 3)
    finally:
        dockerd.clear(stacks[1])
    assert left(stacks[1]) == 0
