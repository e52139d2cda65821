"""Three people who decide and one who asks, with keys, so that a first release can be approved on one machine."""

import subprocess
from pathlib import Path

import yaml

from domain.policy.people import People, Person

_ROLES = {"ada": "tech-lead", "grace": "product-owner", "linus": "sre", "dev": "developer"}


def ensure(file: Path, keys: Path) -> People:
    """Make sure that everyone has an ed25519 key in `keys` and stands in `file`; a file that exists is left alone.

    The keys have no passphrase: they are for a first try, and grant nothing outside this stack.
    """
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    people = People(
        people=tuple(
            Person(name=name, email=f"{name}@example.com", roles=(role,), keys=(_public_key(keys / name),))
            for name, role in _ROLES.items()
        )
    )
    if not file.exists():
        file.write_text(yaml.safe_dump(people.model_dump(mode="json"), sort_keys=False))
    return people


def _public_key(private: Path) -> str:
    public = private.with_suffix(".pub")
    if not public.exists():
        private.unlink(missing_ok=True)  # half a pair
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", private.name, "-f", str(private)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=30)
    return public.read_text().strip()
