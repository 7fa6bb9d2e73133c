"""Every key that the schema accepts does something: another value changes what is executed, and from where on."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pipeline.config.build import build
from pipeline.config.dump import dump
from pipeline.config.load import loads
from pipeline.core.errors import ConfigError
from pipeline.core.experiment import Experiment
from pipeline.run import prepare
from pipeline.schemas import read_schema
from pipeline.store.local import LocalStore

TRAINING = {
    "epochs": 2,
    "lr": 0.01,
    "optimizer": "sgd",
    "batch_size": 16,
    "weight_decay": 0.0,
    "momentum": 0.5,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "grad_clip": 1.0,
}
# An experiment that says everything it can say, so that each key is at work.
ONE: dict[str, Any] = {
    "version": 1,
    "name": "x",
    "description": "one",
    "seeds": [0],
    "vars": {},
    "data": {"name": "synthetic", "args": {"train": 50, "validation": 20, "test": 20}},
    "model": {"arch": "mlp", "args": {"hidden": [8, 8]}, "train": TRAINING},
    "optimize": [
        {
            "prune": {
                "method": "structured",
                "sparsity": 0.5,
                "importance": "l1",
                "scope": "layer",
                "targets": ["fc*"],
                "except": ["fc_out"],
                "per_layer": {"fc1": {"sparsity": 0.25}},
                "allow_no_effect": False,
            },
            "id": "first",
        },
        {"finetune": {**TRAINING}},
        {
            "quantize": {
                "bits": 8,
                "weights": "per_channel",
                "method": "rtn",
                "activations": "static",
                "calibration": "percentile",
                "percentile": 99.9,
                "calibration_samples": 16,
                "targets": ["fc*"],
                "except": ["fc_out"],
                "per_layer": {"fc1": {"bits": 4, "weights": "per_tensor", "activations": "none"}},
                "allow_no_effect": False,
            }
        },
    ],
    "sweep": {},
    "benchmark": {
        "scenario": "server",
        "latency_limit_ms": 5.0,
        "rate_per_s": 100.0,
        "batch_sizes": [1, 2],
        "threads": [1],
        "processes": 2,
        "target_ci": 0.5,
        "budget_s": 1.0,
        "threshold": 0.02,
    },
    "competition": "tiny_digits",
    "goals": [
        {"metric": "accuracy", "at_least": 0.1, "at_most": 1.0},
        {"metric": "accuracy", "max_drop": 0.5},
        {"minimize": "size_bytes"},
        {"maximize": "speedup"},
    ],
    "outputs": {"report": ["html", "md"], "submission": "best"},
}

# The same with a variable, and with several points.
WITH_VARS = copy.deepcopy(ONE)
WITH_VARS["vars"] = {"bits": 8}
WITH_VARS["optimize"][2]["quantize"]["bits"] = "${bits}"
MANY = copy.deepcopy(WITH_VARS)
MANY["sweep"] = {"grid": {"bits": [8, 4, 32]}, "exclude": [{"bits": 4}], "include": [], "max_points": 10}
MANY["optimize"][0]["when"] = {"bits": [8, 32]}


RANDOM = copy.deepcopy(ONE)
RANDOM["sweep"] = {
    "random": {
        "samples": 3,
        "seed": 0,
        "axes": {
            "model.train.label_smoothing": {"uniform": [0.1, 0.2]},
            "model.train.lr": {"log_uniform": [0.1, 0.2]},
            "model.train.epochs": {"integers": [2, 9]},
            "model.train.schedule": {"choice": ["constant", "cosine"]},
        },
    }
}

DISTILLED, GROUPED, TRAINED = copy.deepcopy(ONE), copy.deepcopy(ONE), copy.deepcopy(ONE)
DISTILLED["optimize"][1] = {"distill": {**TRAINING, "temperature": 3.0, "teacher_weight": 0.5}}
GROUPED["optimize"][2]["quantize"] |= {
    "weights": "per_group",
    "group_size": 32,
    "per_layer": {"fc1": {"weights": "per_group", "group_size": 64}},
}
TRAINED["optimize"][2]["quantize"] |= {
    "method": "qat",
    "epochs": 1,
    "lr": 0.01,
    "batch_size": 16,
    "schedule": "constant",
}

# the beginning of a key -> the experiment in which it is changed, if not in ONE
BASES = {"vars": WITH_VARS, "sweep.random": RANDOM, "sweep": MANY, "optimize.when": MANY}
BASES |= {"optimize.distill": DISTILLED}
BASES |= dict.fromkeys(("optimize.quantize.group_size", "optimize.quantize.per_layer.group_size"), GROUPED)
BASES |= {f"optimize.quantize.{key}": TRAINED for key in ("epochs", "lr", "batch_size", "schedule")}

FACTORIZED, FUSED = copy.deepcopy(ONE), copy.deepcopy(ONE)
FACTORIZED["optimize"][0] = {
    "low_rank": {
        "keep": 0.9,
        "rank_by": "energy",
        "targets": ["fc*"],
        "except": ["fc_out"],
        "per_layer": {"fc1": {"keep": 0.5}},
        "allow_no_effect": False,
    }
}
FUSED |= {"model": {"arch": "cnn"}, "optimize": [{"fuse": {"targets": ["bn*"], "except": ["bn2"]}}]}
BASES |= {"optimize.low_rank": FACTORIZED, "optimize.fuse": FUSED}
BUDGETED = copy.deepcopy(ONE)
BUDGETED["optimize"] = [
    {
        "budget": {
            "target": {"size_bytes": 900},
            "use": "prune",
            "method": "block",
            "targets": ["fc*"],
            "except": ["fc1"],
        }
    }
]
FASTER = copy.deepcopy(BUDGETED)
FASTER["optimize"][0]["budget"] |= {"target": {"speedup": 2}}
BASES |= {"optimize.budget.target.speedup": FASTER, "optimize.budget": BUDGETED}
RAMPED = copy.deepcopy(ONE)
RAMP = {"ramp": "linear", "steps": 2, "epochs": 1, "lr": 0.01, "batch_size": 16, "schedule": "constant"}
OTHER_RAMP = {"ramp": "cubic", "steps": 3, "epochs": 2, "lr": 0.02, "batch_size": 8, "schedule": "cosine"}
RAMPED["optimize"][0]["prune"] |= RAMP
BASES |= {f"optimize.prune.{key}": RAMPED for key in RAMP}

OTHER_TRAINING = {
    "epochs": 3,
    "lr": 0.02,
    "optimizer": "adam",
    "batch_size": 8,
    "weight_decay": 0.1,
    "momentum": 0.6,
    "schedule": "cosine",
    "label_smoothing": 0.1,
    "grad_clip": 2.0,
    "workers": 2,
}
VARIED = {"flip": True, "crop": 2}
TEXT = copy.deepcopy(ONE)
TEXT |= {
    "data": {"name": "text", "args": {"context": 16}},
    "model": {
        "arch": "gpt",
        "args": {"layers": 1, "embed_dim": 8, "heads": 2},
        "train": {"warmup": 5, "accumulation": 2},
    },
    "optimize": [{"quantize": {"bits": 8}}],
    "goals": [{"metric": "perplexity", "max_increase": 0.1}],
}
BASES |= dict.fromkeys(("model.train.warmup", "model.train.accumulation", "goals.max_increase"), TEXT)
# key -> its place, another value, and the first stage that this changes
CASES: dict[str, tuple[tuple[str | int, ...], Any, str]] = {
    "name": (("name",), "y", "submit"),
    "description": (("description",), "two", "submit"),
    "seeds": (("seeds",), [1], "train"),
    "vars": (("vars", "bits"), 4, "optimize"),
    "data.name": (("data",), {"name": "digits"}, "data"),
    "data.args": (("data", "args", "train"), 51, "data"),
    "model.arch": (("model",), {"arch": "cnn"}, "train"),
    "model.args": (("model", "args", "hidden"), [8, 9], "train"),
    **{f"model.train.{key}": (("model", "train", key), other, "train") for key, other in OTHER_TRAINING.items()},
    "model.train.warmup": (("model", "train", "warmup"), 6, "train"),
    "model.train.accumulation": (("model", "train", "accumulation"), 3, "train"),
    "optimize.prune.method": (("optimize", 0, "prune"), {"method": "magnitude"}, "optimize"),
    "optimize.prune.sparsity": (("optimize", 0, "prune", "sparsity"), 0.6, "optimize"),
    **{f"optimize.prune.{k}": (("optimize", 0, "prune", k), v, "optimize") for k, v in OTHER_RAMP.items()},
    "optimize.prune.importance": (("optimize", 0, "prune", "importance"), "l2", "optimize"),
    "optimize.prune.scope": (("optimize", 0, "prune", "scope"), "global", "optimize"),
    "optimize.prune.targets": (("optimize", 0, "prune", "targets"), ["fc2"], "optimize"),
    "optimize.prune.except": (("optimize", 0, "prune", "except"), ["fc2"], "optimize"),
    "optimize.prune.per_layer": (("optimize", 0, "prune", "per_layer"), {"fc2": {"sparsity": 0.25}}, "optimize"),
    "optimize.prune.per_layer.sparsity": (("optimize", 0, "prune", "per_layer", "fc1", "sparsity"), 0.4, "optimize"),
    "optimize.prune.allow_no_effect": (("optimize", 0, "prune", "allow_no_effect"), True, "optimize"),
    "optimize.low_rank.keep": (("optimize", 0, "low_rank", "keep"), 0.8, "optimize"),
    "optimize.low_rank.rank_by": (("optimize", 0, "low_rank", "rank_by"), "weights", "optimize"),
    "optimize.low_rank.targets": (("optimize", 0, "low_rank", "targets"), ["fc2"], "optimize"),
    "optimize.low_rank.except": (("optimize", 0, "low_rank", "except"), ["fc2"], "optimize"),
    "optimize.low_rank.per_layer": (("optimize", 0, "low_rank", "per_layer"), {"fc2": {"keep": 0.5}}, "optimize"),
    "optimize.low_rank.per_layer.keep": (("optimize", 0, "low_rank", "per_layer", "fc1", "keep"), 0.4, "optimize"),
    "optimize.low_rank.allow_no_effect": (("optimize", 0, "low_rank", "allow_no_effect"), True, "optimize"),
    "optimize.fuse.targets": (("optimize", 0, "fuse", "targets"), ["bn1"], "optimize"),
    "optimize.fuse.except": (("optimize", 0, "fuse", "except"), ["bn1"], "optimize"),
    "optimize.fuse.allow_no_effect": (("optimize", 0, "fuse", "allow_no_effect"), True, "optimize"),
    "optimize.budget.target.size_bytes": (("optimize", 0, "budget", "target", "size_bytes"), 800, "optimize"),
    "optimize.budget.target.speedup": (("optimize", 0, "budget", "target", "speedup"), 3, "optimize"),
    "optimize.budget.use": (("optimize", 0, "budget"), {"target": {"size_bytes": 900}, "use": "quantize"}, "optimize"),
    "optimize.budget.method": (("optimize", 0, "budget", "method"), "structured", "optimize"),
    "optimize.budget.values": (("optimize", 0, "budget", "values"), [0.5], "optimize"),
    "optimize.budget.targets": (("optimize", 0, "budget", "targets"), ["fc2"], "optimize"),
    "optimize.budget.except": (("optimize", 0, "budget", "except"), ["fc2"], "optimize"),
    **{f"model.train.augment.{key}": (("model", "train", "augment"), {key: v}, "train") for key, v in VARIED.items()},
    **{f"optimize.finetune.{k}": (("optimize", 1, "finetune", k), v, "optimize") for k, v in OTHER_TRAINING.items()},
    **{
        f"optimize.{step}.augment.{key}": (("optimize", 1, step, "augment"), {key: v}, "optimize")
        for step in ("finetune", "distill")
        for key, v in VARIED.items()
    },
    **{f"optimize.distill.{k}": (("optimize", 1, "distill", k), v, "optimize") for k, v in OTHER_TRAINING.items()},
    "optimize.distill.temperature": (("optimize", 1, "distill", "temperature"), 2.0, "optimize"),
    "optimize.distill.teacher_weight": (("optimize", 1, "distill", "teacher_weight"), 0.6, "optimize"),
    "optimize.quantize.method": (("optimize", 2, "quantize", "method"), "gptq", "optimize"),
    **{
        f"optimize.quantize.{key}": (("optimize", 2, "quantize", key), OTHER_TRAINING[key], "optimize")
        for key in ("epochs", "lr", "batch_size", "schedule")
    },
    "optimize.quantize.group_size": (("optimize", 2, "quantize", "group_size"), 128, "optimize"),
    "optimize.quantize.calibration": (("optimize", 2, "quantize", "calibration"), "mse", "optimize"),
    "optimize.quantize.percentile": (("optimize", 2, "quantize", "percentile"), 99.0, "optimize"),
    "optimize.quantize.bits": (("optimize", 2, "quantize", "bits"), 4, "optimize"),
    "optimize.quantize.weights": (("optimize", 2, "quantize", "weights"), "per_tensor", "optimize"),
    "optimize.quantize.activations": (("optimize", 2, "quantize", "activations"), "none", "optimize"),
    "optimize.quantize.calibration_samples": (("optimize", 2, "quantize", "calibration_samples"), 17, "optimize"),
    "optimize.quantize.targets": (("optimize", 2, "quantize", "targets"), ["fc2"], "optimize"),
    "optimize.quantize.except": (("optimize", 2, "quantize", "except"), ["fc2"], "optimize"),
    "optimize.quantize.per_layer": (("optimize", 2, "quantize", "per_layer"), {}, "optimize"),
    "optimize.quantize.per_layer.bits": (("optimize", 2, "quantize", "per_layer", "fc1", "bits"), 32, "optimize"),
    "optimize.quantize.per_layer.weights": (
        ("optimize", 2, "quantize", "per_layer", "fc1", "weights"),
        "per_channel",
        "optimize",
    ),
    "optimize.quantize.per_layer.group_size": (
        ("optimize", 2, "quantize", "per_layer", "fc1", "group_size"),
        128,
        "optimize",
    ),
    "optimize.quantize.per_layer.activations": (
        ("optimize", 2, "quantize", "per_layer", "fc1", "activations"),
        "dynamic",
        "optimize",
    ),
    "optimize.quantize.allow_no_effect": (("optimize", 2, "quantize", "allow_no_effect"), True, "optimize"),
    "optimize.id": (("optimize", 0, "id"), "second", "submit"),
    "optimize.when": (("optimize", 0, "when"), {"bits": 8}, "optimize"),
    "sweep.grid": (("sweep", "grid", "bits"), [8, 4], "optimize"),
    "sweep.zip": (("sweep", "zip"), {"model.train.lr": [0.01, 0.02], "model.train.epochs": [2, 3]}, "train"),
    "sweep.random.samples": (("sweep", "random", "samples"), 4, "train"),
    "sweep.random.seed": (("sweep", "random", "seed"), 1, "train"),
    "sweep.random.axes": (("sweep", "random", "axes"), {"model.train.weight_decay": {"uniform": [0.1, 0.2]}}, "train"),
    **{
        f"sweep.random.axes.{key}": (("sweep", "random", "axes", f"model.train.{axis}"), {key: other}, "train")
        for axis, key, other in (
            ("label_smoothing", "uniform", [0.1, 0.3]),
            ("lr", "log_uniform", [0.1, 0.3]),
            ("epochs", "integers", [3, 9]),
            ("schedule", "choice", ["constant"]),
        )
    },
    "sweep.exclude": (("sweep", "exclude"), [{"bits": 8}], "optimize"),
    "sweep.include": (("sweep", "include"), [{"bits": 4}], "optimize"),
    "benchmark.preset": (("benchmark",), {"preset": "quick"}, "benchmark"),
    "benchmark.scenario": (("benchmark", "scenario"), "offline", "benchmark"),
    "benchmark.latency_limit_ms": (("benchmark", "latency_limit_ms"), 6.0, "benchmark"),
    "benchmark.rate_per_s": (("benchmark", "rate_per_s"), 90.0, "benchmark"),
    "benchmark.batch_sizes": (("benchmark", "batch_sizes"), [1, 4], "benchmark"),
    "benchmark.threads": (("benchmark", "threads"), [1, 2], "benchmark"),
    "benchmark.processes": (("benchmark", "processes"), 3, "benchmark"),
    "benchmark.target_ci": (("benchmark", "target_ci"), 0.4, "benchmark"),
    "benchmark.budget_s": (("benchmark", "budget_s"), 2.0, "benchmark"),
    "benchmark.wait_s": (("benchmark", "wait_s"), 9.0, "submit"),  # which embeds the file: nothing is measured again
    "benchmark.threshold": (("benchmark", "threshold"), 0.03, "benchmark"),
    "ablate": (("ablate",), True, "optimize"),  # of recipes that take some of the steps
    "competition": (("competition",), "all_around", "submit"),
    "goals.metric": (("goals", 0), {"metric": "speedup", "at_least": 0.1, "at_most": 1.0}, "submit"),
    "goals.at_least": (("goals", 0, "at_least"), 0.2, "submit"),
    "goals.at_most": (("goals", 0, "at_most"), 0.9, "submit"),
    "goals.max_drop": (("goals", 1, "max_drop"), 0.4, "submit"),
    "goals.max_increase": (("goals", 0, "max_increase"), 0.2, "submit"),
    "goals.minimize": (("goals", 2, "minimize"), "latency_ms", "submit"),
    "goals.maximize": (("goals", 3, "maximize"), "compression", "submit"),
}
SEARCH = (
    "strategy",
    "trials",
    "seed",
    "batch",
    "resource.axis",
    "resource.min",
    "resource.max",
    "resource.factor",
    "axes",
)
DISTRIBUTIONS = ("uniform", "log_uniform", "integers", "choice")
# key -> where its effect is tested, or why it has none yet
CUSTOM = "it needs code that is told of: tests/pipeline/own/test_use_in_runs.py"
GENERATE = "it needs a language model: tests/pipeline/config/test_config_generate.py"
# Of an experiment without points: tests/pipeline/core/test_frameworks_plan.py.
OTHER_KIND = "frameworks."
ELSEWHERE = {
    **{f"sweep.search.{key}": "the points that it asks for: tests/pipeline/search" for key in SEARCH},
    **{f"sweep.search.axes.{key}": "the points that it asks for: tests/pipeline/search" for key in DISTRIBUTIONS},
    "version": "it has one value so far",
    "model.weights.file": "it changes what training begins with: tests/pipeline/stages/test_train_weights.py",
    "model.weights.layout": "it changes how they are read: tests/pipeline/stages/test_train_weights.py",
    **{f"benchmark.{key}": GENERATE for key in ("kv_cache", "new_tokens", "prompt_tokens")},
    **{f"optimize.custom.{key}": CUSTOM for key in ("allow_no_effect", "args", "name")},
    "data.path": "it changes the text that is read: tests/pipeline/config/test_config_tasks.py",
    "data.root": "it changes the files that are read: tests/pipeline/execute/test_sources.py",
    "sweep.max_points": "it stops what has more points: below",
    "benchmark.peers": "it adds a stage, of an extra: tests/pipeline/stages/test_peers_stage.py",
    "benchmark.harness": "it adds a stage, of an extra: tests/pipeline/stages/test_loadgen_stage.py",
    "outputs.report": "the files that are written: tests/pipeline/cli/test_run_outcome.py",
    "outputs.submission": "the files that are written: tests/pipeline/cli/test_run_outcome.py",
}


def keys(schema: Mapping[str, Any], node: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the dotted path of every key, of lists and free mappings without index or name."""
    node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    inner = node.get("items") or node.get("additionalProperties")
    if "properties" in node:
        for name, child in node["properties"].items():
            yield from keys(schema, child, f"{path}.{name}" if path else name)
        return
    names = list(keys(schema, inner, path)) if isinstance(inner, Mapping) else []
    yield from [path, *names] if names != [path] and path != "optimize" and path != "goals" else names


def experiment(document: Mapping[str, Any]) -> Experiment:
    return build(loads(dump(document), "x.yaml"))


def changed(base: Mapping[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(dict(base))
    node: Any = document
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    # what would have no effect then, and is an error
    for key in ("momentum", "calibration", "percentile", "calibration_samples"):
        if (value in ("adam", "none") or (value, key) == ("mse", "percentile")) and key in node:
            del node[key]
    if value == "offline":
        del document["benchmark"]["latency_limit_ms"], document["benchmark"]["rate_per_s"]
    if path == ("model",):
        document["optimize"] = [{"quantize": {"bits": 8}}]
    return document


def ids(document: Mapping[str, Any], store: LocalStore) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in prepare(experiment(document), store)[0].nodes:
        found.setdefault(node.stage, set()).add(node.id)
    return found


def test_every_key_of_the_schema_has_a_case() -> None:
    """A new key needs one."""
    schema = read_schema("experiment.v1")
    other = ("sweep.exclude.", "sweep.include.", OTHER_KIND)
    listed = {key for key in keys(schema, schema) if not key.startswith(other)}
    assert listed == CASES.keys() | ELSEWHERE.keys()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """One store for all: planning remembers digests of code in it."""
    return LocalStore(tmp_path_factory.mktemp("effect") / "store")


@pytest.fixture(scope="module")
def before(store: LocalStore) -> dict[str, dict[str, set[str]]]:
    """What is executed without a change, by the first part of the key that is changed."""
    return {"": ids(ONE, store), **{section: ids(base, store) for section, base in BASES.items()}}


@pytest.mark.parametrize("key", CASES)
def test_another_value_changes_what_is_executed_from_its_stage_on(
    key: str, store: LocalStore, before: dict[str, dict[str, set[str]]]
) -> None:
    """And nothing before that stage."""
    path, value, stage = CASES[key]
    section = next((name for name in BASES if key.startswith(name)), "")
    base = BASES.get(section, ONE)
    after = ids(changed(base, path, value), store)
    unchanged = before[section]
    order = ("data", "train", "profile", "optimize", "evaluate", "benchmark", "submit", "report")
    assert next(name for name in order if unchanged[name] != after[name]) == stage


def test_max_points_stops_a_larger_sweep() -> None:
    """The one key of the sweep that changes no point."""
    with pytest.raises(ConfigError, match=r"max_points: 1$"):
        experiment({**MANY, "sweep": {**MANY["sweep"], "max_points": 1}})


def test_the_submission_says_what_is_written() -> None:
    """Outputs are part of the experiment, and of no run."""
    other = experiment({**ONE, "outputs": {"report": ["md"], "submission": "none"}})
    assert (other.outputs.report, other.outputs.submission) == (("md",), "none")
    assert other.runs == experiment(ONE).runs
