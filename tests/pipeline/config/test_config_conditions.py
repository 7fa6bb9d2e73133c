"""`when:` leaves a step out at the points where it does not hold, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.build import build
from pipeline.config.check import check
from pipeline.config.load import loads
from pipeline.config.schema import step_names
from pipeline.core.experiment import Run
from pipeline.run import prepare
from pipeline.store.local import LocalStore

TEXT = """\
name: demo
vars: {sparsity: 0.5, bits: 8}
data: {name: digits}
model: {arch: mlp, args: {hidden: [16]}}
optimize:
  - prune: {sparsity: "${sparsity}"}
  - finetune: {epochs: 1}
  - quantize: {bits: "${bits}"}
    when: WHEN
"""
SWEEP = "sweep: {grid: {sparsity: [0, 0.5], bits: [32, 8, 4]}}\n"


def text(when: str, rest: str = SWEEP) -> str:
    return TEXT.replace("WHEN", when) + rest


def runs(when: str, *set_: str, rest: str = SWEEP) -> tuple[Run, ...]:
    return build(loads(text(when, rest), "x.yaml"), set_).runs


def quantized_at(when: str, *set_: str, rest: str = SWEEP) -> list[str]:
    """Return the labels of the runs in which the last step takes place."""
    return [run.label for run in runs(when, *set_, rest=rest) if run.steps and run.steps[-1].use == "quantize"]


@pytest.mark.parametrize(
    ("when", "kept"),
    [
        ("{bits: 8}", {8}),
        ("{bits: 8.0}", {8}),
        ("{bits: [8, 4]}", {8, 4}),
        ("{bits: {not: 32}}", {8, 4}),
        ("{bits: {not: [32, 4]}}", {8}),
        ("{optimize.quantize.bits: [8]}", {8}),
        ("{bits: [8, 4], sparsity: [0, 0.5]}", {8, 4}),
        ("{bits: {not: 4}, sparsity: {not: 0.9}}", {32, 8}),
        ("null", {32, 8, 4}),
    ],
)
def test_a_step_takes_place_where_its_condition_holds(when: str, kept: set[int]) -> None:
    """A value, one of a list, or none of those after `not`; all entries must hold."""
    expected = [f"sparsity={sparsity} bits={bits}" for sparsity in (0, 0.5) for bits in (32, 8, 4) if bits in kept]
    assert quantized_at(when) == expected


def test_the_other_steps_stay_as_they_are() -> None:
    """Their ids too: a step has one id at all points."""
    again = text("{bits: 8}").replace("  - finetune", "  - {quantize: {bits: 32}, when: {sparsity: 0}}\n  - finetune")
    steps = [[step.id for step in run.steps] for run in build(loads(again)).runs]
    assert steps[:3] == [
        ["prune", "quantize", "finetune"],
        ["prune", "quantize", "finetune", "quantize_2"],
        ["prune", "quantize", "finetune"],
    ]
    assert steps[3:] == [["prune", "finetune"], ["prune", "finetune", "quantize_2"], ["prune", "finetune"]]


def test_conditions_see_defaults_and_what_the_file_says() -> None:
    """A path has its default where the file says nothing, null included; a point has no say then."""
    for when, is_kept in (
        ("{model.train.optimizer: adam, data.name: digits, benchmark.threshold: 0.02}", True),
        ("{model.train.grad_clip: null}", True),
        ("{model.args.hidden: [[16]]}", True),
        ("{model.args.hidden: [16]}", False),
        ("{model.train.optimizer: sgd}", False),
        ("{bits: 4}", False),
    ):
        assert bool(quantized_at(when, rest="")) == is_kept, when


def test_a_variable_may_be_a_switch() -> None:
    """One that only conditions ask for is used; true is not 1."""
    switch = "vars: {compress: true, "
    swept = "sweep: {grid: {compress: [true, false]}}\n"
    whole = text("{compress: true}", swept).replace("vars: {", switch)
    assert check(loads(whole)) == []
    assert [(run.label, len(run.steps)) for run in build(loads(whole)).runs] == [
        ("compress=true", 3),
        ("compress=false", 2),
    ]
    nothing = whole.replace("compress: true", "compress: null")
    assert [len(run.steps) for run in build(loads(nothing), ["compress=null"]).runs] == [3]
    (problem,) = check(loads(whole.replace("{compress: true}\n", "{compress: 1}\n", 1)))
    assert problem.message == "this holds at no point, so the step would never take place"


def test_an_absent_step_shares_all_nodes_with_points_that_never_had_it(tmp_path: Path) -> None:
    """The plan of an experiment without the step is part of the plan."""
    store = LocalStore(tmp_path / "store")
    without = TEXT[: TEXT.index("  - quantize")].replace(", bits: 8", "")
    plans = [
        prepare(build(loads(each)), store)[0]
        for each in (text("{bits: 8}"), without + "sweep: {grid: {sparsity: [0, 0.5]}}\n")
    ]
    ids = [{node.id for node in plan.nodes if node.stage not in ("submit", "report")} for plan in plans]
    assert ids[1] < ids[0]
    assert [nodes.steps for nodes in plans[0].runs][::3] == [nodes.steps for nodes in plans[1].runs]


def test_layers_are_checked_only_where_the_step_takes_place() -> None:
    """A glob that matches nothing elsewhere is no error, and integers elsewhere are no obstacle."""
    swept = "sweep: {zip: {model.arch: [mlp, cnn], model.args: [{hidden: [8]}, {width: 4}]}}\n"
    conv = text("{model.arch: cnn}", swept).replace('{bits: "${bits}"}', '{bits: "${bits}", targets: ["conv*"]}')
    assert check(loads(conv)) == []
    assert [problem.code for problem in check(loads(conv.replace("{model.arch: cnn}", "{bits: 8}")))] == ["E133"]
    switch = conv.replace("vars: {", "vars: {on: true, ").replace("when: {model.arch: cnn}", "when: {on: true}")
    switch = switch.replace(swept, "sweep: {grid: {on: [false, true]}}\n")
    assert [problem.code for problem in check(loads(switch))] == ["E133"]
    twice = text("{bits: 8}").replace("  - finetune", "  - {quantize: {bits: 4}, when: {bits: WHERE}}\n  - finetune")
    order = twice.replace("  - finetune: {epochs: 1}\n", "")
    assert check(loads(order.replace("WHERE", "4"))) == []
    assert [problem.code for problem in check(loads(order.replace("WHERE", "{not: 32}")))] == ["E134"]


def test_a_setting_is_at_work_where_its_step_is() -> None:
    """Momentum without SGD is an error, though another point, at which the step is left out, has SGD."""
    step = '  - {finetune: {momentum: 0.5, optimizer: "${rule}"}, when: {rule: RULE}}\n'
    whole = text("null", "sweep: {grid: {rule: [adam, sgd]}}\n").replace("vars: {", "vars: {rule: adam, ")
    whole = whole.replace("  - finetune: {epochs: 1}\n", step)
    assert check(loads(whole.replace("RULE", "sgd"))) == []
    assert [problem.code for problem in check(loads(whole.replace("RULE", "adam")))] == ["E119"]
    assert check(loads(whole.replace("RULE", "sgd")), ["rule=adam"]) == []


def test_overrides_switch_steps() -> None:
    """A value that is set decides; a variable that a condition asks for is kept."""
    assert quantized_at("{bits: 8}", "bits=32") == []
    assert len(quantized_at("{bits: 8}", "bits=8")) == 2
    assert quantized_at("{bits: 8}", "optimize.quantize.bits=4") == ["sparsity=0 bits=8", "sparsity=0.5 bits=8"]
    assert len(quantized_at("{bits: 8}", "optimize[2].when={bits: 4}")) == 2


def test_the_condition_of_a_place_holds_for_whatever_is_swept_there() -> None:
    """An axis may put another step there; its condition stays."""
    swept = "sweep: {grid: {'optimize[2]': [{quantize: {}}, {finetune: {epochs: 2}}], bits: [8, 4]}}\n"
    found = [[step.use for step in run.steps][2:] for run in runs("{bits: 8}", rest=swept)]
    assert found == [["quantize"], [], ["finetune"], []]


# The condition, and the one problem: "column message"; the condition begins in column 11 of line 9.
PROBLEMS = {
    "an unknown variable": (
        "{bts: 8}",
        '12 "bts" is neither one of vars nor the path of a setting; did you mean "bits"?',
    ),
    "an unknown path": (
        "{optimize.prune.sparsty: 0}",
        '12 "optimize.prune.sparsty" is neither one of vars nor the path of a setting; '
        'did you mean "optimize[0].prune.sparsity"?',
    ),
    "a value it cannot have": ("{bits: [8, 5]}", "22 must be one of 4, 8, 32, not 5"),
    "a value it cannot have, negated": ("{bits: {not: 5}}", "24 must be one of 4, 8, 32, not 5"),
    "a text for a number": ('{bits: "8"}', '18 must be a whole number, not the text "8"'),
    "a boolean for a number": ("{sparsity: true}", "22 must be a number, not true"),
    "a value that no point has": (
        "{sparsity: 0.3}",
        "22 this holds at no point, so the step would never take place; the nearest value is 0.5",
    ),
    "no value": ("{bits: []}", "18 this names no value"),
    "no value after not": ("{bits: {not: []}}", "18 this names no value"),
    "an unknown word": ("{bits: {nto: 8}}", "18 a condition is a value, a list of values, or {not: ...} with either"),
    "two words": ("{bits: {not: 8, is: 4}}", "18 a condition is a value, a list of values"),
    "a reference": ('{bits: "${bits}"}', "18 values below when are plain; they cannot refer to bits"),
    "no condition": ("{}", "11 must not be empty (where this step takes place)"),
    "no mapping": ("bits", '11 must be a mapping, not the text "bits" (where this step takes place)'),
    "another part of the file": ("{seeds: 0}", "12 seeds belongs to the experiment as a whole"),
    "a condition of a condition": ('{"optimize[2].when.bits": 8}', "12 the condition of a step cannot be swept"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_wrong_condition_gives_one_placed_message(case: str) -> None:
    """At the name or the value that is wrong."""
    when, expected = PROBLEMS[case]
    found = [f"{problem.column} {problem.message}" for problem in check(loads(text(when)))]
    assert len(found) == 1, found
    assert found[0].startswith(expected)


def test_a_condition_of_a_swept_step_is_refused() -> None:
    """It would be unclear whether it adds to that of its place."""
    swept = "sweep: {grid: {'optimize[2]': [{quantize: {}, when: {bits: 8}}]}}\n"
    (problem,) = check(loads(text("null", swept)))
    assert problem.message == "a step of the sweep has no condition of its own; that of the step it replaces counts"


def test_a_condition_is_no_step() -> None:
    """Alone it names none."""
    (problem,) = check(loads(text("{bits: 8}", "").replace('quantize: {bits: "${bits}"}\n    when', "when")))
    assert problem.message == f"a step needs one of {', '.join(step_names())}"
