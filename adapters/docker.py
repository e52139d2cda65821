"""Docker Engine: one product behind two ports."""

from adapters.docker_build import DockerBuild
from adapters.docker_engine import Engine
from adapters.docker_keeper import DockerKeeper
from adapters.docker_workload import DockerWorkload
from domain.ports import Secrets


class Docker(DockerBuild, DockerWorkload, DockerKeeper):
    """Builder and Workload on one engine; everything it makes carries the label `interlock.stack=<stack>`."""

    def __init__(self, host: str | None, stack: str, secrets: Secrets) -> None:
        engine = Engine(host)
        DockerBuild.__init__(self, engine, stack)
        DockerWorkload.__init__(self, engine, stack, secrets)
        DockerKeeper.__init__(self, engine, stack)
