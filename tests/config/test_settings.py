"""One machine's settings."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.settings import HOUSE, FolderStore, S3Store, Settings

PLAIN = {
    "stack": "test",
    "sources": "sources",
    "ledger": {"url": "sqlite:///ledger.db"},
    "engine": {"kind": "docker"},
    "registry": {"kind": "oci", "url": "http://127.0.0.1:5000"},
    "router": {"kind": "haproxy", "folder": "../router"},
    "store": {"kind": "folder", "folder": "/srv/store"},
    "secrets": {"folder": "~/secrets"},
    "notices": {"kind": "folder", "folder": "notices"},
}


def settings(folder: Path, **changes: object) -> Settings:
    return Settings.model_validate({**PLAIN, **changes}, context={"folder": folder})


def test_relative_paths_are_seen_from_the_settings_file(tmp_path: Path) -> None:
    here = tmp_path / "here"
    found = settings(here, people="more.yaml", config="config")
    assert found.sources == here / "sources"
    assert found.config == here / "config"
    assert found.people == here / "more.yaml"
    assert found.router.folder == tmp_path / "router"
    assert found.store == FolderStore(kind="folder", folder=Path("/srv/store"))
    assert found.secrets.folder == Path.home() / "secrets"


def test_sqlite_lies_beside_the_settings_file_wherever_a_flow_runs(tmp_path: Path) -> None:
    assert settings(tmp_path).ledger.url == f"sqlite:///{tmp_path}/ledger.db"
    assert settings(tmp_path, ledger={"url": "sqlite:////srv/l.db"}).ledger.url == "sqlite:////srv/l.db"


@pytest.mark.parametrize("url", ["postgresql+psycopg://ledger@/interlock?host=/run/pg", "secret://ledger/url"])
def test_other_ledger_urls_are_left_alone(tmp_path: Path, url: str) -> None:
    assert settings(tmp_path, ledger={"url": url}).ledger.url == url


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite://", "postgresql://host/db", "postgresql+asyncpg://h/d"])
def test_a_ledger_that_forgets_or_cannot_be_opened_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, ledger={"url": url})


def test_the_config_folder_is_this_repository_s_unless_named(tmp_path: Path) -> None:
    assert settings(tmp_path).config == HOUSE / "config"
    assert (HOUSE / "pyproject.toml").is_file()


@pytest.mark.parametrize("part", [{"access_key": "AKIA123"}, {"secret_key": "hush"}])
def test_a_credential_in_clear_is_refused(tmp_path: Path, part: dict[str, str]) -> None:
    store = {"kind": "s3", "bucket": "b", "access_key": "secret://env/S3_KEY", "secret_key": "secret://file/s3-secret"}
    assert isinstance(settings(tmp_path, store=store).store, S3Store)
    with pytest.raises(ValidationError, match="pattern"):
        settings(tmp_path, store={**store, **part})


@pytest.mark.parametrize("targets", [{}, {"ops": []}, {"everyone": ["mailto://a"]}, {"ops": ["not a url"]}])
def test_notices_need_known_groups_with_targets(tmp_path: Path, targets: object) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, notices={"kind": "apprise", "targets": targets})


def test_an_unknown_product_is_an_error_never_a_default(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="gcs"):
        settings(tmp_path, store={"kind": "gcs", "bucket": "b"})


def test_settings_cannot_be_changed_once_loaded(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings(tmp_path).stack = "other"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize("part", [{"lease": {"ttl": 0}}, {"judge": {"period": "0s"}}])
def test_a_lease_or_a_look_that_takes_no_time_is_refused(tmp_path: Path, part: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, **part)
