"""`interlock environments`: the profile matrix."""

from collections.abc import Mapping

import typer
from rich.text import Text

from cli import options, show
from config.load import catalog, load
from domain.environment.profile import Environment
from domain.environment.topology import path_to
from domain.policy.approval import seats_text

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock env`")
def environments(json: options.Json = False) -> None:
    """Compare the environments: size, strictness, who approves."""
    known = catalog(load()).environments
    ordered = sorted(known.values(), key=lambda it: (len(path_to(it.name, known)), it.name))
    if json:
        show.data([environment.model_dump(mode="json") for environment in ordered])
        return
    columns = [facts(environment) for environment in ordered]
    keys = list(columns[0]) if columns else []
    rows: list[list[str | Text]] = [[Text(key, "bold"), *(column[key] for column in columns)] for key in keys]
    show.table("", ["", *(environment.name for environment in ordered)], rows, "no environment is described")


def facts(environment: Environment) -> Mapping[str, str]:
    """Say what a profile means, one line per property."""
    rollout = environment.rollout
    judged = rollout.evidence == "traffic"
    shares = " → ".join(map(str, rollout.shares(environment.replicas, judged=judged)))
    shares += " → bake → 100" if judged and rollout.holdback else ""
    return {
        "after": environment.after or "–",
        "replicas": str(environment.replicas),
        "resources": f"{environment.resources.cpus} cpu, {environment.resources.memory}",
        "debug": "on" if environment.debug else "off",
        "log level": environment.log_level,
        "external APIs": environment.external_apis,
        "data": environment.data,
        "access": environment.access,
        "SLA": f"{environment.sla:g} %" if environment.sla is not None else "–",
        "rollout": f"{rollout.strategy} {shares} %",
        "evidence": rollout.evidence,
        "patience": f"{rollout.patience:g} s",
        "bake": f"{rollout.bake:g} s",
        "when busy": environment.on_busy,
        "approvals": seats_text(environment.seats) or "none",
        "approval expires": f"{environment.approval_expires / 3600:g} h",
    }
