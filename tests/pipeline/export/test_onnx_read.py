"""Networks from ONNX files: those that we wrote, those of other exporters, and those that are refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.export.onnx_model import write_onnx
from pipeline.export.onnx_read import OPERATORS, read_onnx
from tests.project import Project
from tinytorch.models import MODELS, load_model_module

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")


def written(path: Path, *nodes: Any, shape: tuple[Any, ...] = ("n", 4), **constants: Any) -> Path:
    """Write a graph from "x" to "y"."""
    arrays = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    values = [onnx.helper.make_tensor_value_info(name, 1, list(shape) if name == "x" else None) for name in ("x", "y")]
    graph = onnx.helper.make_graph(list(nodes), "g", values[:1], values[1:], arrays)
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return path


def node(kind: str, *inputs: str, to: str = "y", **attributes: Any) -> Any:
    return onnx.helper.make_node(kind, list(inputs), [to], **attributes)


W, B = np.ones((4, 3), np.float32), np.ones(3, np.float32)


@pytest.mark.parametrize("arch", sorted(MODELS))
def test_what_was_exported_is_read_again(arch: str, tmp_path: Path) -> None:
    """The same outputs, and the same kinds of layers."""
    rng = np.random.default_rng(0)
    try:
        model = load_model_module(arch).build((1, 8, 8), 10, rng).eval()
        write_onnx(model, tmp_path / "m.onnx")
    except (UserError, TypeError, ValueError) as error:
        pytest.skip(f"{arch} is not a network of images that is exported: {error}")
    again = read_onnx(tmp_path / "m.onnx")
    x = rng.standard_normal((5, 1, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-5, atol=1e-6)
    assert [type(layer) for _, layer in again.named_layers()] == [type(layer) for _, layer in model.named_layers()]


def test_what_pytorch_exported_is_read(tmp_path: Path) -> None:
    """Convolutions, batch norms, residual blocks with and without a shortcut, pools, products without a bias."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs)
            self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
            self.around = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.second(torch.relu(self.norm(self.first(x)))) + self.around(x))

    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6, bias=False), nn.Tanh(), nn.Linear(6, 5))
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), Block(4, 4, 1), Block(4, 8, 2), nn.MaxPool2d(2), head)
    x = torch.randn(4, 3, 16, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}, "do_constant_folding": False}
        try:
            torch.onnx.export(net.eval(), (x,), str(tmp_path / "m.onnx"), dynamo=False, **options)
        except ImportError as error:
            pytest.skip(f"this PyTorch needs more to export: {error}")
    again = read_onnx(tmp_path / "m.onnx")
    np.testing.assert_allclose(again.predict(x.numpy()), net(x).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda p: written(p, node("Erf", "x", to="a"), node("Foo", "a")),
            r"no layer of ours does Erf \(1\), Foo \(1\)",
        ),
        (lambda p: written(p, node("Gemm", "x", "w", alpha=2.0), w=W), "found alpha 2.0, expected 1.0"),
        (lambda p: written(p, node("Gemm", "x", "w"), w=W.astype(np.int64)), "found weights of int64"),
        (lambda p: written(p, node("Gemm", "x", "w"), w=W * np.nan), "NaN or infinite"),
        (lambda p: written(p, node("Gemm", "x", "w"), w=np.ones((5, 3), np.float32)), "not a network that can be read"),
        (lambda p: written(p, node("MatMul", "x", "x")), "list index out of range"),
        (lambda p: written(p, node("Relu", "x"), shape=("n", "m")), r"samples of shape \(0,\)"),
        (lambda p: written(p, node("Relu", "x", to="a"), node("Add", "a", "x")), "only a Relu after the sum is read"),
        (lambda p: written(p, node("Add", "x", "b"), b=B), "adds what is neither a bias nor the way around"),
        (lambda p: written(p, node("Relu", "x", to="a")), "is not where the chain"),
        (lambda p: p.write_bytes(b"\xff\xff not protobuf") and p, "not an ONNX file|found 0 operations"),
        (lambda p: p.write_bytes(b"") or p, "found 0 operations"),
        (lambda p: p, "there is no such file"),
    ],
)
def test_what_no_layer_does_is_named(make: Callable[[Path], Path], said: str, tmp_path: Path) -> None:
    """The operation, what was found and what is expected."""
    with pytest.raises(UserError, match=said):
        read_onnx(make(tmp_path / "m.onnx"))


def test_weights_in_another_file_are_not_followed(tmp_path: Path) -> None:
    """A path in a stranger's file leads nowhere."""
    path = written(tmp_path / "m.onnx", node("Gemm", "x", "w"), w=W)
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="lie in another file, which is not followed"):
        read_onnx(path)


def test_every_operator_is_an_operator_of_onnx() -> None:
    """No name of the table is misspelt."""
    assert set(OPERATORS) <= {schema.name for schema in onnx.defs.get_all_schemas()}


def test_convert_writes_what_an_experiment_begins_with(finished: Project, tmp_path: Path) -> None:
    """From a stranger's file to a valid experiment."""
    write_onnx(load_model_module("mlp").build((1, 8, 8), 10, np.random.default_rng(0)), tmp_path / "m.onnx")
    assert "samples (1, 8, 8)" in finished.run("convert", str(tmp_path / "m.onnx")).stdout
    text = f"model: {{arch: stored, weights: {{file: {tmp_path}/m.safetensors}}, train: {{epochs: 0}}}}\n"
    (tmp_path / "e.yaml").write_text(f"name: e\ndata: {{name: digits}}\n{text}optimize: [quantize: {{bits: 8}}]\n")
    assert "valid experiment" in finished.run("validate", str(tmp_path / "e.yaml")).stdout
    said = finished.run("convert", str(tmp_path / "m.onnx"), "--out", "x.onnx", expect=2).stderr
    assert "--out writes a .safetensors file" in said
