"""`sweep.search`: what is a search, what contradicts it, and how its points become runs."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config.build import build
from pipeline.config.check import check
from pipeline.config.dump import dump
from pipeline.config.load import loads
from pipeline.config.runs import with_points
from pipeline.core.experiment import Experiment, as_json, experiment_from_json
from pipeline.core.search import rungs, search_of

HEAD = """\
name: x
data: {name: digits}
model: {arch: mlp, args: {hidden: [16]}, train: {epochs: 2}}
vars: {sparsity: 0.5, bits: 8}
optimize:
  - prune: {sparsity: "${sparsity}"}
  - quantize: {bits: "${bits}"}
"""
AXES = "axes: {sparsity: {uniform: [0.2, 0.8]}, bits: {choice: [8, 4]}, model.train.lr: {log_uniform: [0.0001, 0.01]}}"
RESOURCE = "resource: {axis: model.train.epochs, min: 1, max: 9}"


def file(search: str, rest: str = "") -> str:
    return f"{HEAD}sweep:\n  search: {{{search}}}\n{rest}"


def problems(search: str, rest: str = "", sets: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
    found = check(loads(file(search, rest)), sets)
    return [(problem.code, problem.yaml_path, problem.message) for problem in found]


def experiment(search: str, rest: str = "", **overrides: Any) -> Experiment:
    return build(loads(file(search, rest)), **overrides)


def test_a_search_has_no_points_yet() -> None:
    """What is known is the space; defaults are filled in."""
    built = experiment(AXES)
    assert built.runs == ()
    spec = search_of(built.document)
    assert spec is not None
    assert (spec.strategy, spec.trials, spec.seed, spec.batch, spec.resource) == ("tpe", 30, 0, 4, None)
    assert spec.axes["sparsity"] == {"uniform": [0.2, 0.8]}
    assert list(spec.axes) == sorted(["sparsity", "bits", "model.train.lr"])


def test_points_become_runs() -> None:
    """Under every seed, with labels that show every axis, and with what the file says of the rest."""
    built = experiment(AXES, "seeds: [0, 7]\n")
    point = {"sparsity": 0.25, "bits": 4, "model.train.lr": 0.001}
    runs = with_points(built, [point]).runs
    assert [run.label for run in runs] == [f"seed={s} lr=0.001 sparsity=0.25 bits=4" for s in (0, 7)]
    assert runs[0].model.train.lr == 0.001
    assert runs[0].model.train.epochs == 2
    assert [step.params.get("sparsity", step.params.get("bits")) for step in runs[0].steps] == [0.25, 4]
    assert [run.index for run in runs] == [0, 1]


def test_a_run_does_not_depend_on_other_points() -> None:
    """What was asked for in an earlier round has the same nodes in the last plan."""
    built = experiment(AXES)
    first = {"sparsity": 0.25, "bits": 4, "model.train.lr": 0.001}
    second = {**first, "bits": 8}
    alone, both = with_points(built, [second]).runs, with_points(built, [first, second]).runs
    assert as_json(alone[0]) == {**as_json(both[1]), "index": 0}


def test_a_remembered_search_is_the_same() -> None:
    """The experiment is stored as JSON; points can be added to what is read again."""
    built = experiment(f"strategy: halving, trials: 9, {AXES}, {RESOURCE}")
    again = experiment_from_json(as_json(built), built.source.path)
    assert search_of(again.document) == search_of(built.document)
    point = {"sparsity": 0.25, "bits": 4, "model.train.lr": 0.001, "model.train.epochs": 3}
    assert with_points(again, [point]).runs == with_points(built, [point]).runs
    assert with_points(again, [point]).runs[0].model.train.epochs == 3


def test_the_embedded_document_means_the_same_search() -> None:
    """A submission repeats the file; what is written out there asks for the same points."""
    built = experiment(f"strategy: halving, trials: 9, {AXES}, {RESOURCE}")
    again = build(loads(dump(built.document)))
    assert again.document == built.document
    assert again.source.digest == built.source.digest


def test_halving_has_rounds() -> None:
    """Whole numbers stay whole in spite of the schema's type."""
    spec = search_of(experiment(f"strategy: halving, trials: 9, {AXES}, {RESOURCE}").document)
    assert spec is not None
    assert [(rung.resource, rung.points) for rung in rungs(spec)] == [(1, 9), (3, 3), (9, 1)]


@pytest.mark.parametrize(
    ("search", "rest", "expected"),
    [
        ("axes: {sparsity: {uniform: [0.8, 0.2]}}", "", ("E129", "sweep.search.axes.sparsity.uniform")),
        ("axes: {sparsity: {}}", "", ("E129", "sweep.search.axes.sparsity")),
        ("axes: {sparsety: {uniform: [0.2, 0.8]}}", "", ("E124", "sweep.search.axes.sparsety")),
        ("axes: {sparsity: {uniform: [0.2, 1.8]}}", "", ("E114", "optimize[0].prune.sparsity")),
        ("axes: {bits: {choice: [8, 5]}}", "", ("E115", "optimize[1].quantize.bits")),
        ("axes: {bits: {integers: [4, 32]}}", "", ("E115", "optimize[1].quantize.bits")),
        ("axes: {model.arch: {choice: [mlp, cmn]}}", "", ("E132", "model.arch")),
        (f"{AXES}, trials: 0", "", ("E114", "sweep.search.trials")),
        (f"{AXES}, strategy: tpa", "", ("E115", "sweep.search.strategy")),
        (f"{AXES}, strategy: halving", "", ("E135", "sweep.search.strategy")),
        (f"{AXES}, {RESOURCE}", "", ("E119", "sweep.search.resource")),
        (f"{AXES}, {RESOURCE}, strategy: halving, batch: 3", "", ("E119", "sweep.search.batch")),
        (
            f"{AXES}, strategy: halving, resource: {{axis: model.train.epochs, min: 9, max: 3}}",
            "",
            ("E135", "sweep.search.resource.min"),
        ),
        (
            f"{AXES}, strategy: halving, resource: {{axis: model.train.epoch, min: 1, max: 3}}",
            "",
            ("E124", "sweep.search.resource.axis"),
        ),
        (
            f"{AXES}, strategy: halving, resource: {{axis: model.train.lr, min: 1, max: 3}}",
            "",
            ("E124", "sweep.search.resource.axis"),
        ),
        (
            f"{AXES}, strategy: halving, resource: {{axis: model.train.epochs, min: 0.5, max: 3}}",
            "",
            ("E113", "model.train.epochs"),
        ),
        (AXES, "  grid: {bits: [8]}\n", ("E124", "sweep.search.axes.bits")),
        (AXES, "  grid: {model.train.batch_size: [8]}\n", ("E135", "sweep.grid")),
        (AXES, "  include: [{bits: 8}]\n", ("E135", "sweep.include")),
        (f"{AXES}, trials: 40", "  max_points: 30\n", ("E125", "sweep")),
    ],
)
def test_what_is_no_search_is_listed(search: str, rest: str, expected: tuple[str, str]) -> None:
    """With its place, before anything runs."""
    assert [(code, path) for code, path, _ in problems(search, rest)][:1] == [expected]


def test_too_many_points_say_how_they_come_about() -> None:
    """Rounds of halving are added up, seeds multiply."""
    search = f"{AXES}, strategy: halving, trials: 9, {RESOURCE}"
    ((_, _, message),) = problems(search, "  max_points: 20\nseeds: [0, 1]\n")
    assert message == "9 + 3 + 1 = 13 points x 2 seeds = 26: more than max_points: 20"


def test_what_is_set_on_the_command_line_is_searched_no_more() -> None:
    """An axis that is fixed leaves the space; the last one ends the search."""
    fixed = experiment(AXES, set_=["bits=4"])
    spec = search_of(fixed.document)
    assert spec is not None
    assert "bits" not in spec.axes
    assert with_points(fixed, [{"sparsity": 0.3, "model.train.lr": 0.01}]).runs[0].steps[1].params["bits"] == 4
    single = experiment("axes: {bits: {choice: [8, 4]}}", set_=["bits=4"])
    assert search_of(single.document) is None
    assert len(single.runs) == 1


def test_a_resource_cannot_be_set() -> None:
    """The search would replace it, so that setting it would do nothing."""
    found = problems(f"{AXES}, strategy: halving, {RESOURCE}", sets=("model.train.epochs=5",))
    assert [code for code, *_ in found] == ["E110"]
    assert "resource" in found[0][2]


def test_the_number_of_trials_can_be_set() -> None:
    """As any other key."""
    spec = search_of(experiment(AXES, set_=["sweep.search.trials=7"]).document)
    assert spec is not None
    assert spec.trials == 7
