"""`pipeline export onnx`: the networks of a run as files that other runtimes read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.project import Project
from tinytorch.serialization import loads

onnx = pytest.importorskip("onnx")


def test_both_networks_are_written(finished: Project, tmp_path: Path) -> None:
    """Files, sizes and precision are said, and the files are what they are called."""
    out = f"{tmp_path}/models"
    answer = finished.json("export", "onnx", "smoke", "--out", out)
    assert answer["models"].keys() == {"optimized", "baseline"}
    for side, model in answer["models"].items():
        loaded = onnx.load(f"{out}/{side}.onnx")
        onnx.checker.check_model(loaded)
        kinds = {node.op_type for node in loaded.graph.node}
        assert ("QuantizeLinear" in kinds) == (model["precision"] == "int8")
    assert answer["models"]["baseline"]["precision"] == "fp32"


def test_the_answers_are_those_of_the_run(finished: Project, tmp_path: Path) -> None:
    """Another runtime answers random images as the networks in the store do, the quantized one too with --exact."""
    runtime = pytest.importorskip("onnxruntime")
    finished.run("export", "onnx", "smoke", "--out", f"{tmp_path}/models", "--exact")
    submission = json.loads((finished.folder / "runs/smoke/submission.json").read_text())
    for side, digest in submission["provenance"]["weights"].items():
        session = runtime.InferenceSession(f"{tmp_path}/models/{side}.onnx", providers=["CPUExecutionProvider"])
        (stored,) = (path for path in finished.folder.rglob("*") if digest.endswith(path.name) and len(path.name) > 40)
        model = loads(stored.read_bytes())
        images = np.random.default_rng(0).random((4, *model.input_shape), dtype=np.float32)
        np.testing.assert_allclose(session.run(None, {"input": images})[0], model.predict(images), rtol=1e-4, atol=1e-4)
