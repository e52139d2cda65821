import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from string import Template
from uuid import uuid4

import docker
import httpx
import psycopg
import pytest
import yaml

from config.catalog import Catalog, contradictions
from deployments.embedded import base_image, postgres
from domain.environment.profile import Environment
from domain.errors import Conflict
from domain.policy.people import People
from domain.release.service import CommandCheck, JourneyCheck, Service
from domain.schema.migration import Applied, Migration, pending, read
from examples.shop.history import make_history, tags
from examples.shop.traffic import MIX, PRODUCTS, QUANTITIES

CONFIG = Path(__file__).parents[2] / "config"
VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0")
SOUND = ("v1.0.0", "v1.1.0", "v1.2.0", "v1.4.0")  # v1.3.0's migration is the one that must fail
GRANTS = (CONFIG.parent / "examples/shop/README.md").read_text().partition("```sql")[2].partition("```")[0]


def service() -> Service:
    return Service.model_validate(yaml.safe_load((CONFIG / "services/shop.yaml").read_text()))


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=Guest", "-c", "user.email=guest@example.com", *arguments]
    return subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_history(tmp_path_factory.mktemp("sources") / "shop")


@pytest.fixture(scope="module")
def trees(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Every version, as a release would check it out."""
    root = tmp_path_factory.mktemp("trees")
    for version in VERSIONS:
        (root / version).mkdir()
        archive = subprocess.run(["git", "archive", version], cwd=repository, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "x", "-C", str(root / version)], input=archive.stdout, check=True)
    return {version: root / version for version in VERSIONS}


def migrations(tree: Path) -> tuple[Migration, ...]:
    return read({file.name: file.read_text() for file in (tree / "db/migrations").iterdir()})


# The history


def test_the_history_is_the_same_every_time(repository: Path, tmp_path: Path) -> None:
    again = make_history(tmp_path / "deep" / "again")
    assert tags(again) == tags(repository)
    assert tuple(tags(again)) == VERSIONS
    assert git(again, "rev-list", "--reverse", "main").split() == list(tags(again).values())
    assert git(again, "status", "--porcelain") == ""


def test_a_history_that_is_there_is_left_alone_with_whatever_came_on_top(tmp_path: Path) -> None:
    target = make_history(tmp_path / "shop")
    git(target, "commit", "--quiet", "--allow-empty", "-m", "feat: mine")
    before = git(target, "rev-parse", "main")
    assert make_history(target) == target
    assert git(target, "rev-parse", "main") == before
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_a_target_that_holds_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    for name in ("folder", "file", "other"):
        target = tmp_path / name
        if name == "file":
            target.write_text("mine")
        else:
            target.mkdir()
            (target / "note").write_text("mine")
        if name == "other":
            git(target, "init", "--quiet")
        with pytest.raises(Conflict, match=str(target)):
            make_history(target)
        assert (target if name == "file" else target / "note").read_text() == "mine"


def test_the_callers_git_environment_changes_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2001-01-01T00:00:00Z")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert tags(make_history(tmp_path / "shop")) == tags(repository)


def test_commit_messages_follow_conventional_commits(repository: Path) -> None:
    subjects = git(repository, "log", "--format=%s").splitlines()
    assert len(subjects) == len(VERSIONS)
    assert all(re.fullmatch(r"(feat|fix)(\(\w+\))?!?: \S.*", subject) for subject in subjects)


def test_migrations_are_only_ever_added_to_what_was_applied(trees: Mapping[str, Path]) -> None:
    applied: list[Applied] = []
    new: dict[str, list[str]] = {}
    for version in SOUND:
        todo = pending(migrations(trees[version]), applied)
        new[version] = [step.label for step in todo]
        applied += [
            Applied(number=s.number, name=s.name, phase=s.phase, checksum=s.checksum, release=version) for s in todo
        ]
    assert new == {
        "v1.0.0": ["0001_create_shop"],
        "v1.1.0": ["0002_add_notes_and_picks"],
        "v1.2.0": [],
        "v1.4.0": ["0003_add_order_channel"],
    }
    assert migrations(trees["v1.3.0"])[2].label == "0003_require_order_notes"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_versions_own_tests_pass_with_the_command_of_its_check(trees: Mapping[str, Path], version: str) -> None:
    check = service().checks["unit"]
    assert isinstance(check, CommandCheck)
    done = subprocess.run(
        [sys.executable, *check.command[1:]], cwd=trees[version], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(re.findall(r"Ran (\d+) tests", done.stderr)[0]) >= 18


# The configuration


def test_the_shop_its_environments_and_people_fit_together() -> None:
    environments = {
        path.stem: Environment.model_validate(yaml.safe_load(path.read_text()))
        for path in (CONFIG / "environments").glob("*.yaml")
    }
    people = People.model_validate(yaml.safe_load((CONFIG / "people.yaml").read_text()))
    catalog = Catalog(services={"shop": service()}, environments=environments, people=people)
    assert list(contradictions(catalog)) == []
    assert {name: environment.after for name, environment in environments.items()} == {
        "dev": None,
        "staging": "dev",
        "production": "staging",
    }
    assert environments["staging"].resources == environments["production"].resources
    assert len(environments["production"].seats) == 2


def test_the_people_in_the_example_are_right_once_uncommented() -> None:
    lines = (CONFIG / "people.yaml").read_text().splitlines()
    example = "\n".join(line[2:] for line in lines[lines.index("# people:") :] if line.startswith("# "))
    people = People.model_validate(yaml.safe_load(example))
    production = Environment.model_validate(yaml.safe_load((CONFIG / "environments/production.yaml").read_text()))
    assert {role for seat in production.seats for role in seat} == {
        role for person in people.people for role in person.roles
    }


def test_connection_strings_are_references_and_differ_in_every_environment() -> None:
    placements = service().environments.values()
    references = [
        reference for place in placements for reference in (place.database, place.config["DATABASE_URL"]) if reference
    ]
    assert len(set(references)) == 6
    assert all(reference.startswith("secret://file/shop-") for reference in references)


# The running service


@dataclass(frozen=True)
class Data:
    """A database with the two roles that a release knows: one migrates, the other serves."""

    migrator: str
    app: str

    def up(self, steps: tuple[Migration, ...]) -> None:
        with psycopg.connect(self.migrator) as link:
            for step in steps:
                link.execute(step.up.encode())

    def columns(self) -> set[tuple[str, str]]:
        with psycopg.connect(self.migrator) as link:
            query = "select table_name, column_name from information_schema.columns where table_schema = 'public'"
            return {(table, column) for table, column in link.execute(query)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A PostgreSQL of our own; its folder is open to the user it runs as, which pytest's is not."""
    with tempfile.TemporaryDirectory(prefix="interlock-shop-") as folder:
        root, password, port = Path(folder), Path(folder, "secret", "password"), free_port()
        root.chmod(0o755)
        secret = postgres.password_in(password)
        child = postgres.start(root / "cluster", port=port, password=password, settings=["fsync=off"])
        yield postgres.dsn(port, postgres.SUPERUSER, secret, "postgres")
        postgres.stop(child)


@pytest.fixture
def data(cluster: str) -> Data:
    name, port = f"shop_{uuid4().hex[:8]}", int(cluster.rpartition(":")[2].partition("/")[0])
    migrator, app = f"{name}_migrator", f"{name}_app"
    for role in (migrator, app):
        postgres.role(cluster, role, role)
    postgres.database(cluster, name, migrator)
    words = {"shop_dev_migrator": migrator, "shop_dev_app": app, "shop_dev": name}
    with psycopg.connect(postgres.dsn(port, migrator, migrator, name)) as link:
        link.execute(re.sub("|".join(words), lambda found: words[found[0]], GRANTS).encode())
    return Data(postgres.dsn(port, migrator, migrator, name), postgres.dsn(port, app, app, name))


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    web: httpx.Client
    log: Path

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


Serve = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def serve(trees: Mapping[str, Path], data: Data, tmp_path: Path) -> Serve:
    """Return a function that runs a version against the database as the app's role."""

    @contextmanager
    def run(version: str, **settings: str) -> Iterator[Running]:
        port, log = free_port(), tmp_path / f"{uuid4().hex}.log"
        ours = {"PORT": str(port), "INTERLOCK_VERSION": version, "DATABASE_URL": data.app} | settings
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "shop"],
                cwd=trees[version],
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                env={"PATH": os.environ["PATH"], **ours},
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as web:
                wait(lambda: listens(port), process, log)
                yield Running(process, web, log)
        finally:
            process.kill()
            process.wait()

    return run


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def wait(ready: Callable[[], bool], process: subprocess.Popen[str], log: Path) -> None:
    give_up = time.monotonic() + 60
    while not ready():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < give_up, log.read_text()
        time.sleep(0.02)


def journey(web: httpx.Client) -> None:
    check = service().checks["smoke"]
    assert isinstance(check, JourneyCheck)
    for step in check.steps:
        answer = web.request(step.method, step.path, content=step.body)
        assert answer.status_code == step.status, (step, answer.text)
        assert step.contains is None or step.contains in answer.text, (step, answer.text)


@pytest.mark.real
@pytest.mark.parametrize("version", VERSIONS)
def test_the_smoke_journey_passes_again_and_again_and_places_one_order(
    version: str, trees: Mapping[str, Path], data: Data, serve: Serve
) -> None:
    data.up(migrations(trees[version]))
    with serve(version) as shop:
        for _ in range(5):
            journey(shop.web)
        assert shop.web.get("/healthz").json() == {"status": "ok", "version": version}
    with psycopg.connect(data.migrator) as link:
        assert link.execute("select count(*) from orders").fetchone() == (1,)


@pytest.mark.real
@pytest.mark.parametrize(("old", "new"), list(pairwise(SOUND)))
def test_a_version_runs_on_the_schema_of_the_next(
    old: str, new: str, trees: Mapping[str, Path], data: Data, serve: Serve
) -> None:
    before, after = migrations(trees[old]), migrations(trees[new])
    data.up(before)
    with serve(old) as shop:
        for _ in range(7):  # more often than it takes psycopg to prepare a statement
            journey(shop.web)
        data.up(after[len(before) :])
        journey(shop.web)
    with psycopg.connect(data.migrator) as link:
        link.execute((trees[old] / "db/migrations/smoke.sql").read_bytes())


@pytest.mark.real
def test_every_migration_can_be_taken_back(trees: Mapping[str, Path], data: Data) -> None:
    steps = migrations(trees["v1.4.0"])
    seen = [data.columns()]
    for step in steps:
        data.up((step,))
        seen.append(data.columns())
    for step, expected in zip(reversed(steps), reversed(seen[:-1]), strict=True):
        with psycopg.connect(data.migrator) as link:
            link.execute((step.down or "").encode())
        assert data.columns() == expected


@pytest.mark.real
def test_the_third_migration_of_1_3_fails_half_way_where_orders_exist_and_leaves_nothing(
    trees: Mapping[str, Path], data: Data, serve: Serve
) -> None:
    *before, broken = migrations(trees["v1.3.0"])
    data.up(tuple(before))
    with serve("v1.2.0") as shop:
        journey(shop.web)
        columns = data.columns()
        first, second = [part for part in broken.up.split(";") if part.strip()]
        with psycopg.connect(data.migrator) as link:
            link.execute(first.encode())
            with pytest.raises(psycopg.errors.NotNullViolation):
                link.execute(second.encode())
            link.rollback()
        with pytest.raises(psycopg.errors.NotNullViolation):
            data.up((broken,))
        assert data.columns() == columns
        journey(shop.web)
        data.up(migrations(trees["v1.4.0"])[2:])
        journey(shop.web)


@pytest.mark.real
def test_1_2_fails_every_twentieth_listing_and_nothing_else_and_1_3_mends_it(
    trees: Mapping[str, Path], data: Data, serve: Serve
) -> None:
    data.up(migrations(trees["v1.3.0"]))
    with serve("v1.2.0") as shop:
        listings = [shop.web.get("/api/products") for _ in range(100)]
        assert [n for n, answer in enumerate(listings) if answer.status_code != 200] == [19, 39, 59, 79, 99]
        assert {answer.status_code for answer in listings} == {200, 500}
        assert {answer.headers["x-version"] for answer in listings} == {"v1.2.0"}
        assert {shop.web.get(path).status_code for path in ("/", "/healthz", "/api/products/1") * 30} == {200}
        assert sum("TypeError" in str(line.get("error")) for line in shop.lines()) == 5
    with serve("v1.3.0") as shop:
        assert {shop.web.get("/api/products").status_code for _ in range(60)} == {200}
        assert sum("worth_cents" in line for line in shop.lines()) == 3


@pytest.mark.real
def test_one_key_is_one_order_however_many_send_it_at_once(trees: Mapping[str, Path], data: Data, serve: Serve) -> None:
    data.up(migrations(trees["v1.4.0"]))
    order = {"product_id": 2, "quantity": 3, "key": "twice", "note": "wrap it"}
    with serve("v1.4.0") as shop, ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(lambda _: shop.web.post("/api/orders", json=order), range(48)))
        assert {(answer.status_code, answer.text) for answer in answers} == {(201, answers[0].text)}
        assert shop.web.post("/api/orders", json={**order, "quantity": 4}).status_code == 422
        placed = shop.web.get(answers[0].headers["location"]).json()
        assert placed == {
            "id": answers[0].json()["id"],
            "key": "twice",
            "product_id": 2,
            "quantity": 3,
            "total": "67.50 €",
            "total_cents": 6750,
            "channel": "api",
            "note": "wrap it",
        }
    with psycopg.connect(data.migrator) as link:
        assert link.execute("select count(*) from orders").fetchone() == (1,)


@pytest.mark.real
def test_an_order_from_the_page_is_placed_once_and_said_to_be(
    trees: Mapping[str, Path], data: Data, serve: Serve
) -> None:
    data.up(migrations(trees["v1.4.0"]))
    with serve("v1.4.0", GREETING="Fish & chips", INTERLOCK_ENVIRONMENT="staging") as shop:
        page = shop.web.get("/").text
        assert all(text in page for text in ("Fish &amp; chips", "staging", "v1.4.0", "Seen from a mile away"))
        key = re.findall(r'name="key" value="([^"]+)"', page)[0]
        form = {"key": key, "product_id": "1", "quantity": "2", "note": ""}
        answers = [shop.web.post("/orders", data=form) for _ in range(2)]
        assert {(a.status_code, a.headers["location"]) for a in answers} == {(303, answers[0].headers["location"])}
        assert "Thank you" in shop.web.get(answers[0].headers["location"]).text
        assert shop.web.get(f"/api/orders?key={key}").json()["channel"] == "web"
        wrong = shop.web.post("/orders", data={**form, "key": "other", "quantity": "99"})
        assert wrong.status_code == 422
        assert "quantity: must be" in wrong.text


@pytest.mark.real
def test_every_answer_names_the_version_and_wrong_questions_never_break_it(
    trees: Mapping[str, Path], data: Data, serve: Serve
) -> None:
    data.up(migrations(trees["v1.4.0"]))
    order = {"product_id": 1, "quantity": 1, "key": "k"}
    with serve("v1.4.0") as shop:
        answers = {
            404: [shop.web.get(path) for path in ("/x", "/api/products/99", f"/api/orders/{10**30}", "/api/orders")],
            405: [shop.web.delete("/api/products")],
            422: [
                shop.web.post("/api/orders", content=body)
                for body in (b"", b"{", b"\xff", b"[]", json.dumps({**order, "product_id": 10**30}).encode())
            ],
        }
        for status, given in answers.items():
            assert {(a.status_code, a.headers["x-version"]) for a in given} == {(status, "v1.4.0")}
            assert all(answer.json()["error"] for answer in given)


@pytest.mark.real
def test_sigterm_lets_the_request_in_flight_finish_and_ends_with_zero(
    trees: Mapping[str, Path], data: Data, serve: Serve
) -> None:
    data.up(migrations(trees["v1.4.0"]))
    with serve("v1.4.0") as shop, psycopg.connect(data.migrator) as link, ThreadPoolExecutor(1) as customer:
        link.execute("lock table products in access exclusive mode")
        waiting = customer.submit(shop.web.get, "/api/products")
        blocked = "select 1 from pg_locks where not granted and relation = 'products'::regclass"
        wait(lambda: link.execute(blocked).fetchone() is not None, shop.process, shop.log)
        shop.process.send_signal(signal.SIGTERM)
        port = shop.web.base_url.port or 0
        wait(lambda: not listens(port), shop.process, shop.log)
        link.rollback()
        assert waiting.result().status_code == 200
        assert shop.process.wait(30) == 0


@pytest.mark.real
def test_a_shop_that_is_busy_is_still_healthy(trees: Mapping[str, Path], data: Data, serve: Serve) -> None:
    data.up(migrations(trees["v1.4.0"]))
    with serve("v1.4.0") as shop, psycopg.connect(data.migrator) as link, ThreadPoolExecutor(8) as crowd:
        link.execute("lock table products in access exclusive mode")
        waiting = [crowd.submit(shop.web.get, "/api/products") for _ in range(8)]
        blocked = "select count(*) from pg_locks where not granted and relation = 'products'::regclass"
        wait(lambda: link.execute(blocked).fetchone() == (4,), shop.process, shop.log)  # all there are
        assert shop.web.get("/healthz").status_code == 200
        link.rollback()
        assert {answer.result().status_code for answer in waiting} == {200}


@pytest.mark.real
def test_broken_connections_are_replaced_before_anybody_notices(
    trees: Mapping[str, Path], data: Data, serve: Serve, cluster: str
) -> None:
    data.up(migrations(trees["v1.4.0"]))
    with serve("v1.4.0") as shop, psycopg.connect(cluster, autocommit=True) as link, ThreadPoolExecutor(8) as crowd:
        for round_ in range(3):
            answers = list(crowd.map(lambda n: shop.web.get(f"/api/products/{n}"), range(1, 17)))
            assert {answer.status_code for answer in answers} == {200}, round_
            killed = link.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'shop'"
                " and datname = %s",
                (data.app.rpartition("/")[2],),
            ).fetchall()
            assert killed


@pytest.mark.real
def test_without_its_database_it_starts_says_so_and_stays(serve: Serve, tmp_path: Path, data: Data) -> None:
    secret = tmp_path / "url"
    secret.write_text(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing\n")
    with serve("v1.0.0", DATABASE_URL="", DATABASE_URL_FILE=str(secret), LOG_LEVEL="error") as shop:
        assert {shop.web.get(path).status_code for path in ("/healthz", "/api/products", "/")} == {503}
        assert [line["message"] for line in shop.lines()] == ["the shop is open"]
        secret.write_text(data.app)  # a rotated secret needs no restart
        assert shop.web.get("/healthz").status_code == 200


def test_a_wrong_environment_is_explained_and_ends_with_one(trees: Mapping[str, Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shop"],
        cwd=trees["v1.0.0"],
        env={"PATH": os.environ["PATH"], "PORT": "http"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert {line.partition(":")[0] for line in done.stderr.splitlines()} == {"DATABASE_URL", "PORT"}


@pytest.mark.real
@pytest.mark.parametrize("version", ["v1.0.0", "v1.4.0"])
def test_the_mix_is_answered_as_it_expects(version: str, trees: Mapping[str, Path], data: Data, serve: Serve) -> None:
    data.up(migrations(trees[version]))
    draw = random.Random(7)
    assert sum(kind.weight for kind in MIX) == 100
    with serve(version) as shop:
        for kind in draw.choices(MIX, [kind.weight for kind in MIX], k=200):
            values = {"key": uuid4().hex, "product": draw.choice(PRODUCTS), "quantity": draw.choice(QUANTITIES)}
            path, body = (Template(text).substitute(values) for text in (kind.path, kind.body or ""))
            answer = shop.web.request(kind.method, path, content=body)
            assert answer.status_code == kind.expected, (kind, answer.text)


@pytest.mark.real
def test_the_image_is_built_offline_and_its_unit_check_passes_without_a_network(trees: Mapping[str, Path]) -> None:
    base_image.ensure()
    spec, check = service().build, service().checks["unit"]
    assert isinstance(check, CommandCheck)
    engine, mine = docker.from_env(), {"interlock.test": uuid4().hex}
    try:
        image, _ = engine.images.build(
            path=str(trees["v1.4.0"]), buildargs=spec.args, labels=mine, network_mode="none", rm=True, forcerm=True
        )
        try:
            plain = {"labels": mine, "network_mode": "none", "read_only": True, "stderr": True, "remove": True}
            assert b"OK" in engine.containers.run(image.id, list(check.command), **plain)
            who = engine.containers.run(image.id, ["python3", "-c", "import os; print(os.getuid())"], **plain)
            assert who.strip() == b"65534"
        finally:
            engine.images.remove(image.id, noprune=True)  # its lower layers may serve another session's build
    finally:
        engine.close()
