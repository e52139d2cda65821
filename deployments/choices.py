"""What the forms in the UI say and offer: plain titles, and services, environments and people as choices.

Prefect names a form's fields after the parameters and drops what `Annotated[…, Field(title, description)]` says; it is
put back here.

The choices are those of the moment of registration, so they guide and do not bind: the flows check what they get, with
messages that say what to do, and a service added since then can be released at once.
"""

from collections.abc import Sequence
from typing import get_type_hints

from prefect.deployments.runner import RunnerDeployment
from prefect.flows import load_flow_from_entrypoint

from config.catalog import Catalog
from domain.environment.topology import path_to


def offer(deployments: Sequence[RunnerDeployment], known: Catalog) -> tuple[RunnerDeployment, ...]:
    """Put the catalog's names into the forms of these deployments."""
    places = sorted(known.environments, key=lambda name: len(path_to(name, known.environments)))
    people = sorted(person.name for person in known.people.people)
    offered = {
        "service": sorted(known.services),
        "services": sorted(known.services),
        "to": places,
        "environment": places,
        "requester": people,
        "conductor": people,
        "name": sorted(known.copies),
    }
    for deployment in deployments:
        form, words = deployment._parameter_openapi_schema, _words(deployment)
        for name, field in form.properties.items():
            field.update(words.get(name, {}))
            if choices := offered.get(name):
                field.get("items", field)["enum"] = choices
            if name in ("requester", "conductor"):
                field.pop("default", None)
                form.required.append(name)
        deployment.enforce_parameter_schema = False
    return tuple(deployments)


def _words(deployment: RunnerDeployment) -> dict[str, dict[str, str]]:
    """Read titles and descriptions off the flow's own signature."""
    assert deployment.entrypoint is not None  # every deployment here names its flow
    hints = get_type_hints(load_flow_from_entrypoint(deployment.entrypoint).fn, include_extras=True)
    said = {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}
    return {
        name: {key: text for key in ("title", "description") if (text := getattr(field, key, None))}
        for name, field in said.items()
    }
