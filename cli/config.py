"""`interlock config`: check, show and describe the configuration."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from cli import options, show
from config.load import catalog, find_settings, load
from config.schema import json_schema, write
from domain.errors import Invalid
from domain.release.draw_up import configuration

app = typer.Typer(add_completion=False, help="Check, show and describe the configuration.", no_args_is_help=True)


@app.command(epilog="Example: `interlock config check`")
def check(json: options.Json = False) -> None:
    """Read every file; say all that is wrong.

    All problems at once, `file: path: message`; exits 2 when there are any.
    """
    path = find_settings()
    settings = load(path)
    known = catalog(settings)
    if json:
        show.data(
            {
                "settings": str(path),
                "services": sorted(known.services),
                "environments": sorted(known.environments),
                "people": sorted(person.name for person in known.people.people),
            }
        )
        return
    show.say(f"settings      {path}")
    show.say(f"services      {', '.join(sorted(known.services)) or 'none'}")
    show.say(f"environments  {', '.join(sorted(known.environments)) or 'none'}")
    keyless = sorted(person.name for person in known.people.people if not person.keys)
    show.say(f"people        {', '.join(sorted(person.name for person in known.people.people)) or 'nobody yet'}")
    if keyless:
        show.say(f"without a key, so they cannot approve: {', '.join(keyless)}", "yellow")
    show.say("nothing is wrong", "green")


@app.command(epilog="Example: `interlock config schema --folder .schemas`")
def schema(
    folder: Annotated[Path | None, typer.Option(help="Write one NAME.schema.json per kind of file here.")] = None,
) -> None:
    """Print the JSON Schema of every file.

    With a folder they are written there, for your editor.
    """
    if folder is None:
        show.data(json_schema())
        return
    for path in write(folder):
        show.say(str(path))


@app.command("show", epilog="Example: `interlock config show shop production`")
def show_(
    service: options.Service,
    environment: Annotated[
        str, typer.Argument(metavar="ENVIRONMENT", help="One of the service's environments.", show_default=False)
    ],
    json: options.Json = False,
) -> None:
    """Show what a service gets in an environment.

    The effective values, defaults included; secrets stay references.
    """
    known = catalog(load())
    spec, place = known.service(service), known.environment(environment)
    placement = spec.environments.get(environment)
    if placement is None:
        raise Invalid(
            f"services/{service}.yaml: environments.{environment}: missing",
            f"{service} runs in: {', '.join(sorted(spec.environments))}",
        )
    effective = {
        "service": spec.model_dump(mode="json", by_alias=True, exclude={"environments"}),
        "environment": place.model_dump(mode="json"),
        "port": placement.port,
        "database": placement.database,
        "variables": configuration(place, placement),
    }
    if json:
        show.data(effective)
    else:
        show.say(yaml.safe_dump(effective, sort_keys=False, allow_unicode=True).rstrip())
