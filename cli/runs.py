"""Talk to Prefect's server: start a run, look at it, wake the one that waits for people."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings
from prefect.utilities.urls import url_for

from config.settings import Prefect
from domain.errors import Conflict, Invalid, Unavailable

_PAUSE, _TRIES = 0.5, 20


@dataclass(frozen=True)
class Run:
    """A flow run as the server knows it."""

    id: str
    url: str
    state: str
    message: str
    paused: bool
    over: bool
    worked: bool


def start(deployment: str, parameters: dict[str, Any], prefect: Prefect) -> Run:
    """Ask for a run of a deployment, such as `release/interlock`. Raises Invalid when nobody registered it."""
    with _client(prefect) as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound as error:
            raise Invalid(f"Prefect has no deployment {deployment}", "`make up` registers it") from error
        return _run(client.create_flow_run_from_deployment(found.id, parameters=parameters))


def look(run: str, prefect: Prefect) -> Run:
    """Look at a run."""
    with _client(prefect) as client:
        return _run(client.read_flow_run(UUID(run)))


def wake(release: str, first: str, prefect: Prefect) -> str:
    """Resume the run of a release that waits for people, and return where it is to be seen.

    `first` is the run that opened the release; another may have continued it since. A resume says nothing about who
    answered what: the flow looks into the journal. Raises Conflict when no run waits, or the server will not resume it.
    """
    with _client(prefect) as client:
        for _ in range(_TRIES):
            if found := _waiting(client, release, first):
                break
            time.sleep(_PAUSE)
        else:
            raise Conflict(f"no run of {release} waits for people")
        answer = client.resume_flow_run(found.id, run_input={"signed": ""})
        if answer.status != SetStateStatus.ACCEPT:  # a refusal comes as HTTP 200, too
            raise Conflict(
                f"Prefect would not resume run {found.name}: {getattr(answer.details, 'reason', answer.status)}"
            )
        return _url(found)


def _waiting(client: SyncPrefectClient, release: str, first: str) -> FlowRun | None:
    paused = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])))
    flow = FlowFilter(name=FlowFilterName(any_=["release", "reconcile"]))
    found = client.read_flow_runs(
        flow_filter=flow, flow_run_filter=paused, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=200
    )
    return next((run for run in found if str(run.id) == first or run.parameters.get("resume") == release), None)


def _run(run: FlowRun) -> Run:
    state = run.state
    return Run(
        id=str(run.id),
        url=_url(run),
        state=state.name or state.type.value if state else "unknown",
        message=(state.message or "") if state else "",
        paused=bool(state and state.is_paused()),
        over=bool(state and state.is_final()),
        worked=bool(state and state.is_completed()),
    )


def _url(run: FlowRun) -> str:
    return url_for("flow-run", obj_id=run.id) or str(run.id)


@contextmanager
def _client(prefect: Prefect) -> Iterator[SyncPrefectClient]:
    """Connect to the server that the settings name, or else Prefect's own profile; it retries 503s itself.

    Raises Unavailable when the server does not answer.
    """
    named = {PREFECT_API_URL: prefect.api, PREFECT_UI_URL: prefect.ui}
    with temporary_settings({setting: url for setting, url in named.items() if url}):
        if (
            api := PREFECT_API_URL.value()
        ) is None:  # Prefect would start a server of its own, and nobody's flows run there
            raise Invalid("no Prefect server is named", "write prefect.api into the settings file")
        try:
            with get_client(sync_client=True) as client:
                yield client
        except httpx.HTTPError as error:
            raise Unavailable(f"Prefect at {api}: {error}", "is it up? `make status` shows it") from error
