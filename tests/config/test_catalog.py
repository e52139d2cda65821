"""The config folder: services, environments and people, and all problems of all files at once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from config import Catalog, load
from config.load import catalog
from config.settings import HOUSE, Settings
from domain.errors import Invalid

SETTINGS = """
stack: test
config: {config}
sources: sources
ledger: {{url: sqlite:///ledger.db}}
engine: {{kind: docker}}
registry: {{kind: oci, url: http://127.0.0.1:5000}}
router: {{kind: haproxy, folder: router}}
store: {{kind: folder, folder: store}}
secrets: {{folder: secrets}}
notices: {{kind: folder, folder: notices}}
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOneKeyAndNobodyElseMayHaveIt0000000000000000"
Given = Callable[[Mapping[str, str]], Settings]


def shop(**changes: str) -> str:
    keys = {
        "name": "shop",
        "owner": "payments",
        "source": "{repository: shop}",
        "environments": "{staging: {port: 8081}, production: {port: 8080}}",
    }
    return "\n".join(f"{key}: {value}" for key, value in {**keys, **changes}.items())


GOOD = {
    "services/shop.yaml": shop(needs="[stock]"),
    "services/stock.yaml": shop(name="stock", environments="{staging: {port: 8083}, production: {port: 8082}}"),
    "environments/staging.yaml": "name: staging",
    "environments/production.yaml": "{name: production, after: staging, seats: [[tech-lead, sre]]}",
    "people.yaml": f"people: [{{name: alice, email: alice@example.com, roles: [sre], keys: [{KEY} laptop]}}]",
}


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """Write a config folder, changed as the test says (empty text: no such file), and settings that name it."""

    def write(changes: Mapping[str, str]) -> Settings:
        for name, text in {**GOOD, **changes}.items():
            path = tmp_path / "config" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text:
                path.write_text(dedent(text))
        (tmp_path / "settings.yaml").write_text(SETTINGS.format(config=tmp_path / "config"))
        return load(tmp_path / "settings.yaml")

    return write


def problems(settings: Settings) -> list[str]:
    with pytest.raises(Invalid) as caught:
        catalog(settings)
    return caught.value.message.splitlines()


def test_a_good_folder_loads_whole(given: Given) -> None:
    found = catalog(given({}))
    assert sorted(found.services) == ["shop", "stock"]
    assert found.environment("production").after == "staging"
    assert found.service("shop").environments["production"].port == 8080
    assert [person.name for person in found.people.people] == ["alice"]


COPY = "name: test\nfrom: secret://env/PROD\ninto: secret://env/TEST\npolicy: masking/shop.yaml"


def test_copies_are_declared_in_a_folder_that_may_be_missing(given: Given) -> None:
    assert catalog(given({})).copies == {}
    found = catalog(given({"copies/test.yaml": COPY})).copy_of("test")
    assert (found.source, found.into, found.fresh) == ("secret://env/PROD", "secret://env/TEST", 2 * 86_400)


def test_a_copy_takes_nobodys_place(given: Given) -> None:
    places = "{staging: {port: 8081, database: secret://env/TEST}, production: {port: 8080}}"
    changes = {"services/shop.yaml": shop(environments=places), "copies/test.yaml": COPY}
    again = {"copies/twin.yaml": COPY.replace("name: test", "name: twin")}
    assert problems(given(changes | again)) == [
        "copies/test.yaml: into: shop in staging has its data there; a copy needs a database of its own",
        "copies/twin.yaml: into: the copy test goes there; a copy needs a database of its own",
    ]


def test_a_copy_of_itself_is_refused(given: Given) -> None:
    [said] = problems(given({"copies/test.yaml": COPY.replace("/TEST", "/PROD")}))
    assert "is the same database as `from`" in said


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("services/shop.yaml", shop(name="store"), "name: is 'store', but the file is shop.yaml; make them agree"),
        (
            "services/shop.yaml",
            shop(environments="{staging: {port: 8081}, productoin: {port: 8080}}"),
            "environments.productoin: there is no such environment; did you mean 'production'?",
        ),
        (
            "services/shop.yaml",
            shop(environments="{production: {port: 8080}}"),
            "environments.staging: missing; no release reaches production without it",
        ),
        (
            "services/stock.yaml",
            shop(name="stock", environments="{staging: {port: 8080}, production: {port: 8082}}"),
            "environments.staging.port: 8080 is taken by shop in production",
        ),
        ("services/shop.yaml", shop(needs="[stok]"), "needs: there is no 'stok'; did you mean 'stock'?"),
        ("services/shop.yaml", shop(needs="[shop]"), "needs: goes in a circle: shop → shop"),
        (
            "services/shop.yaml",
            shop(checks="{unit: {kind: command, command: [x], stage: deploy, environments: [stagin]}}"),
            "checks.unit.environments.0: shop has no such environment; did you mean 'staging'?",
        ),
        (
            "environments/production.yaml",
            "{name: production, after: stagin}",
            "after: there is no 'stagin'; did you mean 'staging'?",
        ),
        (
            "environments/production.yaml",
            "{name: production, after: staging, seats: [[sre], [tech-led]]}",
            "seats.1: nobody is tech-led; known: sre",
        ),
        ("people.yaml", "peopel: []", "peopel: unknown key; did you mean 'people'?"),
        ("services/cart.yml", "name: cart", "would be overlooked; call it cart.yaml"),
    ],
)
def test_a_contradiction_is_named_with_file_and_path(given: Given, file: str, text: str, problem: str) -> None:
    assert problems(given({file: text})) == [f"{file}: {problem}"]


PROMETHEUS = "kind: prometheus, url: http://x, requests: r, bad: b"


@pytest.mark.parametrize(
    ("measure", "problem"),
    [
        ("kpi: {o: {query: x}}", "kpi.o.database: missing; this environment declares no database"),
        ("traffic: {kind: promethus}", "traffic.kind: unknown; did you mean 'prometheus'?"),
        ("traffic: {kind: ticks, url: ftp://x}", "traffic.url: should be a URL that starts with http:// or https://"),
        (
            "traffic: {kind: ticks, url: http://x, token: hunter2}",
            "traffic.token: should be a secret://… reference, never a value",
        ),
        (
            f"traffic: {{{PROMETHEUS}, gauges: {{cpu: g}}}}, gauges: docker",
            "traffic.gauges.cpu: is a gauge of docker's, too; name it differently",
        ),
        (
            f"traffic: {{{PROMETHEUS}, kpi: {{o: c}}}}, kpi: {{o: {{query: x, database: secret://env/D}}}}",
            "kpi.o: is counted by Prometheus, too; name one of them differently",
        ),
        ("gauges: podman", "gauges: unknown; known: docker"),
    ],
)
def test_a_source_of_measurements_that_cannot_be_meant_is_named(given: Given, measure: str, problem: str) -> None:
    text = shop(environments=f"{{staging: {{port: 8081, measure: {{{measure}}}}}, production: {{port: 8080}}}}")
    assert problems(given({"services/shop.yaml": text})) == [
        f"services/shop.yaml: environments.staging.measure.{problem}"
    ]


def test_problems_of_all_files_come_at_once(given: Given) -> None:
    found = problems(
        given(
            {
                "services/shop.yaml": shop(needs="[stok]"),
                "services/stock.yaml": "name: [",
                "environments/staging.yaml": "{name: staging, replicas: 0, color: red}",
                "environments/production.yaml": "{name: production, after: stagng}",
                "people.yaml": "people: {}",
            }
        )
    )
    assert [": ".join(line.split(": ")[:2]) for line in found] == [
        "services/stock.yaml: line 1, column 8",
        "environments/staging.yaml: replicas",
        "environments/staging.yaml: color",
        "people.yaml: people",
        "environments/production.yaml: after",
        "services/shop.yaml: needs",
    ]


def test_a_file_that_cannot_be_read_is_not_also_missing(given: Given) -> None:
    broken = {"environments/staging.yaml": "nmae: staging", "services/stock.yaml": "{", "people.yaml": "people: 1"}
    assert {line.split(":")[0] for line in problems(given(broken))} == set(broken)


def test_a_circle_of_environments_is_told_once(given: Given) -> None:
    found = problems(given({"environments/staging.yaml": "{name: staging, after: production}"}))
    assert found == ["environments/production.yaml: after: goes in a circle: production → staging → production"]


def test_needs_behind_a_circle_are_not_blamed_for_it(given: Given) -> None:
    found = problems(
        given(
            {
                "services/shop.yaml": shop(needs="[stock]"),
                "services/stock.yaml": shop(name="stock", needs="[tax]", environments="{staging: {port: 8083}}"),
                "services/tax.yaml": shop(name="tax", needs="[stock]", environments="{staging: {port: 8084}}"),
            }
        )
    )
    assert found == ["services/stock.yaml: needs: goes in a circle: stock → tax → stock"]


def test_two_chains_and_a_fork_are_allowed(given: Given) -> None:
    found = catalog(
        given(
            {
                "environments/dr.yaml": "{name: dr, after: staging}",
                "environments/lab.yaml": "name: lab",
            }
        )
    )
    assert sorted(found.environments) == ["dr", "lab", "production", "staging"]


def test_seats_are_not_held_against_nobody(given: Given) -> None:
    assert catalog(given({"people.yaml": ""})).people.people == ()


def test_people_of_this_machine_join_those_of_the_config_folder(given: Given, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("people: [{name: bob, email: bob@example.com}]")
    settings = given({}).model_copy(update={"people": tmp_path / "more.yaml"})
    assert [person.name for person in catalog(settings).people.people] == ["alice", "bob"]


def test_people_that_settings_name_must_be_there(given: Given, tmp_path: Path) -> None:
    settings = given({}).model_copy(update={"people": tmp_path / "more.yaml"})
    assert problems(settings) == [f"{tmp_path}/more.yaml: cannot be read: No such file or directory"]


def test_seats_are_not_held_against_half_of_the_people(given: Given, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("people: [{name: bob, email: bob@example.com, roles: [dba]}]")
    settings = given({"people.yaml": "people: 1"}).model_copy(update={"people": tmp_path / "more.yaml"})
    assert problems(settings) == ["people.yaml: people: should be a list"]


@pytest.mark.parametrize(
    ("person", "problem"),
    [
        ("{name: alice, email: a@example.com}", "alice and alice have the same name"),
        ("{name: bob, email: alice@example.com}", "alice and bob have the same address"),
        (f"{{name: bob, email: bob@example.com, keys: [{KEY} another-comment]}}", "alice and bob have the same key"),
    ],
)
def test_nobody_can_approve_as_two_people(given: Given, tmp_path: Path, person: str, problem: str) -> None:
    (tmp_path / "more.yaml").write_text(f"people: [{person}]")
    settings = given({}).model_copy(update={"people": tmp_path / "more.yaml"})
    assert problems(settings) == [f"people.yaml: people: {problem}; each needs their own"]


def test_criteria_and_success_may_be_missing_here_because_the_plan_refuses_that(given: Given) -> None:
    assert catalog(given({})).service("shop").criteria is None


def test_a_folder_that_is_not_there_is_told(given: Given, tmp_path: Path) -> None:
    settings = given({}).model_copy(update={"config": tmp_path / "nowhere"})
    assert problems(settings) == ["services: there is no such folder", "environments: there is no such folder"]


def test_an_unknown_service_or_environment_is_answered_with_the_known_ones(given: Given) -> None:
    found = catalog(given({}))
    with pytest.raises(Invalid, match="service 'shp' does not exist") as wrong_service:
        found.service("shp")
    with pytest.raises(Invalid, match="environment 'moon' does not exist") as wrong_environment:
        found.environment("moon")
    assert wrong_service.value.hint == "did you mean 'shop'? known: shop, stock"
    assert wrong_environment.value.hint == "known: production, staging"


def test_an_empty_catalog_knows_nothing_and_says_so() -> None:
    with pytest.raises(Invalid) as caught:
        Catalog().service("shop")
    assert caught.value.hint == "known: none"


def test_the_config_folder_of_this_repository_loads(given: Given) -> None:
    catalog(given({}).model_copy(update={"config": HOUSE / "config"}))
