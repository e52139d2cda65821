"""A service that others wrote, with its own migration tool: Wagtail, two versions, from an empty database on."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import psycopg
import pytest
import yaml

from adapters.connect import connect
from config.settings import HOUSE

if TYPE_CHECKING:
    from conftest import Shop

    from adapters.connect import Desk

pytestmark = pytest.mark.real
HERE = Path(__file__).parent / "wagtail"
TAG = "interlock-tests/wagtail"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Wagtail's packages by version, each also as a base image; the images are removed at the end."""
    uv, engine = HOUSE / ".interlock/uv/bin/uv", docker.from_env()
    found, images = dict[str, Path](), []
    for version in ("7.0", "7.1"):
        folder = tmp_path_factory.mktemp("packages") / "site"
        wanted = ["--python", sys.executable, "--require-hashes", "-r", str(HERE / f"{version}.txt")]
        command = [str(uv), "pip", "install", "--quiet", "--target", str(folder), *wanted]
        subprocess.run(command, check=True, timeout=600)
        images.append(engine.images.build(fileobj=context(folder), custom_context=True, tag=f"{TAG}:{version}")[0])
        found[version] = folder
    yield found
    for version in found:
        engine.images.remove(f"{TAG}:{version}")


def context(packages: Path) -> io.BytesIO:
    packed, recipe = io.BytesIO(), b"FROM interlock/python:3.11\nCOPY site /opt/site\nENV PYTHONPATH=/opt/site\n"
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(recipe)
        tar.addfile(entry, io.BytesIO(recipe))
        tar.add(packages, arcname="site")
    packed.seek(0)
    return packed


@pytest.fixture(scope="module")
def site(shop: "Shop", packages: dict[str, Path]) -> "Desk":
    """The service's repository as `wagtail start` makes it, tagged v1.0.0, and its place in the configuration."""
    stack, folder = shop.stack, shop.stack.folder / "sources" / "site"
    folder.mkdir()
    start = [sys.executable, "-m", "wagtail.bin.wagtail", "start", "shopsite", str(folder)]
    subprocess.run(start, env={**os.environ, "PYTHONPATH": str(packages["7.0"])}, check=True, capture_output=True)
    shutil.copy(HERE / "local.py", folder / "shopsite/settings/local.py")
    shutil.copy(HERE / "smoke.py", folder / "smoke.py")
    shop.git("init", "--quiet", "--initial-branch=main", folder=folder)
    want(shop, "7.0", "v1.0.0")
    service = yaml.safe_load((HERE / "site.yaml").read_text())
    (stack.folder / "config/services/site.yaml").write_text(yaml.safe_dump(service, sort_keys=False))
    stack.up()
    return connect("site")


def want(shop: "Shop", version: str, tag: str) -> None:
    """Commit the wish for a version of Wagtail."""
    folder = shop.stack.folder / "sources" / "site"
    (folder / "requirements").mkdir(exist_ok=True)
    shutil.copy(HERE / f"{version}.txt", folder / "requirements/wagtail.txt")
    (folder / "Dockerfile").write_text((HERE / "Dockerfile").read_text().replace("VERSION", version))
    shop.git("add", "--all", "--force", folder=folder)
    shop.git("commit", "--quiet", "--message", f"feat: Wagtail {version}", folder=folder)
    shop.git("tag", tag, folder=folder)


def carry(shop: "Shop", ref: str) -> tuple[str, str]:
    known = shop.releases()
    shop.interlock("release", "site", "--ref", ref, "--to", "dev", "--requester", "dev", "--no-wait")
    release = shop.newest(known)
    return release, shop.until(release, "stuck", "released", "aborted", "rolled back", patience=600)


def tables(shop: "Shop") -> set[str]:
    url = shop.house.secrets.resolve("secret://file/site-dev-migrator-url")
    with psycopg.connect(url) as link:
        rows = link.execute(
            "select table_name, column_name from information_schema.columns where table_schema='public'"
        )
        return {f"{table}.{column}" for table, column in rows}


def served(site: "Desk") -> set[str]:
    return {replica.version for replica in site.ports.workload.running("site", "dev")}


def test_its_own_tool_makes_the_schema_of_the_first_version(shop: "Shop", site: "Desk") -> None:
    release, phase = carry(shop, "v1.0.0")
    assert phase == "released", shop.interlock("explain", release)
    assert "wagtailusers_userprofile.contrast" in tables(shop)
    assert served(site) == {"1.0.0"}


def test_an_upgrade_on_which_the_old_version_fails_is_refused_before_anything_moves(shop: "Shop", site: "Desk") -> None:
    before = tables(shop)
    want(shop, "7.1", "v1.1.0")
    release, phase = carry(shop, "v1.1.0")
    told = shop.interlock("explain", release)
    assert phase == "aborted", told
    assert "the old version fails on the new schema" in told
    assert "keyboard_shortcuts" in told
    assert (tables(shop), served(site)) == (before, {"1.0.0"})


def test_mended_it_is_released_and_the_old_version_serves_again_on_the_new_schema(shop: "Shop", site: "Desk") -> None:
    folder = shop.stack.folder / "sources/site/mend/migrations"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()
    shutil.copy(HERE / "mend.py", folder / "0001_keep_the_default.py")
    want(shop, "7.1", "v1.2.0")
    release, phase = carry(shop, "v1.2.0")
    assert phase == "released", shop.interlock("explain", release)
    assert "wagtailusers_userprofile.keyboard_shortcuts" in tables(shop)
    assert served(site) == {"1.2.0"}
    shop.interlock("drill", "site", "dev")
    shop.interlock("rollback", "site", "dev", "--reason", "editors ask for it", "--requester", "dev", "--yes")
    assert served(site) == {"1.0.0"}
    [replica] = site.ports.workload.running("site", "dev")
    assert site.ports.probe.request("GET", f"http://{replica.address}:{replica.port}/", None, 30)[0] == 200
