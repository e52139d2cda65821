"""Kill this process at a chosen point, for campaigns that prove that nothing is lost by it; off in production.

It is off unless INTERLOCK_FAULTS names a file that exists. The file describes one point; the first process that reaches
it claims the file by renaming it to FILE.fired, writes down who it was, and is gone.
"""

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import Field

from domain.value import Value

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_PASSED: Counter[str] = Counter()


class Fault(Value):
    """One point in a release, and what happens there; an empty field matches everything.

    Before and after `intended` and `done` are the four points of a step; a `delay` reaches into the effect between.
    """

    when: Literal["before", "after"]
    fact: str = Field(description="kind of the fact that is being written")
    name: str = Field(default="", description="verb of a step, or phase")
    environment: str = ""
    flow: str = ""
    nth: int = Field(default=1, ge=1, description="the how manieth time this process comes by")
    do: Literal["kill", "stop"] = "kill"
    delay: float = Field(default=0.0, ge=0, description="seconds after the point")


def point(when: Literal["before", "after"], fact: str, name: str = "", environment: str = "") -> None:
    """Come by a point; does not return when a campaign wants this process to end here."""
    if not (named := os.environ.get("INTERLOCK_FAULTS")):
        return
    file = Path(named)
    try:
        fault = Fault.model_validate_json(file.read_text())
    except FileNotFoundError:
        return  # nothing planned, or somebody else was hit
    flow = _flow() if fault.flow else ""
    here = {"when": when, "fact": fact, "name": name, "environment": environment, "flow": flow}
    if any(wanted and wanted != here[field] for field, wanted in fault.model_dump(include=set(here)).items()):
        return
    _PASSED[fault.model_dump_json()] += 1
    if _PASSED[fault.model_dump_json()] != fault.nth:
        return
    if fault.delay:
        threading.Timer(fault.delay, _hit, (file, fault)).start()
    else:
        _hit(file, fault)


def _hit(file: Path, fault: Fault) -> None:
    fired = file.with_name(f"{file.name}.fired")
    try:
        file.rename(fired)
    except FileNotFoundError:
        return
    fired.write_text(json.dumps({"pid": os.getpid(), "at": time.time(), "fault": fault.model_dump()}))
    signal.pthread_kill(threading.get_ident(), _SIGNALS[fault.do])  # by os.kill this thread may still run on a little


def _flow() -> str:
    from prefect.runtime import flow_run  # noqa: PLC0415  # two seconds that only a campaign pays

    return str(flow_run.get_flow_name() or "")
