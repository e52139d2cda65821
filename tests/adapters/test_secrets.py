"""References resolve to values, and a value that was ever resolved shows up in no log line."""

import base64
import io
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest import mock
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.secrets import MemorySecrets
from adapters.secrets import References, install_redaction, redact, remember
from domain.errors import Invalid, Unavailable
from domain.ports import Secrets


@dataclass(frozen=True)
class Aws:
    endpoint: str | None
    region: str | None = "eu-central-1"


@pytest.fixture(params=["memory", "env", "file"])
def one_secret(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Secrets, str, str]:
    """A port that knows one reference, the reference, and its value."""
    value = f"value-of-{request.param}-Zx9"
    if request.param == "memory":
        return MemorySecrets({"secret://env/KNOWN": value}), "secret://env/KNOWN", value
    if request.param == "env":
        monkeypatch.setenv("INTERLOCK_TEST_SECRET", value)
        return References(), "secret://env/INTERLOCK_TEST_SECRET", value
    write(tmp_path / "known", value)
    return References(tmp_path), "secret://file/known", value


def write(path: Path, value: str, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value)
    path.chmod(mode)


class TestContract:
    def test_a_known_reference_gives_its_value(self, one_secret: tuple[Secrets, str, str]) -> None:
        secrets, reference, value = one_secret
        assert secrets.resolve(reference) == value

    def test_a_resolved_value_is_masked_from_then_on(self, one_secret: tuple[Secrets, str, str]) -> None:
        secrets, reference, value = one_secret
        secrets.resolve(reference)
        assert value not in redact(f"a line with {value} in it")

    def test_an_unknown_reference_is_named(self, one_secret: tuple[Secrets, str, str]) -> None:
        secrets, reference, _ = one_secret
        with pytest.raises(Invalid, match=f"{reference}-not"):
            secrets.resolve(f"{reference}-not")


class TestFiles:
    def test_the_trailing_newline_is_not_part_of_the_value(self, tmp_path: Path) -> None:
        write(tmp_path / "prod" / "db", "s3cret-value\n")
        assert References(tmp_path).resolve("secret://file/prod/db") == "s3cret-value"

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
    def test_a_file_that_others_can_reach_is_refused(self, tmp_path: Path, mode: int) -> None:
        write(tmp_path / "db", "s3cret-value", mode)
        with pytest.raises(Invalid, match="chmod 600"):
            References(tmp_path).resolve("secret://file/db")

    @pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc/passwd", "link", ".."])
    def test_no_reference_leads_out_of_the_folder(self, tmp_path: Path, name: str) -> None:
        write(tmp_path / "outside", "s3cret-value")
        folder = tmp_path / "secrets"
        folder.mkdir()
        (folder / "link").symlink_to(tmp_path / "outside")
        with pytest.raises(Invalid, match="leads out"):
            References(folder).resolve(f"secret://file/{name}")

    def test_a_rotated_value_is_seen_without_a_restart(self, tmp_path: Path) -> None:
        references = References(tmp_path)
        write(tmp_path / "db", "before-rotation")
        assert references.resolve("secret://file/db") == "before-rotation"
        write(tmp_path / "db", "after-rotation")
        assert references.resolve("secret://file/db") == "after-rotation"

    def test_bytes_that_are_no_text_do_not_show_up_in_the_error(self, tmp_path: Path) -> None:
        (tmp_path / "db").write_bytes(b"s3cret-\xff")
        (tmp_path / "db").chmod(0o600)
        with pytest.raises(Invalid, match="UTF-8") as caught:
            References(tmp_path).resolve("secret://file/db")
        assert "s3cret" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("pasted", ["hunter2-pasted", "postgresql://u:hunter2-pasted@h/d", "secret://env/"])
def test_a_secret_pasted_instead_of_a_reference_is_not_repeated(pasted: str) -> None:
    with pytest.raises(Invalid) as caught:
        References().resolve(pasted)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("kind", ["file", "aws-sm", "vault"])
def test_a_kind_that_is_not_set_up_is_invalid(kind: str) -> None:
    with pytest.raises(Invalid):
        References().resolve(f"secret://{kind}/name")


class SecretsManager(BaseHTTPRequestHandler):
    """Answers GetSecretValue as AWS does (JSON 1.1)."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["SecretId"]
        known = {
            "prod/db": {"SecretString": json.dumps({"password": "from-aws-Kq7", "port": 5432})},
            "plain": {"SecretString": "plain-from-aws"},
            "binary": {"SecretBinary": "AAAA"},
        }
        if asked == "busy":
            status, answer = 500, {"__type": "InternalServiceError", "message": "busy"}
        elif asked in known:
            status, answer = 200, {"Name": asked, **known[asked]}
        else:
            status, answer = 400, {"__type": "ResourceNotFoundException", "message": "no such secret"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[References]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-key")
    server = HTTPServer(("127.0.0.1", 0), SecretsManager)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield References(aws=Aws(f"http://127.0.0.1:{server.server_port}"))
    server.shutdown()
    thread.join()
    server.server_close()


class TestSecretsManager:
    def test_a_key_picks_one_value(self, aws: References) -> None:
        assert aws.resolve("secret://aws-sm/prod/db#password") == "from-aws-Kq7"
        assert aws.resolve("secret://aws-sm/plain") == "plain-from-aws"

    @pytest.mark.parametrize("name", ["missing", "prod/db#user", "plain#key", "binary"])
    def test_what_is_not_there_is_invalid_and_named(self, aws: References, name: str) -> None:
        with pytest.raises(Invalid, match=f"secret://aws-sm/{name}") as caught:
            aws.resolve(f"secret://aws-sm/{name}")
        assert "from-aws" not in str(caught.value)

    def test_a_service_out_of_order_is_worth_another_try(self, aws: References) -> None:
        with pytest.raises(Unavailable, match="secret://aws-sm/busy"):
            aws.resolve("secret://aws-sm/busy")

    def test_a_service_that_does_not_answer_is_worth_another_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-key")
        with pytest.raises(Unavailable):
            References(aws=Aws("http://127.0.0.1:1")).resolve("secret://aws-sm/plain")


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger whose handler was there before the mask."""
    handle = logging.Handler.handle
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(message)s %(note)s", defaults={"note": ""}))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    install_redaction()
    yield logger, written
    logging.Handler.handle = handle  # type: ignore[method-assign]  # leave the process as it was


SECRET = 'p@ss/w0rd "quoted" ümlaut'


class TestLogs:
    @pytest.mark.parametrize(
        "shape",
        [
            SECRET,
            quote(SECRET, safe=""),
            json.dumps({"password": SECRET}),
            repr({"password": SECRET}),
            base64.b64encode(SECRET.encode()).decode(),
        ],
    )
    def test_a_value_is_masked_in_every_shape(self, log: tuple[logging.Logger, io.StringIO], shape: str) -> None:
        remember(SECRET)
        log[0].warning("before %s after", shape)
        line = log[1].getvalue()
        assert shape not in line
        assert line.startswith("before ")
        assert "w0rd" not in line

    def test_tracebacks_extras_and_malformed_lines_are_masked(self, log: tuple[logging.Logger, io.StringIO]) -> None:
        remember("S3CRET-redactme")
        logger, written = log
        try:
            raise ValueError("bad S3CRET-redactme")
        except ValueError:
            logger.exception("failed")
        logger.warning("x", extra={"note": "S3CRET-redactme"})
        logger.warning("one %s and two %s", "S3CRET-redactme")  # noqa: PLE1206  # malformed on purpose
        logger.warning("stack", stack_info=True)
        lines = written.getvalue()
        assert "S3CRET-redactme" not in lines
        assert "ValueError: bad [redacted]" in lines
        assert lines.count("[redacted]") >= 3

    def test_a_line_without_secrets_stays_as_it_is(self, log: tuple[logging.Logger, io.StringIO]) -> None:
        log[0].warning("%d of %s", 3, "four")
        assert log[1].getvalue() == "3 of four \n"

    def test_installing_twice_masks_once(self, log: tuple[logging.Logger, io.StringIO]) -> None:
        once = logging.Handler.handle
        install_redaction()
        assert logging.Handler.handle is once

    def test_the_password_inside_a_connection_string_is_masked_alone(self) -> None:
        remember("postgresql://shop:in%2Fside-Url9@db/shop")
        remember("host=db password=in-keywords7 user=shop")
        shown = redact("in%2Fside-Url9 and in/side-Url9 and in-keywords7, host db")
        assert shown == "[redacted] and [redacted] and [redacted], host db"


@settings(deadline=None)
@given(
    before=st.binary(max_size=7), after=st.binary(max_size=7), secret=st.text("abcXYZ019-_/+", min_size=8, max_size=30)
)
def test_a_value_inside_a_longer_base64_text_is_masked(before: bytes, after: bytes, secret: str) -> None:
    """Such as the header of basic authentication: at most one character on either side mixes with the neighbours."""
    with mock.patch.multiple("adapters.secrets", _known=set(), _pattern=None):  # a mask with this value alone
        remember(secret)
        shown = redact(base64.b64encode(before + secret.encode() + after).decode())
    assert "[redacted]" in shown
    assert len(shown.replace("[redacted]", "")) <= len(base64.b64encode(before + after)) + 4
