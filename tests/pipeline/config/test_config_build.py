"""From a checked document to an Experiment: defaults, variables, the sweep, and what never matters."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import Any

import pytest

from pipeline.config.build import build
from pipeline.config.dump import dump
from pipeline.config.identity import checked_digest
from pipeline.config.load import loads
from pipeline.core.errors import ConfigError
from pipeline.core.experiment import BenchmarkSpec, Experiment, Outputs, TrainSpec, as_json, experiment_from_json
from pipeline.schemas import experiment_names, read_experiment

MINIMAL = (
    "name: minimal\ndata: {name: digits}\nmodel: {arch: mlp}\noptimize:\n  - prune: {sparsity: 0.5}\n  - quantize: {}\n"
)
SWEPT = """\
name: swept
seeds: [3, 4]
vars: {sparsity: 0.5, bits: 8}
data: {name: digits}
model: {arch: mlp, args: {hidden: [64, 32]}}
optimize:
  - quantize: {bits: 32}
  - prune: {sparsity: "${sparsity}", targets: ["fc1"]}
  - quantize: {bits: "${bits}"}
sweep:
  grid: {bits: [32, 8], sparsity: [0, 0.5, 0.0], model.train.lr: [1e-3, 1e-2]}
  exclude: [{sparsity: 0.0, bits: 32}]
  include: [{sparsity: 0.95}]
"""


def built(text: str, *set_: str, sweep: tuple[str, ...] = ()) -> Experiment:
    return build(loads(text, "x.yaml"), set_, sweep)


def shuffled(value: Any, rng: random.Random) -> Any:
    """Return the value with the keys of all its mappings in another order."""
    if isinstance(value, dict):
        keys = rng.sample(list(value), len(value))
        return {key: shuffled(value[key], rng) for key in keys}
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


def test_a_minimal_file_has_sensible_defaults() -> None:
    """Name, data, model and optimize are enough; everything else is filled in."""
    experiment = built(MINIMAL)
    (run,) = experiment.runs
    assert (run.label, run.seed, run.point) == ("", 0, {})
    assert run.model.train == TrainSpec()
    assert run.benchmark == BenchmarkSpec()
    assert experiment.outputs == Outputs()
    assert (experiment.goals, experiment.competition) == ((), None)


def test_steps_carry_all_their_settings() -> None:
    """A step's parameters are complete, so that a changed default changes the spec."""
    prune, quantize = built(MINIMAL).runs[0].steps
    assert (prune.id, prune.use) == ("prune", "prune")
    assert prune.params["sparsity"] == 0.5
    assert prune.params["method"] == "structured"
    assert set(quantize.params) >= {"bits", "weights", "activations", "calibration_samples", "targets", "except"}


def test_steps_of_the_same_name_are_numbered() -> None:
    """Default ids are the step's name, numbered from the second use on; own ids stay."""
    text = MINIMAL.replace("  - quantize: {}", "  - {finetune: {}, id: prune_2}\n  - prune: {}\n  - quantize: {}")
    assert [step.id for step in built(text).runs[0].steps] == ["prune", "prune_2", "prune_3", "quantize"]


def test_a_variable_keeps_its_type() -> None:
    """`${name}` stands for numbers, lists and mappings as they are."""
    text = MINIMAL.replace("{arch: mlp}", '{arch: mlp, args: "${args}"}') + "vars: {args: {hidden: [8]}}\n"
    assert built(text).runs[0].model.args == {"hidden": [8]}


def test_numbers_take_the_type_of_their_key() -> None:
    """`sparsity: 0` and `0.0`, `epochs: 5` and `5.0` are the same settings."""
    prune = built(MINIMAL.replace("0.5", "0")).runs[0].steps[0]
    assert repr(prune.params["sparsity"]) == "0.0"
    assert repr(built(MINIMAL, "model.train.epochs=5.0").runs[0].model.train.epochs) == "5"


def test_points_follow_the_order_of_their_effect() -> None:
    """Axes are ordered by where they take effect, values as written, seeds fastest; each point comes once."""
    runs = built(SWEPT).runs
    assert [run.index for run in runs] == list(range(14))
    assert [run.label for run in runs[::2]] == [
        "seed=3 lr=0.001 sparsity=0 bits=8",
        "seed=3 lr=0.001 sparsity=0.5 bits=32",
        "seed=3 lr=0.001 sparsity=0.5 bits=8",
        "seed=3 lr=0.01 sparsity=0 bits=8",
        "seed=3 lr=0.01 sparsity=0.5 bits=32",
        "seed=3 lr=0.01 sparsity=0.5 bits=8",
        "seed=3 lr=0.001 sparsity=0.95 bits=8",
    ]
    assert runs[1].seed == 4
    assert runs[0].point == {"model.train.lr": 0.001, "sparsity": 0, "bits": 8}


def test_a_point_sets_what_its_axes_name() -> None:
    """Variables reach the steps that use them, paths the settings they name."""
    run = built(SWEPT).runs[6]
    assert run.model.train.lr == 0.01
    assert [step.params.get("sparsity", step.params.get("bits")) for step in run.steps] == [32, 0.0, 8]


def test_points_share_what_they_have_in_common() -> None:
    """Specs that no axis reaches are one object for all points."""
    runs = built(SWEPT).runs
    assert len({id(run.data) for run in runs}) == 1
    assert len({id(run.model) for run in runs}) == 2
    assert len({id(run.steps) for run in runs}) == 4


def test_include_alone_lists_the_points() -> None:
    """Without a grid the included points are the only ones."""
    text = MINIMAL + "sweep: {include: [{optimize.prune.sparsity: 0.25}, {model.train.lr: 0.1}]}\n"
    assert [run.label for run in built(text).runs] == ["lr=0.001 sparsity=0.25", "lr=0.1 sparsity=0.5"]


def test_a_step_can_be_swept_as_a_whole() -> None:
    """An axis may replace one step by another; ids follow."""
    text = MINIMAL + "sweep: {grid: {'optimize[0]': [{prune: {}}, {finetune: {epochs: 1}}]}}\n"
    assert [run.steps[0].id for run in built(text).runs] == ["prune", "finetune"]


@pytest.mark.parametrize("name", experiment_names())
def test_layout_never_changes_an_experiment(name: str) -> None:
    """Key order, comments, quotes and block or flow style leave all specs equal."""
    original = build(loads(read_experiment(name)), checked=True)
    data = loads(read_experiment(name)).data
    for seed in range(5):
        other = shuffled(data, random.Random(seed))
        for text in (dump(other), "# a comment\n" + json.dumps(other, indent=seed)):
            again = build(loads(text), checked=True)
            assert again.runs == original.runs
            assert again.goals == original.goals
            assert again.source.digest == original.source.digest


@pytest.mark.parametrize("text", [MINIMAL, SWEPT, *map(read_experiment, experiment_names())])
def test_the_resolved_document_is_the_experiment_again(text: str) -> None:
    """The embedded document is valid, complete, and building it gives the same runs."""
    experiment = built(text)
    again = built(dump(experiment.document))
    assert again.runs == experiment.runs
    assert again.document == experiment.document
    assert again.source.digest == experiment.source.digest


def test_goals_keep_their_order_and_form() -> None:
    """Each of the three forms becomes a Goal with only its own fields set."""
    text = (
        MINIMAL + "goals: [{metric: speedup, at_least: 1}, {minimize: size_bytes}, {metric: accuracy, max_drop: 0}]\n"
    )
    goals = [{k: v for k, v in goal._asdict().items() if v is not None} for goal in built(text).goals]
    assert goals == [
        {"metric": "speedup", "at_least": 1.0},
        {"minimize": "size_bytes"},
        {"metric": "accuracy", "max_drop": 0.0},
    ]


def test_an_unchecked_document_is_checked() -> None:
    """Nobody gets an experiment from a wrong file by forgetting to check it."""
    with pytest.raises(ConfigError) as error:
        built(MINIMAL.replace("0.5", "1.5"))
    assert error.value.code == "E114"


def test_a_document_with_a_duplicate_key_is_never_built() -> None:
    """What the reader found is an error even if somebody claims to have checked."""
    with pytest.raises(ConfigError, match="given twice"):
        build(loads(MINIMAL + "name: other\n"), checked=True)


def test_building_imports_nothing_heavy() -> None:
    """Reading and building a checked file needs neither jsonschema nor NumPy."""
    code = (
        "import sys; from pipeline.config.load import loads; from pipeline.config.build import build;"
        "from pipeline.config.identity import checked_digest;"
        f"d = loads({MINIMAL!r}); checked_digest('x'); build(d, checked=True);"
        "print([name for name in ('jsonschema', 'numpy', 'scipy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_checked_digest_knows_text_and_overrides() -> None:
    """Whatever can make a valid file invalid changes the digest."""
    digests = {
        checked_digest(MINIMAL),
        checked_digest(MINIMAL + "#"),
        checked_digest(MINIMAL, ["a=1"]),
        checked_digest(MINIMAL, (), ["a=1"]),
    }
    assert len(digests) == 4


def test_an_experiment_survives_json() -> None:
    """What is remembered of a valid file is the whole experiment, under the path it has now."""
    experiment = build(loads(MINIMAL, "a.yaml"))
    assert experiment_from_json(json.loads(json.dumps(as_json(experiment))), "a.yaml") == experiment


def test_a_point_that_does_not_name_an_axis_keeps_what_the_file_says() -> None:
    """Also where the file says nothing and an argument has its default: that is no null."""
    sweep = "sweep: {include: [{model.args.hidden: [8]}, {optimize.prune.sparsity: 0.25}]}\n"
    first, second = built(MINIMAL + sweep).runs
    assert (first.model.args, first.steps[0].params["sparsity"]) == ({"hidden": [8]}, 0.5)
    assert (second.model.args, second.steps[0].params["sparsity"]) == ({}, 0.25)


def test_null_on_an_axis_takes_a_value_of_the_file_away() -> None:
    """As it would in the file."""
    text = MINIMAL.replace("{arch: mlp}", "{arch: mlp, train: {grad_clip: 2.0}}")
    runs = built(text + "sweep: {grid: {model.train.grad_clip: [1.0, null]}}\n").runs
    assert [run.model.train.grad_clip for run in runs] == [1.0, None]
