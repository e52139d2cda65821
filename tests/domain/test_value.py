"""Values that are made without their checks, because thousands of them are made a second."""

from domain.canary.criteria import Criteria
from domain.canary.judge import Judge
from domain.canary.ramp import Course, Ramp, Ruling
from domain.canary.tick import Cell, Tick
from domain.canary.verdict import Verdict


def tick(second: int) -> Tick:
    cells = (
        Cell(arm="candidate", replica="c", requests=10, bad=second % 3),
        Cell(arm="stable", replica="s", requests=90, bad=second % 2),
    )
    return Tick(second=second, cells=cells)


def test_a_verdict_and_a_ruling_are_as_if_they_had_been_checked() -> None:
    judge, ramp = Judge(Criteria()), Ramp(Course())
    judge.enter(1000, 5000)
    for second in range(60):
        verdict, ruling = judge.look(tick(second)), ramp.look(tick(second))
        for value, again in (
            (verdict, Verdict.model_validate_json(verdict.model_dump_json())),
            (ruling, Ruling.model_validate_json(ruling.model_dump_json())),
        ):
            assert again == value
            assert again.model_fields_set == value.model_fields_set
            assert again.model_dump_json() == value.model_dump_json()
    assert ruling.action == "rollback"
