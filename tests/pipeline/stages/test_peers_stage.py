"""The peers stage: a record for every runtime and network that is asked for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.stage import Inputs
from pipeline.stages import peers
from tinytorch.data.split import Split
from tinytorch.models import mlp
from tinytorch.models.network import Network
from tinytorch.passes.quantize import Settings, apply

for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package)

SPEC: dict[str, Any] = {
    "peers": {"onnxruntime": {"onnx": "1", "onnxruntime": "2"}},
    "batch_size": 2,
    "threads": 1,
    "processes": 2,
    "target_ci": 0.5,
    "budget_s": 0.1,
    "threshold": 0.02,
    "seed": 0,
    "wait_s": 0.0,
}


def models(quantized: bool) -> tuple[Network, Network]:
    baseline = mlp.build((1, 8, 8), 10, np.random.default_rng(0), hidden=[24]).eval()
    smaller = mlp.build((1, 8, 8), 10, np.random.default_rng(1), hidden=[12]).eval()
    return baseline, apply(smaller, Settings.from_params({"bits": 8}), {}, 0)[0].eval() if quantized else baseline


def execute(quantized: bool, **changes: Any) -> dict[str, Any]:
    baseline, optimized = models(quantized)
    rng = np.random.default_rng(2)
    split = Split(rng.integers(0, 255, (60, 1, 8, 8), dtype=np.uint8), np.zeros(60, np.int64), 255.0).to_arrays()
    inputs = Inputs.of(baseline=baseline, optimized=optimized, sample=split, calibration=split)
    return peers.execute({**SPEC, **changes}, inputs)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """The outputs for a quantized model and its float baseline in a runtime."""
    return execute(quantized=True)


def test_every_network_of_every_runtime_is_compared(found: dict[str, Any]) -> None:
    """With ours of the same network and, to see what our work is worth there, with our optimized model."""
    record = found["peers"]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert [(c["peer"], c["network"], c["against"], c["precision"]) for c in record["comparisons"]] == [
        ("onnxruntime", "optimized", "optimized", "int8"),
        ("onnxruntime", "baseline", "baseline", "fp32"),
        ("onnxruntime", "baseline", "optimized", "fp32"),
    ]
    compared = record["comparisons"]
    assert all(c["outputs"]["same"] and c["ratio"] and c["reason"] is None and c["verdict"] for c in compared)
    assert {c["version"] for c in compared} == {"2"}
    assert record["arms"].keys() == {"optimized", "control", "baseline", "onnxruntime", "onnxruntime baseline"}
    assert (record["batch_size"], record["threads"], record["processes"]) == (2, 1, 2)
    assert {name.partition(".")[0] for name in found["samples"]} == {"0", "1"}


def test_a_peer_whose_outputs_differ_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported with the figures."""
    from pipeline.stages.peers import write_onnx

    def write_other(model: Network, path: Any, samples: Any) -> None:
        write_onnx(models(False)[0] if path.name == "optimized.onnx" else model, path, samples)

    monkeypatch.setattr(peers, "write_onnx", write_other)
    record = execute(quantized=True)["peers"]
    other = record["comparisons"][0]
    assert (other["ratio"], other["verdict"]) == (None, None)
    assert other["reason"].startswith("outputs differ: by up to")
    assert "onnxruntime" not in record["arms"]
    assert record["comparisons"][1]["ratio"]


def test_one_network_is_compared_once() -> None:
    """Where nothing was optimized there is no second one."""
    record = execute(quantized=False)["peers"]
    assert [(c["network"], c["against"], c["precision"]) for c in record["comparisons"]] == [
        ("optimized", "optimized", "fp32")
    ]
    assert record["comparisons"][0]["file_bytes"] > 0


def test_more_threads_than_cores_are_refused() -> None:
    """As in the benchmark."""
    with pytest.raises(EnvironmentProblem, match="asks for 10000 threads"):
        execute(quantized=False, threads=10_000)
