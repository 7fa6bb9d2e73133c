"""What is wrong with a comparison of frameworks is said with its place, and what to do."""

from __future__ import annotations

import pytest

from pipeline.config.check import check
from pipeline.config.load import loads
from pipeline.core.errors import Problem

HEAD = "name: x\nframeworks:\n  cases:\n"


def problems(text: str) -> list[Problem]:
    return check(loads(text))


@pytest.mark.parametrize(
    ("case", "path", "said"),
    [
        ("linaer: {}", "frameworks.cases[0].linaer", 'did you mean "linear"?'),
        ("linear: {input: 3}", "frameworks.cases[0].linear.input", 'did you mean "inputs"?'),
        ("linear: {bits: 4}", "frameworks.cases[0].linear.bits", "8"),
        ("linear: {}\n      mlp: {}", "frameworks.cases[0]", "a case has one op, not 2"),
        ("{}", "frameworks.cases[0]", "a case has one op, not 0"),
        ("decode: {width: 130, heads: 4}", "frameworks.cases[0].decode.heads", "130 is none of 4"),
        ("cnn: {image_size: 4, depth: 3}", "frameworks.cases[0].cnn.depth", "allow a depth of 2, not 3"),
        ("train_cnn: {width: 512, depth: 4}", "frameworks.cases[0].train_cnn.width", "width: 256 with this depth"),
        ("decode: {width: 4096, heads: 64, layers: 64}", "frameworks.cases[0].decode", "weights; at most"),
        ("cnn: {depth: 1000000000}", "frameworks.cases[0].cnn.depth", "at most 6"),
        ("mlp: {widths: [3, true]}", "frameworks.cases[0].mlp.widths[1]", "must be a whole number"),
        ("mlp: {widths: []}", "frameworks.cases[0].mlp.widths", "must not be empty"),
    ],
)
def test_a_wrong_case_is_one_problem(case: str, path: str, said: str) -> None:
    """It names the place and what is expected."""
    (problem,) = problems(f"{HEAD}    - {case}\n")
    assert problem.yaml_path == path
    assert said in f"{problem.message} {problem.hint}"
    assert problem.line == 4


def test_it_stands_alone() -> None:
    """Keys that would say nothing are errors, each with its line."""
    text = f"{HEAD}    - linear: {{}}\ndata: {{name: digits}}\ngoals: []\nseeds: [0, 1]\n"
    assert [problem.yaml_path for problem in problems(text)] == ["data", "goals", "seeds"]


@pytest.mark.parametrize("value", ["", "[]", "{}", "{cases: []}", "{cases: 3}"])
def test_an_empty_section_is_a_problem(value: str) -> None:
    """And only one."""
    (problem,) = problems(f"name: x\nframeworks: {value}\n")
    assert problem.yaml_path.startswith("frameworks")


def test_an_experiment_with_a_model_still_needs_its_parts() -> None:
    """What is missing is named, but a misspelt key is not missing as well."""
    assert [problem.yaml_path for problem in problems("name: x\n")] == ["data", "model", "optimize"]
    found = problems("name: x\ndata: {name: digits}\nmodel: {arch: mlp}\noptimise: []\n")
    assert [problem.yaml_path for problem in found] == ["optimise"]


def test_variables_and_overrides_reach_it() -> None:
    """As everywhere in a file."""
    text = "name: x\nvars: {n: 99999}\nframeworks: {cases: [{linear: {inputs: '${n}'}}]}\n"
    (problem,) = problems(text)
    assert "at most 16,384" in problem.message or "16384" in problem.message
    assert check(loads(text), set_=("vars.n=8",)) == []
