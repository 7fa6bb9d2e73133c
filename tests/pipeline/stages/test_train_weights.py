"""Training that begins with the weights of a file, and networks that no architecture builds."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.build import build
from pipeline.config.check import check
from pipeline.config.load import loads
from pipeline.core.errors import StageFailed
from pipeline.core.stage import Inputs
from pipeline.run import prepare
from pipeline.stages.train import execute
from pipeline.store.local import LocalStore
from tinytorch.core.layers import Linear
from tinytorch.data import load_dataset_module
from tinytorch.errors import ModelFileError
from tinytorch.models import load_model_module
from tinytorch.models.network import Network
from tinytorch.serialization import dumps, save
from tinytorch.weights import save_weights, stored_network

FIT = {"epochs": 0, "lr": 0.001, "batch_size": 32}
DATA = load_dataset_module("synthetic").load(None, 0, train=40, validation=20, test=20, size=4)
TASK = {"shape": [1, 4, 4], "classes": list(DATA.classes)}


def network(seed: int = 7) -> Network:
    built: Network = load_model_module("mlp").build((1, 4, 4), 10, np.random.default_rng(seed), hidden=[6])
    return built


def trained(path: Path, arch: str = "mlp", layout: str = "tinytorch", digest: str = "", **fit: Any) -> Network:
    digest = digest or hashlib.sha256(path.read_bytes()).hexdigest()
    args = {"hidden": [6]} if arch == "mlp" else {}
    spec = {"arch": arch, "args": args, "fit": {**FIT, **fit}, "seed": 0, "file": str(path)}
    inputs = Inputs.of(train=DATA.train.to_arrays(), validation=DATA.validation.to_arrays(), task=TASK)
    model: Network = execute({**spec, "weights": {"layout": layout, "digest": digest}}, inputs)["model"]
    return model


def test_training_of_no_epochs_gives_the_weights_of_the_file(tmp_path: Path) -> None:
    """The model's random ones are gone."""
    save_weights(network(), tmp_path / "w.safetensors")
    assert dumps(trained(tmp_path / "w.safetensors")) == dumps(network())


def test_training_goes_on_from_the_weights_of_the_file(tmp_path: Path) -> None:
    """An epoch changes them."""
    save_weights(network(), tmp_path / "w.safetensors")
    assert dumps(trained(tmp_path / "w.safetensors", epochs=1)) != dumps(network())


def test_a_stored_network_needs_no_architecture(tmp_path: Path) -> None:
    """Its layers are those of the file."""
    save(network(), tmp_path / "net.safetensors")
    assert dumps(trained(tmp_path / "net.safetensors", "stored")) == dumps(network())


def test_a_file_that_was_edited_since_the_plan_is_not_used(tmp_path: Path) -> None:
    """The node's key says other weights."""
    save_weights(network(), tmp_path / "w.safetensors")
    with pytest.raises(StageFailed, match="was edited during this run"):
        trained(tmp_path / "w.safetensors", digest="0" * 64)


def test_a_stored_network_of_vectors_flattens_images(tmp_path: Path) -> None:
    """Other samples and other classes are errors."""
    layer = Linear(16, 3, rng=np.random.default_rng(0))
    save(Network({"fc": layer}, (16,)), tmp_path / "net.safetensors")
    wrapped = stored_network(tmp_path / "net.safetensors", (1, 4, 4), 3)
    assert wrapped.names == ("flatten", "fc")
    with pytest.raises(ModelFileError, match=r"takes samples \(16,\), expected \(1, 5, 5\)"):
        stored_network(tmp_path / "net.safetensors", (1, 5, 5), 3)
    with pytest.raises(ModelFileError, match=r"gives \(3,\) for a sample, expected \(10,\)"):
        stored_network(tmp_path / "net.safetensors", (1, 4, 4), 10)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{arch: stored}", "arch: stored needs the file of a network"),
        ("{arch: stored, weights: {file: none.safetensors}}", "No such file"),
        ("{arch: stored, args: {hidden: [3]}, weights: {file: F}}", "takes no arguments"),
        ("{arch: stored, weights: {file: F}}", r"takes samples \(1, 4, 4\), expected \(1, 8, 8\)"),
        ("{arch: mlp, args: {hidden: [7]}, weights: {file: F}}", r"fc1.weight has shape \(16, 6\), expected \(64, 7\)"),
        ("{arch: mlp, weights: {file: F, layout: torch}}", "must be"),
    ],
)
def test_weights_that_do_not_fit_are_found_before_anything_runs(tmp_path: Path, model: str, said: str) -> None:
    """With the place in the experiment file."""
    save(network(), tmp_path / "F")
    written = model.replace("file: F", f"file: {tmp_path}/F")
    text = f"name: x\ndata: {{name: digits}}\nmodel: {written}\noptimize: [quantize: {{}}]\n"
    (problem, *_) = check(loads(text, "x.yaml"))
    assert problem.yaml_path.startswith("model.")
    assert re.search(said, problem.message)


def test_only_training_that_reads_weights_depends_on_what_reads_them(tmp_path: Path) -> None:
    """An edited integer kernel trains no model again that began with random weights."""
    save_weights(network(), tmp_path / "w.safetensors")
    head, tail = "name: x\ndata: {name: synthetic, args: {size: 4}}\nmodel: {arch: mlp, args: {hidden: [6]}", "}\n"
    weights = f", weights: {{file: {tmp_path}/w.safetensors}}"
    store, found = LocalStore(tmp_path / "store"), []
    for text in (head + tail, head + weights + tail):
        plan, oracle = prepare(build(loads(f"{text}optimize: [quantize: {{}}]\n", "x.yaml")), store)
        train = next(node for node in plan.nodes if node.stage == "train")
        found.append("tinytorch.runtime.quantized" in oracle.environment.code.modules(train))
    assert found == [False, True]
