"""Sign with the keys that people have: a file, an agent or a hardware token, through OpenSSH's own ssh-keygen."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from domain.errors import Invalid
from domain.policy.approval import NAMESPACE, Approval, Statement
from domain.policy.people import Person

_PATIENCE = 180.0  # seconds to type a passphrase or touch a token


def sign(statement: Statement, person: Person, key: Path | None) -> Approval:
    """Sign a statement with `key`, or with whatever private key this machine has for the person.

    Raises Invalid with ssh-keygen's own words when it cannot: no such key, too open permissions, wrong passphrase.
    """
    with tempfile.TemporaryDirectory() as folder:
        chosen = key or _own(person) or _from_agent(person, Path(folder))
        if chosen is None:
            raise Invalid(
                f"no private key of {person.name} is on this machine",
                "name it with --key or INTERLOCK_KEY; its public half must be in people.yaml",
            )
        return Approval(statement=statement, signature=_keygen(chosen, statement.text))


def _keygen(key: Path, text: str) -> str:
    command = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)]
    signed = _run(command, text)  # it asks for a passphrase on the terminal itself
    if signed.returncode:
        said = signed.stderr.strip() or f"ssh-keygen ended with {signed.returncode}"
        raise Invalid(
            f"{key} did not sign: {said}", "give a private key that only you can read, or load it in an agent"
        )
    return signed.stdout


def _own(person: Person) -> Path | None:
    """Find the key in ~/.ssh whose public half is listed for a person; an agent may hold the private half."""
    for public in sorted((Path.home() / ".ssh").glob("*.pub")):
        if _same(public.read_text(errors="replace"), person.keys):
            private = public.with_suffix("")
            return private if private.exists() else public
    return None


def _from_agent(person: Person, folder: Path) -> Path | None:
    """Write down a public key whose private half an agent holds; ssh-keygen takes it from there."""
    if "SSH_AUTH_SOCK" not in os.environ:
        return None
    for line in _run(["ssh-add", "-L"]).stdout.splitlines():
        if _same(line, person.keys):
            public = folder / "agent.pub"
            public.write_text(line + "\n")
            return public
    return None


def _same(line: str, keys: Sequence[str]) -> bool:
    """Compare public keys without their comments."""
    return line.split()[:2] in [key.split()[:2] for key in keys]


def _run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except FileNotFoundError:
        raise Invalid(f"{command[0]} is not installed", "install OpenSSH's client programs") from None
    except subprocess.TimeoutExpired:
        raise Invalid(f"{command[0]} waited {_PATIENCE:.0f} s for you", "try again") from None
