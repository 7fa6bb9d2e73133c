"""Zipped, random, excluded and included points of a file: what is run, and what is said where they do not fit."""

from __future__ import annotations

import itertools
import json
import random
import tracemalloc
from typing import Any

import pytest

from pipeline.config.build import build
from pipeline.config.check import check
from pipeline.config.dump import dump
from pipeline.config.load import loads
from pipeline.config.overrides import permanent_yaml
from pipeline.config.template import make_template
from pipeline.core.draw import sampler
from pipeline.core.experiment import Experiment
from pipeline.core.sweep import canonical

HEAD = """\
name: demo
vars: {sparsity: 0.5, bits: 8}
data: {name: digits}
model: {arch: mlp, args: {hidden: [16]}}
optimize:
  - prune: {sparsity: "${sparsity}"}
  - finetune: {epochs: 1}
  - quantize: {bits: "${bits}"}
"""


def built(sweep: str, *set_: str, sweep_: tuple[str, ...] = ()) -> Experiment:
    return build(loads(f"{HEAD}sweep:\n  {sweep}\n", "x.yaml"), set_, sweep_)


def labels(sweep: str, *set_: str, sweep_: tuple[str, ...] = ()) -> list[str]:
    return [run.label for run in built(sweep, *set_, sweep_=sweep_).runs]


def problems_of(sweep: str) -> list[str]:
    found = check(loads(f"{HEAD}sweep:\n  {sweep}\n", "x.yaml"))
    return [f"{problem.path.removeprefix('x.yaml:')} {problem.yaml_path} {problem.message}" for problem in found]


def test_lists_of_zip_advance_together_and_combine_with_the_grid() -> None:
    """Points come in the order of their effect, whichever part of the sweep an axis is in."""
    sweep = "{grid: {optimize.finetune.epochs: [1, 2]}, zip: {bits: [8, 4], sparsity: [0.5, 0.75]}}"
    assert labels(sweep) == [
        "sparsity=0.5 epochs=1 bits=8",
        "sparsity=0.5 epochs=2 bits=8",
        "sparsity=0.75 epochs=1 bits=4",
        "sparsity=0.75 epochs=2 bits=4",
    ]


def test_random_axes_are_drawn_together() -> None:
    """Every sample is a point; the steps get the drawn values, and the point names them all."""
    sweep = "{random: {samples: 4, seed: 1, axes: {sparsity: {uniform: [0.3, 0.9]}, bits: {choice: [8, 4]}}}}"
    runs = built(sweep).runs
    draws = [sampler({"uniform": [0.3, 0.9]}, 1, "vars.sparsity"), sampler({"choice": [8, 4]}, 1, "vars.bits")]
    assert [run.point for run in runs] == [{"sparsity": draws[0](n), "bits": draws[1](n)} for n in range(4)]
    assert all(run.steps[0].params["sparsity"] == run.point["sparsity"] for run in runs)
    assert runs[0].label == f"sparsity={draws[0](0)} bits={draws[1](0)}"


def test_a_path_is_drawn_alike_however_it_is_spelt() -> None:
    """With the index of the step or without."""
    points = [
        [list(run.point.values()) for run in built(f"{{random: {{axes: {{'{path}': {{uniform: [0.1, 1]}}}}}}}}").runs]
        for path in ("optimize.finetune.lr", "optimize[1].finetune.lr")
    ]
    assert points[0] == points[1]
    assert len(points[0]) == 10


def test_included_points_take_the_files_values_for_zipped_and_random_axes() -> None:
    """As for those of the grid."""
    sweep = "{zip: {bits: [32], sparsity: [0.1]}, include: [{bits: 4}, {sparsity: 0.1, bits: 32.0}]}"
    assert [run.point for run in built(sweep).runs] == [{"sparsity": 0.1, "bits": 32}, {"sparsity": 0.5, "bits": 4}]


def test_repetitions_are_counted() -> None:
    """Rows, samples and included points that are there already."""
    for sweep, count, repeated in (
        ("{grid: {sparsity: [0, 0.0, 0.5]}}", 2, 1),
        ("{zip: {bits: [8, 8, 4], sparsity: [0, 0.0, 0]}, grid: {model.train.lr: [0.1, 0.2]}}", 4, 2),
        ("{random: {samples: 50, axes: {bits: {choice: [8, 4]}}}}", 2, 48),
        ("{grid: {bits: [8, 4]}, exclude: [{bits: 4}], include: [{bits: 4}, {bits: 8}]}", 2, 1),
        ("{include: [{bits: 4}, {bits: 4.0}, {sparsity: 0.5}]}", 2, 1),
        ("{}", 1, 0),
    ):
        experiment = built(sweep)
        template = make_template(experiment.document)
        assert (len(experiment.runs), template.count, template.repeated) == (count, count, repeated), sweep


def test_the_document_of_a_random_sweep_gives_the_same_points() -> None:
    """It holds the distributions and the seed, not what was drawn; layout changes nothing."""
    sweep = {
        "random": {"axes": {"sparsity": {"uniform": [0, 0.9]}, "model.train.lr": {"log_uniform": [1e-3, 1.0]}}},
        "zip": {"bits": [8, 4.0], "model.train.epochs": [1, 2]},
    }
    data = {**loads(HEAD).data, "sweep": sweep}
    turned = {**data, "sweep": {k: dict(reversed(list(v.items()))) for k, v in reversed(list(sweep.items()))}}
    first, second = build(loads(dump(data))), build(loads(json.dumps(turned, indent=1)))
    assert first.runs == second.runs
    assert first.source.digest == second.source.digest
    again = build(loads(dump(first.document)))
    assert (again.runs, again.document) == (first.runs, first.document)


def test_long_labels_are_cut_and_stay_different() -> None:
    """The number of the run tells them apart."""
    long = [{"prune": {"except": [f"fc{n:050}", "x" * 90, "y" * 90], "allow_no_effect": True}} for n in (1, 2)]
    data = {**loads(HEAD).data, "vars": {"bits": 8}, "sweep": {"grid": {"optimize[0]": long}}}
    found = [run.label for run in build(loads(dump(data)), checked=True).runs]
    assert [label[200:] for label in found] == ["... #1", "... #2"]


# The sweep, and the problems: "line:column path message". The sweep begins in line 10, column 3.
PROBLEMS = {
    "lists of different lengths": (
        "{grid: {model.train.lr: [0.1]}, zip: {sparsity: [0.5, 0.75, 0.9], bits: [8, 4]}}",
        "10:75 sweep.zip.bits the lists of zip advance together: this one has 2 values, sparsity has 3",
    ),
    "the odd one of three lists": (
        "zip: {model.train.lr: [0.1], sparsity: [0.5, 0.75], bits: [8, 4]}",
        '10:25 sweep.zip["model.train.lr"] the lists of zip advance together: this one has 1 value, sparsity has 2',
    ),
    "an empty list": ("zip: {bits: []}", "10:15 sweep.zip.bits must not be empty"),
    "no list": ("zip: {bits: 8}", "10:15 sweep.zip.bits must be a list, not 8"),
    "not a number": ("zip: {bits: [.nan], sparsity: [0]}", "10:16 sweep.zip.bits[0] numbers are finite here"),
    "a wrong value of zip": (
        "zip: {bits: [8, 5, 4], sparsity: [0, 0.1, 0.2]}",
        "10:19 optimize[2].quantize.bits must be one of 4, 8, 32, not 5",
    ),
    "nothing for a number": (
        "grid: {optimize.finetune.lr: [0.1, null]}",
        "10:38 optimize[1].finetune.lr must be a number, not nothing (the learning rate)",
    ),
    "a wrong name of zip": (
        "zip: {model.arch: [mlp, cnn], model.args: [{hidden: [8]}, {widht: 4}]}",
        '10:62 model.args.widht architecture cnn has no argument "widht"; did you mean "width"?',
    ),
    "an axis in two parts": (
        "{grid: {bits: [8]}, zip: {bits: [8]}}",
        "10:29 sweep.zip.bits sweep.grid.bits varies this already",
    ),
    "an axis in two parts, spelt differently": (
        "{zip: {optimize.finetune.lr: [1]}, random: {axes: {'optimize[1].finetune.lr': {choice: [1]}}}}",
        '10:54 sweep.random.axes["optimize[1].finetune.lr"] sweep.zip["optimize.finetune.lr"] varies this already',
    ),
    "no axes": ("random: {samples: 3}", '10:3 sweep.random.axes the key "axes" is missing'),
    "an unknown axis": (
        "random: {axes: {bitz: {choice: [8]}}}",
        '10:19 sweep.random.axes.bitz "bitz" is neither one of vars nor the path of a setting; did you mean "bits"?',
    ),
    "a list for a distribution": (
        "random: {axes: {sparsity: [0, 1]}}",
        "10:29 sweep.random.axes.sparsity must be a mapping, not a list (how one axis is drawn)",
    ),
    "a misspelt distribution": (
        "random: {axes: {sparsity: {unifrm: [0, 1]}}}",
        '10:30 sweep.random.axes.sparsity.unifrm unknown key "unifrm"; did you mean "uniform"?',
    ),
    "two distributions": (
        "random: {axes: {sparsity: {uniform: [0, 0.5], choice: [0]}}}",
        "10:29 sweep.random.axes.sparsity an axis is drawn by exactly one of uniform, log_uniform, integers, choice",
    ),
    "no distribution": (
        "random: {axes: {sparsity: {}}}",
        "10:29 sweep.random.axes.sparsity an axis is drawn by exactly one of",
    ),
    "bounds the wrong way": (
        "random: {axes: {sparsity: {uniform: [0.9, 0.1]}}}",
        "10:39 sweep.random.axes.sparsity.uniform the range is [low, high], but 0.9 is not below 0.1",
    ),
    "one bound": (
        "random: {axes: {sparsity: {uniform: [0.9]}}}",
        "10:39 sweep.random.axes.sparsity.uniform must have at least 2 entries, not 1",
    ),
    "a bound that is no number": (
        "random: {axes: {sparsity: {uniform: [true, 1]}}}",
        "10:40 sweep.random.axes.sparsity.uniform[0] must be a number, not true",
    ),
    "a bound out of the setting's range": (
        "random: {samples: 500, axes: {sparsity: {uniform: [0.1, 1.5]}}}",
        "10:59 optimize[0].prune.sparsity must be at least 0 and below 1, not 1.5 (the share of weights to remove)",
    ),
    "whole numbers between good bounds that are no choices": (
        "random: {samples: 500, axes: {bits: {integers: [4, 8]}}}",
        "10:39 optimize[2].quantize.bits must be one of 4, 8, 32, not ",
    ),
    "fractions for a whole number": (
        "random: {samples: 500, axes: {model.train.epochs: {uniform: [1, 9]}}}",
        "10:53 model.train.epochs must be a whole number, not ",
    ),
    "a choice twice": (
        "random: {axes: {bits: {choice: [8, 4, 8.0]}}}",
        "10:41 sweep.random.axes.bits.choice[2] 8 is in this list already",
    ),
    "a wrong choice": (
        "random: {axes: {model.arch: {choice: [mlp, mlpp]}}}",
        '10:46 model.arch there is no architecture "mlpp"; did you mean "mlp"?',
    ),
    "an excluded value that no point has": (
        "{grid: {sparsity: [0, 0.5], bits: [8, 4]}, exclude: [{sparsity: 0.5, bits: 32}]}",
        "10:56 sweep.exclude[0] no point of the sweep has bits: 32; the nearest value is 8",
    ),
    "an excluded word that no point has": (
        "{grid: {model.train.optimizer: [adam, sgd]}, exclude: [{model.train.optimizer: adm}]}",
        '10:58 sweep.exclude[0] no point of the sweep has model.train.optimizer: the text "adm"; did you mean "adam"?',
    ),
    "excluded values that never meet": (
        "{zip: {sparsity: [0, 0.5], bits: [8, 4]}, exclude: [{sparsity: 0.5, bits: 8}]}",
        "10:55 sweep.exclude[0] no point of the sweep has these values together",
    ),
    "an excluded value that cannot be drawn": (
        "{random: {samples: 3, axes: {sparsity: {uniform: [0, 0.5]}}}, exclude: [{sparsity: 0.7}]}",
        "10:75 sweep.exclude[0] no point of the sweep has sparsity: 0.7; the nearest value is ",
    ),
    "a variable that a path hides": (
        "{grid: {bits: [8, 4]}, zip: {optimize.quantize.bits: [8]}}",
        '10:32 sweep.zip["optimize.quantize.bits"] optimize[2].quantize.bits takes its value from "${bits}", '
        "which the sweep varies too",
    ),
    "a path that is included beside its variable": (
        "{grid: {bits: [8, 4]}, include: [{optimize.quantize.bits: 32}]}",
        '10:37 sweep.include[0]["optimize.quantize.bits"] optimize[2].quantize.bits takes its value from "${bits}"',
    ),
    "a variable that is included beside its path": (
        "{grid: {optimize.quantize.bits: [8, 4]}, include: [{bits: 32}]}",
        '10:11 sweep.grid["optimize.quantize.bits"] optimize[2].quantize.bits takes its value from "${bits}"',
    ),
    "too many points": (
        "{grid: {sparsity: [0.1, 0.2, 0.3, 0.4], bits: [8, 4, 32]}, "
        "random: {samples: 100, axes: {model.train.label_smoothing: {uniform: [0, 0.9]}}}}\nseeds: [0, 1, 2, 3, 4]",
        "9:1 sweep 100 random x 4 sparsity x 3 bits - 12 repeated = 1,188 points x 5 seeds = 5,940: "
        "more than max_points: 1,000",
    ),
    "too many points with seeds only": ("{max_points: 1}\nseeds: [0, 1]", "9:1 sweep 1 point x 2 seeds = 2: more than"),
    "too many included points": (
        "{include: [{bits: 8}, {bits: 4}, {bits: 4}], max_points: 1}",
        "9:1 sweep 2 included = 2 points: more than max_points: 1",
    ),
    "too many points of all kinds": (
        "{zip: {sparsity: [0.1, 0.2], bits: [8, 4]}, grid: {model.train.lr: [0.1, 0.2, 0.3]}, "
        "exclude: [{bits: 4}], include: [{bits: 4}], max_points: 3}",
        "9:1 sweep 3 model.train.lr x 2 zip (sparsity, bits) - 3 excluded + 1 included = 4 points: "
        "more than max_points: 3",
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_wrong_sweep_gives_one_placed_message(case: str) -> None:
    """At the value or key that is wrong, once, however many points it is in."""
    sweep, expected = PROBLEMS[case]
    found = problems_of(sweep)
    assert len(found) == 1, found
    assert found[0].startswith(expected)


def test_all_problems_of_a_sweep_are_listed() -> None:
    """A broken axis hides no other."""
    found = problems_of(
        "random: {axes: {sparsity: {uniform: [0, 1.5]}, bits: {integers: [4, 8]}, "
        "model.train.lr: {log_uniform: [0, 1]}, model.train.epochs: {}}}"
    )
    assert [line.split()[1] for line in found] == [
        "optimize[0].prune.sparsity",
        "optimize[2].quantize.bits",
        'sweep.random.axes["model.train.lr"].log_uniform[0]',
        'sweep.random.axes["model.train.epochs"]',
    ]


def test_an_excluded_value_that_could_be_drawn_is_no_error() -> None:
    """Another seed or more samples may draw it."""
    assert (
        problems_of("{random: {samples: 3, axes: {sparsity: {uniform: [0, 0.5]}}}, exclude: [{sparsity: 0.123}]}") == []
    )


def test_a_variable_may_be_swept_beside_one_of_its_places() -> None:
    """The path wins at its place, and the variable goes on at the others."""
    head = HEAD.replace("{epochs: 1}", '{epochs: 1}\n  - prune: {sparsity: "${sparsity}", allow_no_effect: true}')
    text = f"{head}sweep: {{grid: {{sparsity: [0.1, 0.2], 'optimize[0].prune.sparsity': [0.3]}}}}\n"
    runs = build(loads(text)).runs
    assert [[step.params["sparsity"] for step in run.steps if step.use == "prune"] for run in runs] == [
        [0.3, 0.1],
        [0.3, 0.2],
    ]


def test_a_path_is_not_included_beside_a_variable_with_other_uses() -> None:
    """At all other points it would have the variable's value in the file, whatever the grid says."""
    head = HEAD.replace("{epochs: 1}", '{epochs: 1}\n  - prune: {sparsity: "${sparsity}", allow_no_effect: true}')
    sweep = "sweep: {grid: {sparsity: [0.1, 0.2]}, include: [{'optimize[0].prune.sparsity': 0.3}]}\n"
    (problem,) = check(loads(head + sweep))
    assert problem.yaml_path == 'sweep.include[0]["optimize[0].prune.sparsity"]'


def test_null_is_no_distribution() -> None:
    """As where its key is left out."""
    sweep = "random: {axes: {bits: {uniform: null, choice: [4]}, sparsity: {choice: [0, 0.1]}}}"
    assert labels(sweep) == ["sparsity=0", "sparsity=0.1"]


def test_a_trillion_points_are_refused_without_being_made() -> None:
    """In a few megabytes, with all of the sum in the message."""
    axes = ["sparsity", "model.train.lr", "model.train.label_smoothing", "optimize.finetune.lr"]
    axes += ["optimize.finetune.label_smoothing", "benchmark.threshold"]
    grid = {name: [number / 200 for number in range(1, 101)] for name in axes}
    document = loads(dump({**loads(HEAD).data, "sweep": {"grid": grid, "exclude": [{"sparsity": 0.25}]}}), "x.yaml")
    check(loads(HEAD))  # what is imported and remembered once is no matter
    tracemalloc.start()
    (problem,) = check(document)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "- 10,000,000,000 excluded = 990,000,000,000 points: more than max_points: 1,000" in problem.message
    assert peak < 5e6


def test_pinned_axes_leave_zip_and_random() -> None:
    """What is set stays so, and the others go on as before."""
    drawn = "random: {samples: 2, axes: {model.train.lr: {choice: [0.1, 0.2]}}}"
    sweep = f"{{zip: {{sparsity: [0.5, 0.75], bits: [8, 4]}}, {drawn}}}"
    assert labels(sweep, "bits=8", "model.train.lr=0.5") == ["sparsity=0.5", "sparsity=0.75"]
    assert labels(sweep, "bits=8", "sparsity=0.5", "model.train.lr=0.5") == [""]
    assert labels(sweep, "optimize.prune.sparsity=0.1", "model.train.lr=0.5") == ["bits=8", "bits=4"]


def test_an_axis_swept_anew_leaves_zip_and_random() -> None:
    """It is one of the grid then; excludes with values it has lost go."""
    sweep = "{zip: {sparsity: [0.5, 0.75], bits: [8, 4]}, exclude: [{bits: 8, sparsity: 0.5}]}"
    assert labels(sweep, sweep_=("bits=32,4",)) == [
        f"sparsity={sparsity} bits={bits}" for sparsity in (0.5, 0.75) for bits in (32, 4)
    ]
    drawn = "{random: {axes: {bits: {choice: [8, 4]}}}}"
    assert labels(drawn, sweep_=("bits=32,8",)) == ["bits=32", "bits=8"]


def test_overrides_of_zip_and_random_can_be_made_permanent() -> None:
    """The printed sections, put in place of the file's, build the same runs."""
    drawn = "random: {samples: 2, axes: {model.train.lr: {choice: [0.1, 0.2]}, optimize.finetune.lr: {choice: [1]}}}"
    document = loads(f"{HEAD}sweep: {{zip: {{sparsity: [0.5, 0.75], bits: [8, 4]}}, {drawn}}}\n")
    for set_, sweep in (([], ["bits=32,8"]), (["model.train.lr=0.3"], []), (["bits=8"], ["model.train.lr=1,2"])):
        sections = loads(permanent_yaml(document, set_, sweep)).data
        merged = {**document.data, **sections}
        assert build(loads(dump(merged))).runs == build(document, set_, sweep).runs


def test_the_draw_can_be_set() -> None:
    """Samples and seed are settings like others."""
    sweep = "{random: {samples: 2, axes: {sparsity: {uniform: [0, 0.9]}}}}"
    two = [run.point["sparsity"] for run in built(sweep).runs]
    assert [run.point["sparsity"] for run in built(sweep, "sweep.random.samples=4").runs][:2] == two
    assert [run.point["sparsity"] for run in built(sweep, "sweep.random.seed=1").runs] != two


def expected_points(sweep: dict[str, Any], base: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the points of a sweep by its definition, step by step."""
    factors = [[{name: value} for value in values] for name, values in sweep["grid"].items()]
    rows = list(zip(*sweep["zip"].values(), strict=True))
    factors.append([dict(zip(sweep["zip"], row, strict=True)) for row in rows])
    axes, seed = sweep["random"]["axes"], sweep["random"]["seed"]
    known = {"bits": "vars.bits"}
    draws = {name: sampler(how, seed, known.get(name, name)) for name, how in axes.items()}
    factors.append([{name: draw(n) for name, draw in draws.items()} for n in range(sweep["random"]["samples"])])
    points = [{**base, **dict(kv for part in parts for kv in part.items())} for parts in itertools.product(*factors)]
    points = [p for p in points if not any(all(p[n] == v for n, v in entry.items()) for entry in sweep["exclude"])]
    return points + [{**base, **entry} for entry in sweep["include"]]


@pytest.mark.parametrize("seed", range(12))
def test_runs_are_those_of_the_definition(seed: int) -> None:
    """Of random files with all parts of a sweep: the same set of points, each once, and each run has its values."""
    rng = random.Random(seed)
    base = {"sparsity": 0.5, "bits": 8, "model.train.lr": 0.001, "model.train.epochs": 20}
    sweep: dict[str, Any] = {
        "grid": {"sparsity": [rng.choice([0, 0.0, 0.25, 0.5]) for _ in range(rng.randint(1, 4))]},
        "zip": {"model.train.epochs": [rng.randint(1, 3) for _ in range(3)]},
        "random": {
            "samples": rng.randint(1, 4),
            "seed": seed,
            "axes": {"bits": {"choice": [4, 8]}, "model.train.lr": {"log_uniform": [1e-3, 1]}},
        },
        "include": [{"bits": rng.choice([4, 32])}, {"sparsity": 0.25, "model.train.epochs": rng.randint(1, 3)}],
    }
    sweep["exclude"] = [{"sparsity": rng.choice(sweep["grid"]["sparsity"]), "bits": rng.choice([4, 8])}]
    experiment = build(loads(dump({**loads(HEAD).data, "sweep": sweep})))
    expected = {json.dumps(canonical(point), sort_keys=True) for point in expected_points(sweep, base)}
    found = [json.dumps(run.point, sort_keys=True) for run in experiment.runs]
    assert (set(found), len(found)) == (expected, len(expected))
    for run in experiment.runs:
        settings = [run.steps[0].params["sparsity"], run.steps[2].params["bits"], run.model.train.lr]
        assert settings == [run.point["sparsity"], run.point["bits"], run.point["model.train.lr"]]
