"""Real networks as ONNX models in onnxruntime: the same answers, integer kernels, clear errors."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.export.onnx_model import INPUT, OPSET, to_onnx, write_onnx
from tinytorch.core.activations import ReLU
from tinytorch.core.fitting import FitSettings, fit
from tinytorch.core.layers import Flatten, Linear
from tinytorch.core.tensor import Tensor
from tinytorch.data import digits
from tinytorch.data.split import Split
from tinytorch.models import load_model_module
from tinytorch.models.network import Network, Residual
from tinytorch.passes import load_pass

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

DATA = digits.load(None, 0)
TEST = DATA.test.images(np.arange(len(DATA.test)))
TRAIN = DATA.train.images(np.arange(256))
SMALL: dict[str, dict[str, Any]] = {"mlp": {"hidden": [64, 32]}, "cnn": {}, "resnet": {"width": 8, "blocks": [1, 1]}}


def step(name: str, model: Network, **params: Any) -> Network:
    technique = load_pass(name)
    data = {"train": DATA.train, "validation": DATA.validation}
    given = {role: split for role, split in data.items() if role in technique.NEEDS}
    return technique.apply(model, technique.Settings.from_params(params), given, 0)[0]


@pytest.fixture(scope="module", params=list(SMALL))
def pruned(request: pytest.FixtureRequest) -> Network:
    """A network of each kind, trained on digits, with half of its units pruned."""
    model = load_model_module(request.param).build((1, 8, 8), 10, np.random.default_rng(0), **SMALL[request.param])
    fit(model, DATA.train, None, FitSettings(epochs=3), 0)
    pruned = step("structured_prune", model, sparsity=0.5)
    fit(pruned, DATA.train, None, FitSettings(epochs=2), 0)
    return pruned.eval()


def session(data: bytes) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def test_a_float_network_gives_the_same_outputs(pruned: Network) -> None:
    """For the whole test split at once and image by image."""
    loaded = session(to_onnx(pruned))
    np.testing.assert_allclose(loaded.run(None, {INPUT: TEST})[0], pruned.predict(TEST), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(loaded.run(None, {INPUT: TEST[:1]})[0], pruned.predict(TEST[:1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("block_prune", {"sparsity": 0.5}),
        ("low_rank", {"keep": 0.5, "rank_by": "weights"}),
        ("fuse", {"allow_no_effect": True}),
    ],
)
def test_a_network_of_another_structure_agrees(pruned: Network, name: str, params: dict[str, Any]) -> None:
    """Layers in blocks, two layers for one and folded batch norms: in floats, and with integers after it."""
    model = step(name, pruned, **params)
    found = session(to_onnx(model)).run(None, {INPUT: TEST})[0]
    np.testing.assert_allclose(found, model.predict(TEST), rtol=1e-3, atol=1e-3)
    model = step("quantize", model, bits=8)
    found, expected = session(to_onnx(model, TRAIN)).run(None, {INPUT: TEST})[0], model.predict(TEST)
    assert np.abs(found - expected).mean() < 0.02 * np.ptp(expected)


@pytest.mark.parametrize("activations", ["dynamic", "static", "none"])
@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantized_network_agrees(pruned: Network, bits: int, activations: str) -> None:
    """Outputs differ by a small part of their range, and so does hardly any answer."""
    model = step("quantize", pruned, bits=bits, activations=activations)
    found, expected = session(to_onnx(model, TRAIN)).run(None, {INPUT: TEST})[0], model.predict(TEST)
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)
    assert np.mean(found.argmax(1) == expected.argmax(1)) > 0.95


def test_static_scales_are_the_layers_own(pruned: Network) -> None:
    """They need no samples, which only serve the sums of residual blocks."""
    model = step("quantize", pruned, bits=8, activations="static")
    has_sums = any(isinstance(layer, Residual) for layer in model.children().values())
    assert (to_onnx(model) == to_onnx(model, TRAIN)) != has_sums
    np.testing.assert_allclose(
        session(to_onnx(model)).run(None, {INPUT: TEST})[0],
        model.predict(TEST),
        atol=0.05 * np.ptp(model.predict(TEST)),
    )


@pytest.mark.parametrize("activations", ["dynamic", "static"])
def test_integers_are_multiplied_as_integers(pruned: Network, activations: str, tmp_path: Any) -> None:
    """The runtime replaces every product by an integer kernel, and leaves no batch norm."""
    model = step("quantize", pruned, bits=8, activations=activations)
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    runtime.InferenceSession(to_onnx(model, TRAIN), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert kinds["QGemm"] + kinds["QLinearConv"] == sum(hasattr(layer, "scheme") for _, layer in model.named_layers())
    assert not {"BatchNormalization", "Conv", "FusedConv", "FusedGemm", "Gemm", "MatMul", "MaxPool"} & kinds.keys()


def test_quantized_weights_are_stored_as_bytes(pruned: Network) -> None:
    """A quantized file is much smaller than the float one, if it holds more than a few weights."""
    model = step("quantize", pruned, bits=8)
    arrays = {tensor.name: tensor for tensor in onnx.load_from_string(to_onnx(model, TRAIN)).graph.initializer}
    integers = [name for name in arrays if name.endswith(".weight.integers")]
    assert len(integers) == sum(hasattr(layer, "scheme") for _, layer in model.named_layers())
    assert {arrays[name].data_type for name in integers} == {onnx.TensorProto.INT8}


def test_a_bias_far_beyond_its_weights_survives() -> None:
    """Weights next to nothing get a larger scale, so that the bias fits an int32."""
    linear = Linear(4, 2, rng=np.random.default_rng(0))
    linear.weight.data[:, 1] *= np.float32(1e-14)
    linear.bias = Tensor(np.array([1.0, 1000.0]))
    model = step("quantize", Network({"fc": linear}, (4,)), bits=8)
    samples = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)
    found = session(to_onnx(model, samples)).run(None, {INPUT: samples})[0]
    np.testing.assert_allclose(found, model.predict(samples), rtol=1e-4, atol=0.05)


def test_all_zero_weights_and_inputs_are_fine() -> None:
    """A scale is never zero."""
    linear = Linear(4, 2, rng=np.random.default_rng(0))
    linear.weight.data *= 0
    model = step("quantize", Network({"relu": ReLU(), "fc": linear}, (4,)), bits=8)
    samples = np.zeros((3, 4), np.float32)
    assert session(to_onnx(model, samples)).run(None, {INPUT: samples})[0].tolist() == model.predict(samples).tolist()


def test_dynamic_scales_need_samples() -> None:
    """Without them no scale can be chosen, and the error says for which layer."""
    model = step("quantize", Network({"flatten": Flatten(), "fc": Linear(4, 2)}, (4,)), bits=8)
    with pytest.raises(UserError, match="fc: dynamic activations need samples"):
        to_onnx(model)


def test_a_layer_without_a_form_is_named() -> None:
    """Also when it lies inside another."""

    class Swish(ReLU):
        pass

    model = Network({"inner": Network({"act": Swish()}, (4,))}, (4,))
    with pytest.raises(UserError, match=r"inner\.act: a Swish has no ONNX form"):
        to_onnx(model)


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EnvironmentProblem) as caught:
        to_onnx(Network({"act": ReLU()}, (4,)))
    assert caught.value.hint == 'pip install "tinytorch-pipeline[onnx]"'


def test_the_file_is_deterministic_and_for_older_runtimes(tmp_path: Any) -> None:
    """Equal networks give equal files, of the opset that is needed."""
    model = Network({"act": ReLU()}, (4,))
    write_onnx(model, tmp_path / "a.onnx")
    data = (tmp_path / "a.onnx").read_bytes()
    assert data == to_onnx(model)
    assert [opset.version for opset in onnx.load_from_string(data).opset_import] == [OPSET]


def test_the_data_is_what_it_was(pruned: Network) -> None:
    """Exporting leaves the network as it is."""
    before = pruned.predict(TEST[:5])
    to_onnx(step("quantize", pruned, bits=8), Split.images(DATA.train, np.arange(8)))
    assert np.array_equal(pruned.predict(TEST[:5]), before)
