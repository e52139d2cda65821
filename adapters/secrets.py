"""References to secrets, where their values live, and a mask over every log line for what was ever resolved.

secret://env/NAME             an environment variable
secret://file/NAME            a file inside the secrets folder, mode 0600 or stricter, trailing newline stripped
secret://aws-sm/ID#KEY        AWS Secrets Manager; KEY picks one value out of a JSON object, without it: all
…?database=NAME               the same, a connection URL, with another database of its server
"""

import base64
import json
import logging
import os
import re
import threading
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from botocore.exceptions import BotoCoreError, ClientError

from adapters import aws
from domain.errors import Invalid

_MASK = "[redacted]"
_SHORTEST = 6  # shorter values are ordinary words: masking them would blank out the log and hide nothing
_ELSEWHERE = "?database="


class References:
    """Resolves `secret://…` at the last moment; `folder` and `aws` switch on the file and aws-sm kinds."""

    def __init__(self, folder: Path | None = None, aws: aws.AwsSettings | None = None) -> None:
        self._folder = folder
        self._aws = aws

    def resolve(self, reference: str) -> str:
        """Look up a reference, and remember its value for the mask.

        Raises Invalid naming the reference, never the value; Unavailable when Secrets Manager does not answer.
        """
        plain, _, database = reference.partition(_ELSEWHERE)
        value = elsewhere(plain, self._value(plain), database)
        remember(value)
        return value

    def _value(self, reference: str) -> str:
        scheme, _, rest = reference.partition("://")
        kind, _, name = rest.partition("/")
        if scheme != "secret" or not name:
            raise Invalid(
                f"{_shown(reference)} is not a secret reference", "write secret://env/NAME or secret://file/NAME"
            )
        match kind:
            case "env":
                value = os.environ.get(name, "")
            case "file":
                value = self._from_file(reference, name)
            case "aws-sm":
                value = self._from_aws(reference, name)
            case _:
                raise Invalid(f"{reference}: the kind {kind!r} is unknown", "use env, file or aws-sm")
        if not value:
            raise Invalid(f"{reference} has no value", "set it where this process can read it")
        return value

    def _from_file(self, reference: str, name: str) -> str:
        if self._folder is None:
            raise Invalid(
                f"{reference}: no secrets folder is configured", "set the secrets folder in the configuration"
            )
        folder = self._folder.resolve()
        path = (folder / name).resolve()
        if name.startswith("/") or ".." in name.split("/") or not path.is_relative_to(folder):
            raise Invalid(f"{reference} leads out of the secrets folder", "name a file inside it")
        try:
            if (mode := path.stat().st_mode & 0o777) & 0o077:
                raise Invalid(f"{reference}: {path} has mode {mode:04o}", f"chmod 600 {path}")
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise Invalid(f"{reference}: {path}: {reason}", "put the value there, readable by this user only") from None

    def _from_aws(self, reference: str, name: str) -> str:
        identifier, _, key = name.partition("#")
        try:
            text = str(self._manager.get_secret_value(SecretId=identifier)["SecretString"])
        except KeyError:
            raise Invalid(f"{reference} is binary", "store it as text") from None
        except (BotoCoreError, ClientError) as error:
            raise aws.explained(error, reference) from error
        if not key:
            return text
        try:
            return str(json.loads(text)[key])
        except (ValueError, KeyError, TypeError):
            raise Invalid(f"{reference}: there is no key {key!r}", "check the JSON in Secrets Manager") from None

    @cached_property
    def _manager(self) -> Any:
        if self._aws is None:
            raise Invalid("secret://aws-sm/…: AWS is not configured", "set aws in the configuration")
        return aws.client("secretsmanager", self._aws)


def elsewhere(reference: str, value: str, database: str) -> str:
    """Lead a connection URL to another database of its server; an empty name changes nothing. Raises Invalid."""
    if not database:
        return value
    url = urlsplit(value)
    if not (url.scheme and url.netloc):
        hint = "write postgresql://user:password@host:port/database, special characters %-encoded"
        raise Invalid(f"{reference}: its value is not a connection URL, so no copy can be reached by it", hint)
    return urlunsplit(url._replace(path=f"/{quote(database, safe='')}"))


_lock = threading.Lock()
_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def remember(value: str) -> None:
    """Mask this value from now on, and also the password inside when it is a connection string."""
    global _pattern  # noqa: PLW0603  # one process, one log, one mask
    forms = {form for secret in (value, *_passwords(value)) if len(secret) >= _SHORTEST for form in _forms(secret)}
    with _lock:
        if forms <= _known:
            return
        _known.update(forms)
        _pattern = re.compile("|".join(re.escape(form) for form in sorted(_known, key=len, reverse=True)))


def redact(text: str) -> str:
    """Mask every value that was ever resolved in this process."""
    return _pattern.sub(_MASK, text) if _pattern else text


def install_redaction() -> None:
    """Mask every log record of this process, before any handler sees it: message, extras, traceback and stack."""
    handle = logging.Handler.handle
    if getattr(handle, "masks", False):
        return

    def masked(self: logging.Handler, record: logging.LogRecord) -> bool:
        _mask(record)
        return handle(self, record)

    masked.masks = True  # type: ignore[attr-defined]  # so that a second call does nothing
    logging.Handler.handle = masked  # type: ignore[method-assign]  # handlers added later, Prefect's too, must obey


def _mask(record: logging.LogRecord) -> None:
    if _pattern is None:
        return
    try:
        plain = record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit: the handler would print them as they are
        record.msg, record.args = f"{record.msg!r} with arguments {record.args!r}", ()
        plain = ""
    if (message := redact(record.getMessage())) != plain:
        record.msg, record.args = message, ()
    if record.exc_info and record.exc_info[0] is not None:
        plain = logging.Formatter().formatException(record.exc_info)
        if (text := redact(plain)) != plain:
            record.exc_text, record.exc_info = text, None
    for name, value in record.__dict__.items():
        if isinstance(value, str) and name != "msg":
            record.__dict__[name] = redact(value)


def _passwords(value: str) -> set[str]:
    """Find the password in a URL (as written and decoded) or in `password=…`."""
    found = set(re.findall(r"password\s*=\s*'?([^\s'&]+)", value))
    try:
        inside = urlsplit(value).password or ""
    except ValueError:
        inside = ""
    return found | {inside, unquote(inside)}


def _forms(secret: str) -> set[str]:
    """List the shapes in which a value shows up: plain, URL-quoted, escaped, and base64 at each of three offsets.

    Inside a longer base64 text, such as a Basic header, the first and last characters mix with the neighbours' bits;
    the shape for that place leaves them out.
    """
    data = secret.encode()
    middle = {
        base64.b64encode(b"\0" * offset + data)[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6].decode()
        for offset in range(3)
    }
    urlsafe = {form.translate(str.maketrans("+/", "-_")) for form in middle}
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode(),
        *middle,
        *urlsafe,
    }


def _shown(reference: str) -> str:
    """Show what was given only if it looks like a reference: it may be a secret pasted in the wrong place."""
    return reference if reference.startswith("secret://") else "the text given (not shown)"
