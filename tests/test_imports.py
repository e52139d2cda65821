"""The house rules that a machine can hold: who may import whom, what things are called, how long they grow."""

import ast
import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
Function = ast.FunctionDef | ast.AsyncFunctionDef

INNER = {"flows", "tasks", "domain", "adapters", "config", "ledger"}
OUTER = {"cli", "deployments", "bench"}  # where it starts and is measured: they import anything, nobody imports them
OURS = INNER | OUTER | {"tests"}
MAY_IMPORT = {
    "domain": set[str](),
    "config": {"domain"},
    "ledger": {"domain"},
    "adapters": {"domain"},
    "tasks": {"domain"},
    "flows": {"tasks", "domain", "adapters.connect", "config", "ledger"},
    **dict.fromkeys(OUTER, INNER | OUTER),
}
MAY_IMPORT_MORE = {"adapters/connect.py": {"config", "ledger"}}  # the one place that names concrete classes

MAY_IMPORT_PREFECT = OUTER | {"flows"}
MAY_IMPORT_PREFECT_TOO = {
    "tasks/step.py",  # the one decorator that makes a verb a task
    "tasks/fault.py",  # asks which flow it is in, when a campaign wants to know
}
ASKS_THE_WORLD = {
    *("asyncio", "boto3", "docker", "httpx", "os", "psycopg", "requests"),
    *("socket", "sqlalchemy", "sqlmodel", "subprocess", "time"),
}
LOOKS_AT_THE_CLOCK_OR_A_FILE = {"now", "utcnow", "today", "open", "read_text", "write_text", "print", "input"}

SAYS_NOTHING = {
    *("base", "common", "core", "handler", "handlers", "helper", "helpers", "manager", "misc"),
    *("service", "shared", "util", "utils"),
}
SAYS_SOMETHING = {"domain/release/service.py"}  # Service is the noun: what is released

LONGEST = {"flows": 80, "tasks": 60, "domain": 250, "config": 250, "ledger": 220, "adapters": 220, "tests": 250}
LONGEST_FUNCTION = 40
LONGER = {  # file: (lines at most, why it is better in one piece)
    "adapters/docker_workload.py": (240, "one port: what a container is made of, and how it comes and goes"),
    "adapters/postgres.py": (230, "one port: all that a database is asked and told, each method a few lines"),
    "adapters/postgres_clone.py": (
        245,
        "what a script did shows in its locks and files, and is looked at where it ran",
    ),
    "domain/facts.py": (275, "every kind of fact on one page, each with what it says"),
    "domain/ports.py": (510, "every port on one page, each method with its promises; Protocols have no bodies"),
    "flows/dispatch.py": (105, "all that is asked of Prefect's API, one question after the other"),
    "flows/drill.py": (115, "where there is a way back to walk, and what comes of walking it"),
    "flows/hold.py": (115, "two leases, kept alive, parked and given back by the same rules"),
    "flows/reconcile.py": (95, "one look, agreed on, and mended difference by difference"),
    "flows/recover.py": (110, "what is decided about a lost release, and what is then done"),
    "flows/proof.py": (90, "a proof before, when it is old, and what must be as it says afterwards"),
    "flows/ramp.py": (105, "one share of traffic after the other, and what is put up before the first"),
    "flows/release.py": (95, "a third is imports; the runbook itself is one screen"),
    "flows/chart.py": (125, "one picture, drawn in a thread and shown in an artifact"),
    "flows/report.py": (100, "everything that a run's page shows"),
    "flows/turn.py": (100, "who waits, who is called, and who is turned away"),
    "flows/take_back.py": (180, "the way back walked and then looked at"),
    "ledger/open.py": (260, "two databases side by side, so that a difference between them is seen"),
    "tasks/approve.py": (90, "a gate is opened, answered and counted by the same rules"),
    "tasks/back_up.py": (80, "a backup, what makes it one, and how it is found again"),
    "tasks/prove.py": (85, "a proof is made, judged and kept in one go, also for drills and the command line"),
    "tasks/check.py": (100, "two kinds of check with one kind of evidence"),
    "tasks/deploy.py": (75, "ready means two things: it answers, and its log arrives"),
    "tasks/fault.py": (80, "one campaign's hook, whole: what it matches, and how it strikes"),
    "tasks/find_orphans.py": (75, "every product asked, and the ledger held against the answers"),
    "tasks/judge.py": (125, "ramp and bake replay the same ticks"),
    "tasks/migrate.py": (80, "one migration, and the fingerprint it must find and leave"),
    "tasks/prepare.py": (140, "what a plan is drawn up from: source, history, databases"),
    "tasks/rehearse.py": (160, "one rehearsal in its order, and the record that it leaves"),
    "tasks/rehearse_by_tool.py": (130, "the same rehearsal in the hands of images: its order, and the record"),
    "tasks/step.py": (285, "the protocol of intent, outcome and re-entry, which every verb goes through"),
    "tests/adapters/test_database.py": (
        690,
        "one contract, then locks, crashes and damaged backups on a real PostgreSQL",
    ),
    "tests/adapters/test_keepers.py": (410, "one contract over every product that keeps things, and each one's own"),
    "tests/adapters/test_registry.py": (270, "one contract, then what a registry may get wrong"),
    "tests/adapters/test_router.py": (560, "one contract, then what only real traffic can show"),
    "tests/adapters/test_secrets.py": (270, "one contract over three kinds of reference, and the mask over the log"),
    "tests/adapters/test_store.py": (305, "one contract over three stores, then what each of them can lose"),
    "tests/adapters/test_workload.py": (525, "one contract, then what only a real engine can show"),
    "tests/config/test_catalog.py": (300, "one good folder, and everything in it that can contradict the rest"),
    "tests/domain/test_drift.py": (390, "one scene, changed on every plane, and then on all of them at once"),
    "tests/domain/test_schema_changes.py": (290, "one table: a hundred statements and what each of them does"),
    "tests/end_to_end/test_line.py": (310, "one shop's life in order: each story starts where the last one ended"),
    "tests/examples/test_shop.py": (570, "the example service from its history to its last request"),
    "tests/flows/test_found_done.py": (330, "every verb with an effect, dead at the same two points"),
    "tests/flows/test_proof.py": (265, "every way a proof or a drill meets a release, from one opening scene"),
    "tests/flows/test_real_world.py": (390, "one shop on real products, changed by hand in every way at once told"),
    "tests/flows/test_reconcile.py": (390, "every way the world can differ, looked at, mended, and agreed on"),
    "tests/flows/test_release.py": (300, "the release flow's stories, each from the same opening scene"),
    "tests/tasks/test_rehearse.py": (285, "one small shop, and every way back that could be wrong"),
    "tests/test_imports.py": (300, "all rules of the house on one page"),
    "tests/ledger/test_lease.py": (275, "one contract over memory and both databases"),
}
LONGER_FUNCTIONS = {  # file:function: (lines at most, why)
    "domain/release/draw_up.py:draw_up": (45, "one keyword argument per field of the plan"),
    "domain/release/explain.py:sentence": (60, "one case for each kind of fact"),
    "tests/end_to_end/test_line.py:test_a_release_starts_in_the_browser_and_waits_for_pasted_signatures": (
        60,
        "one sitting of two people, click by click",
    ),
    "tests/flows/test_real_world.py:test_an_orphan_of_each_kind_goes_and_its_neighbour_stays": (
        60,
        "one of each kind planted, one sweep, and what is left of each",
    ),
    "tests/flows/conftest.py:world": (80, "every port in memory, put together once"),
}


def files(*packages: str) -> Iterator[tuple[str, Path]]:
    """List our Python files by the name they have in this repository."""
    for package in sorted(packages):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def package(name: str) -> str:
    return name.partition("/")[0]


def imported(path: Path) -> Iterator[str]:
    """Name every module that a file imports, wherever in the file it does; `from a import b` is a.b."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(module: str, names: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def test_imports_go_one_way() -> None:
    wrong = [
        f"{name} imports {module}"
        for name, path in files(*MAY_IMPORT)
        for module in imported(path)
        if inside(module, OURS)
        and not inside(module, {package(name)} | MAY_IMPORT[package(name)] | MAY_IMPORT_MORE.get(name, set()))
    ]
    assert wrong == []


def test_only_flows_and_the_step_know_prefect() -> None:
    know = {name for name, path in files(*INNER) if any(inside(module, {"prefect"}) for module in imported(path))}
    assert {name for name in know - MAY_IMPORT_PREFECT_TOO if package(name) not in MAY_IMPORT_PREFECT} == set()


def test_the_domain_asks_nobody() -> None:
    assert [(name, m) for name, path in files("domain") for m in imported(path) if inside(m, ASKS_THE_WORLD)] == []


def test_the_domain_looks_at_no_clock_and_no_file() -> None:
    called = [
        (name, node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
        for name, path in files("domain")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
    ]
    assert [call for call in called if call[1] in LOOKS_AT_THE_CLOCK_OR_A_FILE] == []


def test_imports_are_absolute() -> None:
    relative = [
        f"{name}:{node.lineno}"
        for name, path in files(*OURS)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_an_import_inside_a_function_says_why() -> None:
    silent = [
        f"{name}:{node.lineno}"
        for name, path in files(*INNER, *OUTER)
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and not reason(path.read_text(encoding="utf-8").splitlines()[(node.end_lineno or node.lineno) - 1])
    ]
    assert silent == []


def reason(line: str) -> str:
    """Give what a comment says beyond switching off a check."""
    return re.sub(r"noqa(: *[A-Z]+\d+(, *[A-Z]+\d+)*)?|type: ignore(\[.*?\])?", "", line.partition("#")[2]).strip(" #")


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("    import bench  # noqa: PLC0415  # only one command needs it", "only one command needs it"),
        ("    import bench  # noqa: PLC0415, E402", ""),
        ("    import bench  # type: ignore[import-untyped]", ""),
        ("    import bench", ""),
    ],
)
def test_a_switched_off_check_is_no_reason(line: str, given: str) -> None:
    assert reason(line) == given


def test_a_name_says_what_is_inside() -> None:
    last_words = {name: {p.rpartition("_")[2] for p in Path(name).with_suffix("").parts} for name, _ in files(*OURS)}
    assert {name for name, words in last_words.items() if words & SAYS_NOTHING} == SAYS_SOMETHING


def test_no_flow_shadows_a_package_or_the_standard_library() -> None:
    flows = {path.stem for _, path in files("flows")} - {"__init__"}
    assert flows & (OURS | sys.stdlib_module_names | packages_distributions().keys()) == set()


def test_nothing_installed_has_the_name_of_one_of_our_packages() -> None:
    assert MAY_IMPORT.keys() & (packages_distributions().keys() | sys.stdlib_module_names) == set()


def test_tests_are_no_packages_because_tests_flows_would_become_flows() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_a_file_can_be_read_in_one_go() -> None:
    """Split a file over the limit by subject, or name it in LONGER with the reason; one that shrank leaves the list."""
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files(*LONGEST)}
    long = {name: count for name, count in lines.items() if count > LONGEST[package(name)]}
    assert {name: count for name, count in long.items() if count > LONGER.get(name, (0, ""))[0]} == {}
    assert LONGER.keys() - long.keys() == set()


def test_a_function_can_be_read_in_one_go() -> None:
    """The same for functions and LONGER_FUNCTIONS."""
    long = {
        f"{name}:{function.name}": lines
        for name, path in files(*OURS)
        for function in functions(path)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    }
    assert {name: lines for name, lines in long.items() if lines > LONGER_FUNCTIONS.get(name, (0, ""))[0]} == {}
    assert LONGER_FUNCTIONS.keys() - long.keys() == set()


def hooks() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["build-system"]["build-backend"] == "hatchling.build"
    targets = project["tool"]["hatch"]["build"]["targets"]
    return {target: targets[target]["hooks"]["custom"]["path"] for target in ("wheel", "sdist")}


@pytest.fixture(params=["wheel", "sdist"])
def build_hook(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the hook that pyproject.toml names. Only builds have hatchling, so its base class is stood in for."""
    interface = ModuleType("hatchling.builders.hooks.plugin.interface")
    vars(interface)["BuildHookInterface"] = object
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    spec = importlib.util.spec_from_file_location("build_hook", ROOT / hooks()[request.param])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EditableOnly()


def test_a_package_of_this_house_cannot_be_built(build_hook: Any) -> None:
    with pytest.raises(RuntimeError, match="uv sync"):
        build_hook.initialize("standard", {})


def test_an_editable_install_can(build_hook: Any) -> None:
    build_hook.initialize("editable", {})
