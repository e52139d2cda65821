"""What a container of a deployment looks like, and what its labels say about it afterwards."""

import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from domain.errors import Invalid
from domain.ports import Secrets
from domain.release.artifact import Deployment, Replica
from domain.release.route import Slot

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = "secret://"
TOKEN = "interlock.token"
CONDEMNED = "-leaving"
_NUMBERS = (TOKEN, "interlock.port")
_WORDS = tuple(f"interlock.{name}" for name in ("service", "environment", "release", "version", "slot", "config"))
Row = Mapping[str, Any]


def place(stack: str, service: str, environment: str) -> dict[str, str]:
    """Label what belongs to a service in an environment."""
    known = {"stack": stack, "service": service, "environment": environment}
    return {f"interlock.{name}": value for name, value in known.items()}


def filters(stack: str, service: str, environment: str) -> dict[str, list[str]]:
    """Ask the engine for what carries these labels."""
    return {"label": [f"{name}={value}" for name, value in place(stack, service, environment).items()]}


def labels(deployment: Deployment, stack: str) -> dict[str, str]:
    """Name everything that `replica` and `same` want to know later."""
    known = {
        "release": deployment.release,
        "version": deployment.version,
        "slot": deployment.slot,
        "port": str(deployment.runtime.port),
        "config": deployment.config_digest,
    }
    said = {f"interlock.{name}": value for name, value in known.items()}
    return place(stack, deployment.service, deployment.environment) | said | {TOKEN: str(deployment.token)}


def variables(deployment: Deployment) -> dict[str, str]:
    """List the environment variables: plain values as they are, KEY_FILE for a secret, and who and where it is.

    Raises Invalid for a config key that cannot be a variable.
    """
    if wrong := [key for key in deployment.config if not _VARIABLE.fullmatch(key)]:
        where = f"{deployment.service} in {deployment.environment}"
        raise Invalid(f"{where}: config key {wrong[0]!r} is no variable name", "use letters, digits and underscores")
    secret = {key for key, value in deployment.config.items() if value.startswith(_SECRET)}
    return {
        **{key: value for key, value in deployment.config.items() if key not in secret},
        **{f"{key}_FILE": f"/run/secrets/{key}" for key in secret},
        "INTERLOCK_VERSION": deployment.version,
        "INTERLOCK_RELEASE": deployment.release,
        "INTERLOCK_ENVIRONMENT": deployment.environment,
        "PORT": str(deployment.runtime.port),
    }


def secret_files(deployment: Deployment, secrets: Secrets, user: str) -> bytes | None:
    """Resolve the secrets and pack them as a tar for `/`; None when there are none.

    `user` is the image's: root and numeric users own their files alone; whom a name means only the image knows, so its
    files are readable to everyone inside the container. Raises Invalid when a reference cannot be resolved.
    """
    values = {key: value for key, value in deployment.config.items() if value.startswith(_SECRET)}
    if not values:
        return None
    owner = user.partition(":")[0]
    owner = "0" if owner in ("", "root") else owner
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folder = tarfile.TarInfo("run/secrets")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for key, reference in values.items():
            content = secrets.resolve(reference).encode()
            file = tarfile.TarInfo(f"run/secrets/{key}")
            file.size = len(content)
            file.uid, file.mode = (int(owner), 0o400) if owner.isdecimal() else (0, 0o444)
            tar.addfile(file, io.BytesIO(content))
    return packed.getvalue()


def same(row: Row, wanted: Mapping[str, str], image: str) -> bool:
    """Tell whether a listed container is of this release, slot, config and image, and was ever started.

    One that was created and never started may lack its secrets: whoever made it died in between.
    """
    labels = ("interlock.release", "interlock.slot", "interlock.config")
    alike = all(row["Labels"].get(label) == wanted[label] for label in labels)
    return alike and row["ImageID"] == image and row["State"] != "created"


def is_replica(row: Row) -> bool:
    """Tell whether a listed container says all that `replica` wants to know; what people label by hand may not."""
    said = row["Labels"]
    numbers = all(said.get(label, "").isdecimal() for label in _NUMBERS)
    return numbers and all(label in said for label in _WORDS) and said["interlock.slot"] in get_args(Slot)


def name(row: Row) -> str:
    """Read the name of a listed container."""
    names: Sequence[str] = row["Names"]
    return names[0].lstrip("/")


def condemned(row: Row) -> bool:
    """Tell whether somebody was about to stop and remove a listed container."""
    return name(row).endswith(CONDEMNED)


def token(row: Row) -> int:
    """Read the token under which a listed container, or whatever else has labels, was made; 0: it says none."""
    said = row["Labels"].get(TOKEN, "")
    return int(said) if said.isdecimal() else 0


def replica(row: Row) -> Replica:
    """Read a listed container as a replica; a stopped one has no address, and a condemned one runs no more."""
    said = {name.removeprefix("interlock."): value for name, value in row["Labels"].items()}
    networks = (row.get("NetworkSettings") or {}).get("Networks") or {}
    return Replica(
        id=row["Id"],
        name=name(row),
        address=next((network["IPAddress"] for network in networks.values()), ""),
        port=int(said["port"]),
        image=row["ImageID"],
        service=said["service"],
        environment=said["environment"],
        release=said["release"],
        version=said["version"],
        slot=cast(Slot, said["slot"]),
        token=token(row),
        config_digest=said["config"],
        running=row["State"] == "running" and not condemned(row),
    )
