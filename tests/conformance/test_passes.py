"""Laws that every pass in the table obeys, on every model of images: a new pass needs a line in EXAMPLES and gets these
tests. Language models have theirs in tests/tinytorch/models/test_language_model.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinytorch.passes
from tinytorch.core.layer import Layer, walk
from tinytorch.core.tensor import Tensor
from tinytorch.data.split import Split
from tinytorch.kernels.quantized import quantized_conv2d_int32, quantized_linear_int32
from tinytorch.models import load_model_module
from tinytorch.models.network import Network
from tinytorch.passes import PASSES, PROFILE, TEACHER, load_pass
from tinytorch.passes.effect import Effect
from tinytorch.serialization import LEAVES, clone, dumps, loads
from tinytorch.tasks import IMAGE_MODELS

SHAPE, CLASSES = (2, 8, 8), 5
SMALL: dict[str, dict[str, Any]] = {
    "cnn": {"width": 6},
    "mlp": {"hidden": [40, 24]},
    "resnet": {"width": 4, "blocks": [1, 1]},
}


class Examples(NamedTuple):
    """Settings under which a pass changes every one of `models`, and one under which it changes nothing."""

    strong: tuple[Mapping[str, Any], ...]
    zero: Mapping[str, Any]
    models: tuple[str, ...] = tuple(sorted(IMAGE_MODELS))


EXAMPLES: dict[str, Examples] = {
    "block_prune": Examples(
        ({"sparsity": 0.1}, {"sparsity": 0.5, "importance": "l2"}, {"sparsity": 0.9, "scope": "global"}),
        {"sparsity": 0.0},
    ),
    "finetune": Examples(({"epochs": 1}, {"epochs": 1, "optimizer": "sgd", "lr": 0.1}), {"epochs": 0}),
    "fuse": Examples(({},), {"targets": [], "allow_no_effect": True}, ("cnn", "resnet")),
    "gradual_prune": Examples(
        (
            {"sparsity": 0.5, "steps": 2},
            {"method": "block", "sparsity": 0.8, "steps": 3, "ramp": "linear", "scope": "global"},
            {"method": "magnitude", "sparsity": 0.9, "steps": 2, "epochs": 0},
        ),
        {"sparsity": 0.0},
    ),
    "budget": Examples(
        (
            {"target": {"size_bytes": 9000}, "use": "quantize"},
            {"target": {"size_bytes": 9000}, "values": [0.5, 0.75]},
        ),
        {"target": {"size_bytes": 10**9}},
        ("mlp", "resnet"),
    ),
    "low_rank": Examples(
        ({"keep": 0.3}, {"keep": 0.4, "rank_by": "weights", "per_layer": {"fc_out": {"keep": 1.0}}}), {"keep": 1.0}
    ),
    "distill": Examples(
        ({"epochs": 1}, {"epochs": 1, "temperature": 1.5, "teacher_weight": 1.0, "optimizer": "sgd"}), {"epochs": 0}
    ),
    "gptq": Examples(
        (
            {"bits": 4},
            {"bits": 4, "weights": "per_group", "group_size": 32, "calibration_samples": 9},
            {"bits": 8, "weights": "per_tensor", "activations": "static", "calibration": "mse"},
        ),
        {"bits": 32},
    ),
    "magnitude_prune": Examples(
        ({"sparsity": 0.01}, {"sparsity": 0.5}, {"sparsity": 0.97, "scope": "global"}), {"sparsity": 0.0}
    ),
    "qat": Examples(
        (
            {"bits": 4, "epochs": 1},
            {"bits": 4, "epochs": 1, "weights": "per_group", "group_size": 32, "activations": "static"},
            {"bits": 8, "epochs": 1, "activations": "none", "weights": "per_tensor"},
        ),
        {"bits": 32},
    ),
    "quantize": Examples(
        (
            {"bits": 8},
            {"bits": 4},
            {"bits": 8, "weights": "per_tensor", "activations": "static"},
            {"bits": 4, "activations": "none", "per_layer": {"fc_out": {"bits": 8}}},
            {"bits": 4, "weights": "per_group", "group_size": 32},
            {"bits": 8, "activations": "static", "calibration": "percentile", "percentile": 99.0},
        ),
        {"bits": 32},
    ),
    "structured_prune": Examples(
        ({"sparsity": 0.5}, {"sparsity": 0.75, "scope": "global", "importance": "l2"}), {"sparsity": 0.0}
    ),
}
CASES = [
    (name, settings, arch) for name, (strong, _, models) in EXAMPLES.items() for settings in strong for arch in models
]


def images(count: int) -> np.ndarray:
    """Random images."""
    return np.random.default_rng(1).standard_normal((count, *SHAPE)).astype(np.float32)


def data() -> dict[str, Split]:
    """Small splits of random images and labels."""
    labels = np.random.default_rng(2).integers(0, CLASSES, 32)
    split = Split(images(32), labels, 1.0, (0.0, 0.0), (1.0, 1.0))
    return {"train": split, "validation": split}


def build(arch: str) -> Network:
    """A model after one batch in training mode, so that its batch norms have seen data."""
    model = load_model_module(arch).build(SHAPE, CLASSES, np.random.default_rng(0), **SMALL.get(arch, {}))
    model.train().forward(Tensor(images(16)))
    assert isinstance(model, Network)
    return model.eval()


def run(name: str, params: Mapping[str, Any], model: Network, seed: int = 0) -> tuple[Network, Effect]:
    """Apply a pass to a model, giving it only the data it says it needs."""
    technique = load_pass(name)
    offered = {**data(), TEACHER: clone(model), PROFILE: None}
    given = {role: offered[role] for role in technique.NEEDS}
    result, effect, _ = technique.apply(model, technique.Settings.from_params(params), given, seed)
    return result, effect


@pytest.fixture
def model(arch: str) -> Network:
    """The model of a case."""
    return build(arch)


def roots(result: Network, model: Network) -> list[str]:
    """The layers of `model` that are left in `result`, in its order, one for all that took a layer's place."""
    old = [name for name, _ in model.named_layers()]
    found = [next(o for o in old if f"{name}.".startswith(f"{o}.")) for name, _ in result.named_layers()]
    return list(dict.fromkeys(found))


def test_the_examples_cover_the_table() -> None:
    """Every module of the folder that has `apply` is in PASSES, and every pass has its examples here."""
    folder = Path(tinytorch.passes.__file__).parent
    modules = {f"tinytorch.passes.{path.stem}" for path in folder.glob("*.py") if "\ndef apply(" in path.read_text()}
    assert modules == set(PASSES.values())
    assert set(EXAMPLES) == set(PASSES)


@pytest.mark.parametrize(("name", "params", "arch"), CASES, ids=str)
class TestLaws:
    """What holds for any pass, under any settings, on any model."""

    def test_the_input_is_untouched(self, name: str, params: Mapping[str, Any], model: Network) -> None:
        """The model given keeps every byte and its mode, and the result shares no memory with it."""
        before = dumps(model)
        result, _ = run(name, params, model)
        assert dumps(model) == before
        assert not any(layer.training for layer in walk(model))
        old = [array for layer in walk(model) for array in layer.state().values()]
        new = [array for layer in walk(result) for array in layer.state().values()]
        assert not any(np.shares_memory(a, b) for a in old for b in new)

    def test_inputs_and_outputs_keep_their_shape(self, name: str, params: Mapping[str, Any], model: Network) -> None:
        """The result takes the same samples and gives one finite row of logits for each."""
        result, _ = run(name, params, model)
        assert result.input_shape == model.input_shape
        left = roots(result, model)
        assert left == [n for n, _ in model.named_layers() if n in left]
        logits = result.predict(images(5))
        assert logits.shape == (5, CLASSES)
        assert np.isfinite(logits).all()

    def test_a_saved_result_computes_the_same_bits(self, name: str, params: Mapping[str, Any], model: Network) -> None:
        """Saving and loading changes neither the outputs nor the next file."""
        result, _ = run(name, params, model)
        again = loads(dumps(result))
        np.testing.assert_array_equal(again.predict(images(9)), result.predict(images(9)))
        assert dumps(again) == dumps(result)

    def test_reported_bytes_are_stored_bytes(self, name: str, params: Mapping[str, Any], model: Network) -> None:
        """The report's sizes and counts are those of the files and layers, as a whole and layer by layer."""
        result, effect = run(name, params, model)
        assert (effect.stored_bytes_before, effect.stored_bytes_after) == (len(dumps(model)), len(dumps(result)))
        assert (effect.parameters_after, effect.nonzero_after) == (result.parameter_count(), result.nonzero_count())
        assert effect.macs_after == result.macs()
        assert effect.layers
        for layer in effect.layers:
            parts = [part for n, part in result.named_layers() if f"{n}.".startswith(f"{layer.name}.")]
            assert layer.bytes_after == sum(array.nbytes for part in parts for array in part.state().values())

    def test_the_report_is_json(self, name: str, params: Mapping[str, Any], model: Network) -> None:
        """The effect survives JSON, and its settings read back as those that were used."""
        _, effect = run(name, params, model)
        plain = effect.to_json()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        settings = load_pass(name).Settings
        assert settings.from_params(plain["settings"]) == settings.from_params(params)
        assert plain["technique"] == name

    def test_the_seed_decides(self, name: str, params: Mapping[str, Any], model: Network) -> None:
        """The same seed gives the same file and the same report."""
        first, again = run(name, params, model, seed=3), run(name, params, clone(model), seed=3)
        assert dumps(first[0]) == dumps(again[0])
        assert first[1] == again[1]

    def test_layers_compute_what_they_store(self, name: str, params: Mapping[str, Any], model: Network) -> None:
        """Every layer's output agrees with a slow reference fed with the arrays of its stored state."""
        result, _ = run(name, params, model)
        checked = clone(result).replaced({n: _Checked(layer) for n, layer in result.named_layers()})
        checked.predict(images(3))


@pytest.mark.parametrize("arch", sorted(IMAGE_MODELS))
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_zero_strength_is_the_identity(name: str, model: Network) -> None:
    """Asked for nothing, a pass changes no byte, raises nothing and reports no change."""
    result, effect = run(name, EXAMPLES[name].zero, model)
    assert dumps(result) == dumps(model)
    assert effect.stored_bytes_before == effect.stored_bytes_after
    assert not effect.simulated
    assert all(warning.startswith("nothing was changed") for warning in effect.warnings)


def _linear(layer: Any, x: np.ndarray) -> np.ndarray:
    state = layer.state()
    return x.astype(np.float64) @ state["weight"] + state.get("bias", 0)


def _conv(layer: Any, x: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    config, state = layer.config(), layer.state()
    weight = state["weight"] if weight is None else weight
    (sh, sw), (ph, pw) = config["stride"], config["padding"]
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))[:, :, ::sh, ::sw]
    return np.einsum("nchwij,ocij->nohw", windows, weight) + state.get("bias", np.zeros(len(weight)))[:, None, None]


def _pool(layer: Any, x: np.ndarray, reduce: Callable[..., np.ndarray], outside: float) -> np.ndarray:
    config = layer.config()
    (sh, sw), (ph, pw) = config["stride"], config["padding"]
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=outside)
    windows = np.lib.stride_tricks.sliding_window_view(padded, config["kernel_size"], axis=(2, 3))
    return reduce(windows[:, :, ::sh, ::sw], axis=(4, 5))


def _batch_norm(layer: Any, x: np.ndarray) -> np.ndarray:
    gamma, beta, mean, var = (layer.state()[n][:, None, None] for n in ("gamma", "beta", "running_mean", "running_var"))
    return (x - mean) / np.sqrt(var + layer.eps) * gamma + beta


def _softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def _dequantized(layer: Any) -> np.ndarray:
    weight = type(layer).from_state(layer.config(), layer.state()).weight
    rows = weight.values.reshape(len(weight.values), -1)
    scale = np.broadcast_to(weight.scale.reshape(len(weight.scale), -1), (len(rows), weight.scale[0].size))
    window = rows.shape[1] // weight.values.shape[1]
    return (rows * np.repeat(scale, (weight.group or rows.shape[1]) * window, axis=1)[:, : rows.shape[1]]).reshape(
        weight.values.shape
    )


def _quantized_linear(layer: Any, x: np.ndarray) -> np.ndarray:
    if layer.scheme.activations == "none":
        return x @ _dequantized(layer).T + layer.state().get("bias", 0)
    weight, state = type(layer).from_state(layer.config(), layer.state()).weight, layer.state()
    static = state.get("activation_scale")
    return quantized_linear_int32(x, weight.values, weight.scale, state.get("bias"), static, weight.group)


def _quantized_conv(layer: Any, x: np.ndarray) -> np.ndarray:
    if layer.scheme.activations == "none":
        return _conv(layer, x, _dequantized(layer))
    weight, state, config = type(layer).from_state(layer.config(), layer.state()).weight, layer.state(), layer.config()
    stride, padding = tuple(config["stride"]), tuple(config["padding"])
    return quantized_conv2d_int32(
        x, weight.values, weight.scale, state.get("bias"), stride, padding, state.get("activation_scale"), weight.group
    )


def _rebuilt_dense(layer: Any) -> Any:
    return type(layer).from_state(layer.config(), layer.state()).dense


REFERENCES: dict[str, Callable[[Any, np.ndarray], np.ndarray]] = {
    "AvgPool2d": lambda layer, x: _pool(layer, x, np.mean, 0.0),
    "BatchNorm2d": _batch_norm,
    "BlockSparseLinear": lambda layer, x: _linear(_rebuilt_dense(layer), x),
    "Conv2d": _conv,
    "Dropout": lambda layer, x: x,
    "Flatten": lambda layer, x: x.reshape(len(x), -1),
    "GELU": lambda layer, x: x / (1 + np.exp(-1.702 * x)),
    "Linear": _linear,
    "MaxPool2d": lambda layer, x: _pool(layer, x, np.max, -np.inf),
    "QuantizedConv2d": _quantized_conv,
    "QuantizedLinear": _quantized_linear,
    "ReLU": lambda layer, x: np.maximum(x, 0),
    "Sigmoid": lambda layer, x: 1 / (1 + np.exp(-x)),
    "Softmax": lambda layer, x: _softmax(x),
    "SparseConv2d": lambda layer, x: _conv(_rebuilt_dense(layer), x),
    "SparseLinear": lambda layer, x: _linear(_rebuilt_dense(layer), x),
    "Tanh": lambda layer, x: np.tanh(x),
}


def test_every_layer_has_a_reference() -> None:
    """A new kind of layer needs a line in REFERENCES."""
    assert set(REFERENCES) == set(LEAVES)


class _Checked(Layer):
    """A layer whose every output is compared with the reference: integers bit for bit, floats to 1e-4."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer.eval()

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer(x)
        kind, expected = type(self.layer).__name__, REFERENCES[type(self.layer).__name__](self.layer, x.data)
        if kind.startswith("Quantized") and self.layer.config()["activations"] != "none":
            np.testing.assert_array_equal(out.data, expected, err_msg=kind)
        np.testing.assert_allclose(out.data, expected, rtol=1e-4, atol=1e-4, err_msg=kind)
        assert out.data.shape[1:] == self.layer.output_shape(x.shape[1:])
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layer.output_shape(input_shape)
