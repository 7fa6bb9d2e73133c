"""The benchmark stage end to end on a tiny model."""

import json

import numpy as np
import pytest

from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.core.stage import Inputs
from pipeline.stages import benchmark
from tinytorch.data.split import Split
from tinytorch.models import mlp

SPEC = {
    "scenario": "single_stream",
    "batch_sizes": [1],
    "threads": [1],
    "processes": 2,
    "target_ci": 1.0,
    "budget_s": 1.0,
    "threshold": 0.02,
    "wait_s": 0.0,
    "seed": 0,
}


def inputs(hidden=64):
    rng = np.random.default_rng(0)
    sample = Split(rng.integers(0, 255, (20, 1, 8, 8), dtype=np.uint8), rng.integers(0, 3, 20), 255.0)
    models = (mlp.build((1, 8, 8), 3, np.random.default_rng(1), hidden=[width]) for width in (64, hidden))
    return Inputs.of(**dict(zip(("baseline", "optimized"), models, strict=True)), sample=sample.to_arrays())


def test_a_model_against_itself():
    """The whole stage on equal models claims nothing, and its two outputs have what the codecs take."""
    found = benchmark.execute(SPEC, inputs())
    record = json.loads(json.dumps(found["benchmark"]))
    assert record == found["benchmark"]
    assert record["protocol"] == benchmark.PROTOCOL
    (comparison,) = record["comparisons"]
    assert comparison["verdict"] in {"equivalent", "inconclusive", "noisy"}
    assert comparison["processes"] == 2
    assert {"cpu", "python", "numpy", "blas"} <= record["machine"].keys()
    assert len(found["samples"]) == 2 * (2 + 3 * 4)
    assert {array.dtype.name for array in found["samples"].values()} == {"int64", "int8", "uint8"}


def test_each_batch_size_is_its_own_comparison():
    """A list of batch sizes gives one comparison each, the first one first."""
    found = benchmark.execute({**SPEC, "batch_sizes": [2, 1], "scenario": "offline"}, inputs(hidden=32))
    assert [(c["batch_size"], c["scenario"]) for c in found["benchmark"]["comparisons"]] == [
        (2, "offline"),
        (1, "offline"),
    ]
    assert {name.partition(".")[0] for name in found["samples"]} == {"0", "1"}


def test_an_unknown_scenario_lists_the_known():
    """A scenario that cannot be timed is the user's error."""
    with pytest.raises(
        UserError, match="must be one of single_stream, multi_stream, offline, server, generate, not 'burst'"
    ):
        benchmark.execute({**SPEC, "scenario": "burst"}, inputs())


def test_more_threads_than_cores_are_refused():
    """Threads that would share a core measure the scheduler."""
    with pytest.raises(EnvironmentProblem, match="asks for 10000 threads"):
        benchmark.execute({**SPEC, "threads": [1, 10_000]}, inputs())
