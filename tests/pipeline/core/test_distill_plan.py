"""The teacher in the plan: the trained baseline feeds a distill step, whatever came in between."""

from __future__ import annotations

from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.core.plan import Plan, Ref, make_plan
from tests.golden.plan_ids import _CATALOG

TEXT = """
name: x
data: {name: digits}
model: {arch: mlp}
optimize: [{prune: {sparsity: 0.5}}, STEP, {quantize: {bits: 8}}]
"""


def planned(step: str) -> Plan:
    return make_plan(build(loads(TEXT.replace("STEP", step), "x.yaml")), _CATALOG)


def test_the_teacher_is_the_baseline_and_the_student_what_is_left() -> None:
    """Distill takes the network of the step before it, and in another role the one that was trained."""
    plan = planned("{distill: {epochs: 1}}")
    (run,) = plan.runs
    inputs = plan.node(run.steps[1]).inputs
    assert inputs["teacher"] == Ref(run.train, "model")
    assert inputs["model"] == Ref(run.steps[0], "model")
    assert {inputs[role].node for role in ("train", "validation")} == {run.data}


def test_other_steps_have_no_teacher() -> None:
    """Finetune does not hang on the baseline's bytes, nor does what comes after distill."""
    for plan in (planned("{finetune: {epochs: 1}}"), planned("{distill: {epochs: 1}}")):
        (run,) = plan.runs
        teachers = [step for step in run.steps if "teacher" in plan.node(step).inputs]
        assert teachers == [step for step in run.steps if plan.node(step).spec["pass"] == "distill"]
