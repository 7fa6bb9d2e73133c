"""The profile stage on small networks."""

import json

import numpy as np
import pytest

from pipeline.core.stage import Inputs
from pipeline.stages import profile
from tinytorch.data.split import Split
from tinytorch.models import mlp, resnet
from tinytorch.passes import load_pass


def profiled(model, shape, batch_size):
    rng = np.random.default_rng(0)
    sample = Split(rng.integers(0, 255, (10, *shape), dtype=np.uint8), np.zeros(10, np.int64), 255.0)
    spec = {"batch_size": batch_size, "threads": 1}
    return profile.execute(spec, Inputs.of(model=model, sample=sample.to_arrays()))["profile"]


def test_layers_are_described_by_what_they_hold_and_compute():
    """Parameters, MACs and bytes are exact; every layer has a time, a bound and a share, and shares add up to one."""
    record = profiled(mlp.build((1, 8, 8), 10, np.random.default_rng(0), hidden=[32]), (1, 8, 8), 4)
    assert json.loads(json.dumps(record)) == record
    layers = {layer["name"]: layer for layer in record["layers"]}
    assert list(layers) == ["fc1", "fc_out"]
    fc1 = layers["fc1"]
    assert fc1["names"] == ["flatten", "fc1", "relu1"]
    assert (fc1["kind"], fc1["parameters"], fc1["macs"]) == ("Linear", 64 * 32 + 32, 64 * 32)
    assert (fc1["weight_bytes"], fc1["activation_bytes"]) == (4 * (64 * 32 + 32), 4 * 4 * (64 + 32))
    assert fc1["arithmetic_intensity"] == 2 * 4 * 64 * 32 / (fc1["weight_bytes"] + fc1["activation_bytes"])
    assert all(layer["time_ns"] > 0 for layer in record["layers"])
    assert {layer["bound"] for layer in record["layers"]} <= {"memory", "compute", "overhead"}
    assert abs(sum(layer["share"] for layer in record["layers"]) - 1) < 1e-9
    assert record["total"]["macs"] == 64 * 32 + 32 * 10
    assert (record["batch_size"], record["threads"]) == (4, 1)


def test_layers_inside_blocks_are_timed_by_their_dotted_names():
    """Layers of a residual block and its shortcut are found, each with those that are fused into it."""
    model = resnet.build((1, 8, 8), 3, np.random.default_rng(0), width=4, blocks=[1])
    record = profiled(model, (1, 8, 8), 1)
    names = [name for layer in record["layers"] for name in layer["names"]]
    assert sorted(names) == sorted(name for name, _ in model.named_layers())
    assert record["total"]["macs"] == model.macs()


def test_quantized_layers_read_what_is_executed(monkeypatch):
    """Stored bytes are the integers'; the layers themselves, in NumPy, multiply float32 copies of them."""
    monkeypatch.setenv("TINYTORCH_KERNELS", "reference")
    model = mlp.build((1, 8, 8), 10, np.random.default_rng(0), hidden=[32])
    step = load_pass("quantize")
    images = np.random.default_rng(1).random((8, 1, 8, 8), dtype=np.float32)
    quantized, _, _ = step.apply(model, step.Settings.from_params({"bits": 4}), {}, 0)
    assert quantized.predict(images).shape == (8, 10)
    fc1 = profiled(quantized, (1, 8, 8), 1)["layers"][0]
    assert (fc1["kind"], fc1["computed_by"], fc1["macs"]) == ("QuantizedLinear", "numpy", 64 * 32)
    assert fc1["weight_bytes"] == 64 * 32 // 2 + 4 * (32 + 32)
    read = 4 * (64 * 32 + 32 + 32) + 4 * (64 + 32)
    assert fc1["arithmetic_intensity"] == 2 * 64 * 32 / read


def test_times_of_layers_add_up_within_the_network():
    """Layers are timed in the running network: their sum is what they take together, and less is left for nothing."""
    record = profiled(mlp.build((1, 8, 8), 10, np.random.default_rng(0), hidden=[32]), (1, 8, 8), 2)
    total = record["total"]
    assert total["layers_ns"] == pytest.approx(sum(layer["time_ns"] for layer in record["layers"]))
    assert total["gflops"] == pytest.approx(2 * 2 * total["macs"] / total["time_ns"])
