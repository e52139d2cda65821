"""Find the settings and load them."""

from pathlib import Path

import pytest

from config import load
from config.load import VARIABLE, find_settings
from config.settings import HOUSE
from domain.errors import Invalid

SETTINGS = """
stack: test
sources: sources
ledger: {url: sqlite:///ledger.db}
engine: {kind: docker}
registry: {kind: oci, url: http://127.0.0.1:5000}
router: {kind: haproxy, folder: router}
store: {kind: folder, folder: store}
secrets: {folder: secrets}
notices: {kind: folder, folder: notices}
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    return tmp_path / "settings.yaml"


def test_broken_settings_are_told_with_the_file(written: Path) -> None:
    written.write_text(SETTINGS + "stack: again\n")
    with pytest.raises(Invalid) as caught:
        load(written)
    assert caught.value.message == f"{written}: line 11, column 1: 'stack' is given twice"


def test_paths_are_seen_from_the_file_wherever_one_stands(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert load(written).sources == written.parent / "sources"


def test_the_environment_variable_names_the_settings(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(written))
    assert find_settings() == written
    assert load() == load(written)


def test_settings_that_are_not_there_come_with_the_command_that_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.yaml"))
    with pytest.raises(Invalid, match=f"no settings file: {tmp_path}/gone.yaml") as caught:
        find_settings()
    assert caught.value.hint == "`make up` writes one"


def test_without_the_variable_the_settings_are_this_repository_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    usual = HOUSE / ".interlock" / "settings.yaml"
    if usual.is_file():
        assert find_settings() == usual
    else:
        with pytest.raises(Invalid, match=str(usual)):
            find_settings()
