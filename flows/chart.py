"""The judge's chart on the run's page, drawn anew every few seconds while a release is watched.

A thread of its own reads the journal and talks to Prefect: a release waits for neither of them, and fails with neither.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event, Thread
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.exceptions import Pause
from prefect.runtime import flow_run

from domain.canary.account.headline import headline
from domain.canary.account.report import names_of
from domain.canary.account.summary import summary
from domain.canary.account.trace import Trace
from domain.release.plan import Plan, Stage
from flows.report import artifact_key
from tasks.judge import judge_of
from tasks.step import Warrant

_LOG = logging.getLogger("interlock.chart")
EVERY = 3.0
"""Seconds between two pictures."""
LAST = 3.0
"""Seconds that a run which goes on, or suspends, has for the last one."""
_TIMEOUT = {"timeout": 10.0}  # seconds; a client of its own, too: the flow's is for the flow

Put = Callable[[str, str], None]  # (a sentence, Markdown)


@contextmanager
def charted(warrant: Warrant, plan: Plan, stage: Stage, put: Put | None = None) -> Iterator[None]:
    """Keep the chart of an environment on the run's page while a block runs.

    `put` shows it; left out: an artifact of this run, where it is one. A block that fails is not kept waiting for the
    last picture, because what follows is the way back.
    """
    run = flow_run.get_id()
    put = put or (Artifact(artifact_key(f"judge-{stage.environment}", warrant.release), UUID(run)) if run else None)
    if put is None or not stage.judged:
        yield
        return
    ended, chart = Event(), Chart(warrant, plan, stage, put)
    thread = Thread(target=copy_context().run, args=(chart.follow, ended), name="chart", daemon=True)
    thread.start()
    patience = 0.0
    try:
        yield
        patience = LAST
    except Pause:  # people are asked, and will want to look
        patience = LAST
        raise
    finally:
        ended.set()
        thread.join(patience)


class Chart:
    """Follows the journal and shows what the judge saw and said, as long as there is something new."""

    def __init__(self, warrant: Warrant, plan: Plan, stage: Stage, put: Put) -> None:
        self._release, self._journal, self._plan, self._environment = (
            warrant.release, warrant.journal, plan, stage.environment,
        )  # fmt: skip
        self._names, self._put = names_of(plan, stage.environment), put
        self._trace: Trace | None = None
        self._read = 0

    def follow(self, ended: Event) -> None:
        """Show a picture every few seconds, and one at the end; what fails is tried again with the next one."""
        over = False
        while not over:
            over = ended.wait(EVERY)
            try:
                self._show()
            except Exception as error:  # Prefect, the ledger or a drawing: none of them is worth a release
                _LOG.warning("%s: no chart of %s just now: %r", self._release, self._environment, error)

    def _show(self) -> None:
        if self._trace is None:
            self._trace = Trace(
                self._environment, judge_of(self._journal, self._plan, self._release, self._environment)
            )
        new = self._journal.entries(
            release=self._release, environment=self._environment, kinds=("looked", "judged"), after=self._read
        )
        if new:
            self._read = new[-1].seq
            self._trace.take(new)
            self._put(headline(self._trace, self._names), summary(self._trace, self._names))


class Artifact:
    """A Markdown artifact of one run, made once and then changed in place: one picture, not hundreds."""

    def __init__(self, key: str, run: UUID) -> None:
        self._key, self._run = key, run
        self._id: UUID | None = None

    def __call__(self, sentence: str, text: str) -> None:
        """Show a text under a sentence."""
        with get_client(httpx_settings=_TIMEOUT, sync_client=True) as client:
            if self._id is None:
                own = ArtifactFilter(
                    key=ArtifactFilterKey(any_=[self._key]), flow_run_id=ArtifactFilterFlowRunId(any_=[self._run])
                )
                self._id = next((found.id for found in client.read_artifacts(artifact_filter=own)), None)
            shown = {"data": text, "description": sentence}
            if self._id is None:
                new = ArtifactCreate(key=self._key, type="markdown", flow_run_id=self._run, **shown)
                self._id = client.create_artifact(new).id
            else:  # not update_artifact: it sends all of the text once more, as an event that is kept for days
                client.request("PATCH", "/artifacts/{id}", json=shown, path_params={"id": self._id})
