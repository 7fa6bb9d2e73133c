"""The loadgen stage end to end on a small model."""

import json

import numpy as np
import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.stage import Inputs
from pipeline.measure.loadgen_log import Logs, parse_run
from pipeline.stages import loadgen
from tinytorch.data.split import Split
from tinytorch.models import mlp

# A call of 256 samples takes 1 ms or more: twelve times what LoadGen needs at least, on a faster machine still enough.
SPEC = {"scenario": "offline", "batch_sizes": [256, 1], "threads": [1], "budget_s": 1.0, "seed": 0}


def inputs():
    rng = np.random.default_rng(0)
    sample = Split(rng.integers(0, 255, (40, 1, 16, 16), dtype=np.uint8), rng.integers(0, 3, 40), 255.0)
    models = (mlp.build((1, 16, 16), 3, np.random.default_rng(1), hidden=[width]) for width in (4000, 2000))
    return Inputs.of(**dict(zip(("baseline", "optimized"), models, strict=True)), sample=sample.to_arrays())


def test_a_record_for_each_batch_size_and_every_log():
    """Each condition has its record, with a result or with the reason for none; the logs say the same again."""
    pytest.importorskip("mlperf_loadgen")
    found = json.loads(json.dumps(loadgen.execute(SPEC, inputs())))
    records = found["loadgen"]["records"]
    assert [(record["scenario"], record["batch_size"]) for record in records] == [("Offline", 256), ("Offline", 1)]
    assert all((record["result"] is None) != (record["reason"] is None) for record in records)
    assert records[0]["result"] is not None
    run = records[0]["result"]["arms"]["baseline"]["runs"][0]
    logs = found["logs"]["0/baseline-0"]
    assert parse_run(Logs(logs["summary"], logs["detail"])).samples_per_s == run["samples_per_s"]
    assert logs["process"]["conditions"]["threads"] == 1


def test_more_threads_than_cores_are_refused():
    """What no machine of this kind can do is an error before anything starts."""
    with pytest.raises(EnvironmentProblem, match="asks for 5000 threads"):
        loadgen.execute({**SPEC, "threads": [5000]}, inputs())


def test_samples_are_bounded():
    """The first samples are taken, each a query of its own, and not more than are wanted."""
    split = Split.from_arrays(inputs()["sample"])
    assert loadgen.first_samples(split).shape == (40, 1, 1, 16, 16)
    assert loadgen.first_samples(split, most=7).shape[0] == 7
