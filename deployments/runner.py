"""Run flows on this machine: one process that waits for runs and starts each in a process of its own.

`python -m deployments.runner` is started by the embedded stack; PREFECT_API_URL says whom it serves.
"""

import logging
import time
from collections.abc import Sequence

from prefect import serve
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_RUNNER_POLL_FREQUENCY, temporary_settings

from config.load import catalog, load
from deployments import watch
from deployments.choices import offer
from deployments.register import described, settled

_LOG = logging.getLogger("interlock.runner")
PAUSE = 2.0
"""Seconds after which a runner that was cut off begins again."""
AT_ONCE = 10  # runs; a gate that waits for a person is suspended and takes no place


def run(deployments: Sequence[RunnerDeployment]) -> None:
    """Serve these deployments until SIGTERM; their schedules stay as the operators left them.

    Polls every second: with Prefect's default of ten, a person who presses Run waits that long for a first line.
    Prefect's own runner gives up when its server has not answered for a while; this one begins again.
    """
    with get_client(sync_client=True) as client:
        ready = settled(deployments, client)
    with temporary_settings({PREFECT_RUNNER_POLL_FREQUENCY: 1}):
        while True:
            try:
                return serve(*ready, pause_on_shutdown=False, print_starting_message=False, limit=AT_ONCE)
            except Exception:  # the server or its database is away: whatever ended here is found by the sweep
                _LOG.exception("the runner was cut off; it begins again in %g s", PAUSE)
                time.sleep(PAUSE)


if __name__ == "__main__":
    watch.start()
    run(offer(described(), catalog(load())))
