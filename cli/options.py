"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="A file in config/services.", show_default=False)]
Release = Annotated[
    str, typer.Argument(metavar="RELEASE", help="A release, as `interlock status` names it.", show_default=False)
]
Environment = Annotated[
    str, typer.Argument(metavar="ENVIRONMENT", help="One of the service's environments.", show_default=False)
]
Ref = Annotated[str, typer.Option(help="Branch, tag or commit.")]
To = Annotated[str, typer.Option(help="The last environment; those before it come first.")]
Requester = Annotated[
    str,
    typer.Option(
        envvar="INTERLOCK_ME",
        help="Your name in people.yaml; left out: your git identity.",
        show_default=False,
    ),
]
Myself = Annotated[
    str,
    typer.Option(
        "--as", envvar="INTERLOCK_ME", help="Your name in people.yaml; left out: your git identity.", show_default=False
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(envvar="INTERLOCK_KEY", help="Private key; left out: yours in ~/.ssh, or in the agent."),
]
Reason = Annotated[str, typer.Option(help="Why; it goes into the record.", show_default=False)]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the journal until it is over, or waits for you.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Print data instead of words.")]
