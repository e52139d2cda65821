"""The plan: one frozen value, refused early, changed by any byte."""

from collections.abc import Callable
from typing import ClassVar

import pytest

from domain.environment.profile import Environment, Rollout
from domain.environment.topology import path_to
from domain.errors import Invalid, Refused
from domain.policy.rules import insist
from domain.release.diff import markdown, rows
from domain.release.plan import Plan, Settled
from domain.release.service import Service
from domain.release.version import name
from domain.schema.consumer import Consumer

Draw = Callable[..., Plan]
EXPAND = {"number": 1, "name": "note", "phase": "expand", "up": "alter table orders add note text"}


def test_the_same_inputs_give_the_same_hash_and_any_change_another(plan: Draw) -> None:
    one, same = plan(), plan()
    assert one.hash == same.hash
    assert len({one.hash, plan(number=3).hash, plan(tag="v1.2.0").hash, plan(requester="ada").hash}) == 4


def test_a_plan_survives_the_journal_with_its_hash(plan: Draw) -> None:
    one = plan(migrations=[EXPAND])
    assert Plan.model_validate_json(one.model_dump_json(by_alias=True)).hash == one.hash


@pytest.mark.parametrize("field", ["criteria", "success"])
def test_a_service_without_criteria_or_success_metrics_is_refused(plan: Draw, service: Service, field: str) -> None:
    bare = service.model_copy(update={field: None if field == "criteria" else ()})
    with pytest.raises(Refused, match=field):
        plan(service=bare)


def test_going_to_production_without_passing_dev_is_refused(plan: Draw) -> None:
    with pytest.raises(Refused, match="has not passed dev"):
        plan(to=("production",))


def test_the_first_release_takes_all_traffic_at_once_and_later_ones_ramp_into_the_free_slot(
    plan: Draw, settled: Callable[..., Settled]
) -> None:
    first = plan().stage("production")
    assert (first.ramp, first.judged, first.slot) == ((10_000,), False, "blue")
    later = plan(settled={"production": settled("1.0.0", "blue")}).stage("production")
    assert (later.ramp, later.judged, later.slot) == ((1000, 5000, 10_000), True, "green")


def test_a_secret_in_clear_is_denied_with_its_key(plan: Draw, service: Service) -> None:
    placement = service.environments["dev"].model_copy(update={"config": {"DB_PASSWORD": "hunter2"}})
    leaky = service.model_copy(update={"environments": {**service.environments, "dev": placement}})
    with pytest.raises(Refused, match=r"secrets-are-references.*DB_PASSWORD"):
        insist(plan(service=leaky).verdicts)


def test_a_gate_that_nobody_left_could_pass_is_denied(plan: Draw) -> None:
    # ada and dora are the tech leads: one asks, the other wrote the change.
    with pytest.raises(Refused, match=r"gates-can-be-passed.*tech-lead"):
        insist(plan(requester="ada").verdicts)
    insist(plan(requester="dora").verdicts)


def test_an_unknown_requester_is_denied(plan: Draw) -> None:
    with pytest.raises(Refused, match="requester-is-known"):
        insist(plan(requester="mallory").verdicts)


def test_expand_and_contract_in_one_release_are_denied(plan: Draw) -> None:
    contract = {"number": 2, "name": "drop", "phase": "contract", "up": "drop table x", "down": "create table x()"}
    with pytest.raises(Refused, match="one-schema-phase"):
        insist(plan(migrations=[EXPAND, contract]).verdicts)


def test_a_contract_step_without_a_way_back_is_denied(plan: Draw) -> None:
    with pytest.raises(Refused, match="way-back-is-set"):
        insist(plan(migrations=[{**EXPAND, "phase": "contract"}]).verdicts)


def test_the_diff_names_what_runs_now_and_what_will(plan: Draw, settled: Callable[..., Settled]) -> None:
    one = plan(settled={"production": settled("1.0.0", "blue")}, migrations=[EXPAND])
    said = {row.what: row for row in rows(one, one.stage("production"))}
    assert (said["version"].now, said["version"].then) == ("1.0.0", "1.1.0")
    assert said["schema"].then == "0001_note (expand)"
    assert said["traffic"].then == "slot green: canary 10 → 50 → 100 %, judged on traffic"
    assert not said["replicas"].changed
    assert f"plan `{one.hash}`" in markdown(one)


def test_ramps_of_the_three_strategies() -> None:
    assert Rollout(strategy="canary").shares(4) == (10, 50, 100)
    assert Rollout(strategy="blue-green").shares(4) == (100,)
    assert Rollout(strategy="rolling").shares(4) == (25, 50, 75, 100)


@pytest.mark.parametrize("ramp", [[50, 10, 100], [10, 50], [], [0, 100], [10, 10, 100]])
def test_a_ramp_that_does_not_rise_to_everyone_is_refused(ramp: list[int]) -> None:
    with pytest.raises(ValueError, match="must rise strictly"):
        Rollout.model_validate({"ramp": ramp})


def test_a_circle_of_environments_is_named(environments: dict[str, Environment]) -> None:
    circle = {**environments, "dev": environments["dev"].model_copy(update={"after": "production"})}
    with pytest.raises(Invalid, match="production → dev → production"):
        path_to("production", circle)


@pytest.mark.parametrize(
    ("tags", "earlier", "expected"),
    [
        (["v1.2.0", "nightly"], ["v1.1.0"], ("1.2.0", "v1.2.0")),
        (["v1.2.0-rc.1", "v1.2.0"], [], ("1.2.0", "v1.2.0")),
        ([], ["v1.1.0", "v1.0.0"], ("1.1.1-dev.gabc0123", None)),
        (["vNext"], [], ("0.0.1-dev.gabc0123", None)),
    ],
)
def test_a_commit_is_named_by_its_tag_or_after_the_last_one(
    tags: list[str], earlier: list[str], expected: tuple[str, str | None]
) -> None:
    assert name(tags, earlier, "v", "abc0123def") == expected


class TestSchemaFindings:
    UP = "create index i on o (a)"
    INDEX: ClassVar = {"number": 1, "name": "index", "up": UP, "down": "drop index i"}

    def test_an_unanswered_one_is_denied_where_something_serves(
        self, plan: Draw, settled: Callable[..., Settled]
    ) -> None:
        serving = {"production": settled("1.0.0", "blue")}
        with pytest.raises(Refused, match=r"schema-is-answered: 0001_index\.up\.sql:1: index-blocks-writes"):
            insist(plan(settled=serving, migrations=[self.INDEX]).verdicts)

    def test_an_answered_one_is_shown_with_its_reason(self, plan: Draw, settled: Callable[..., Settled]) -> None:
        answer = '-- interlock: allow=index-blocks-writes reason="forty rows"\n'
        one = plan(
            settled={"production": settled("1.0.0", "blue")},
            migrations=[{**self.INDEX, "up": answer + self.UP}],
        )
        insist(one.verdicts)
        said = [(row.what, row.then) for row in rows(one, one.stage("production")) if row.what.startswith("schema ")]
        assert said[0] == (
            "schema change", "create index i on o: expand; SHARE on o; takes longer the more rows there are"
        )  # fmt: skip
        assert said[1][0] == "schema error"
        assert said[1][1].endswith("(accepted: forty rows)")
        assert "accepted: forty rows" in markdown(one)

    def test_where_nothing_serves_yet_it_hurts_nobody(self, plan: Draw) -> None:
        one = plan(migrations=[self.INDEX])
        insist(one.verdicts)
        assert [found.rule for found in one.stages[0].impacts[0].findings] == ["index-blocks-writes"]

    def test_a_consumer_is_named(self, plan: Draw, settled: Callable[..., Settled], service: Service) -> None:
        assert service.schema_ is not None
        report = Consumer(name="report", owner="finance", reads={"o": ()})
        watched = service.schema_.model_copy(update={"consumers": (report,)})
        gone = {
            "number": 1,
            "name": "gone",
            "phase": "contract",
            "up": "drop view o",
            "down": "create view o as select",
        }
        with pytest.raises(Refused, match=r"consumer: drop view o is read by report \(ask finance\)"):
            insist(
                plan(
                    service=service.model_copy(update={"schema_": watched}),
                    settled={"production": settled("1.0.0", "blue")},
                    migrations=[gone],
                ).verdicts
            )
