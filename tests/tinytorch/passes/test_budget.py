"""A budget over layers: it is kept by the bytes of the file, and spent where it costs least."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models import cnn, mlp
from tinytorch.models.network import Network
from tinytorch.passes import budget, load_pass
from tinytorch.passes.sensitivity import quality
from tinytorch.serialization import stored_bytes

SHAPE, CLASSES = (1, 6, 6), 4


@pytest.fixture
def data() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "validation": Split(rng.integers(0, 255, (50, *SHAPE)).astype(np.uint8), rng.integers(0, CLASSES, 50), 255.0)
    }


@pytest.fixture
def model() -> Network:
    return mlp.build(SHAPE, CLASSES, np.random.default_rng(0), hidden=[64, 48]).eval()


def solve(model: Network, data: dict[str, Any], **params: Any) -> tuple[Network, Any]:
    settings = budget.Settings.from_params(params)
    result, effect, _ = budget.apply(model, settings, data, 0)
    return result, effect


@pytest.mark.parametrize("size_bytes", [9000, 7000, 5500])
def test_the_stored_file_keeps_the_budget(model: Network, data: dict[str, Any], size_bytes: int) -> None:
    """Whatever mix of bits is chosen, the file has at most the bytes that were asked for."""
    result, effect = solve(model, data, target={"size_bytes": size_bytes}, use="quantize")
    assert stored_bytes(result) == effect.stored_bytes_after <= size_bytes


def test_no_other_mix_of_bits_within_the_budget_promises_less_loss(model: Network, data: dict[str, Any]) -> None:
    """Against every combination applied for real: none that fits has a smaller sum of single losses."""
    limit = 7000
    _, effect = solve(model, data, target={"size_bytes": limit}, use="quantize")
    quantize = load_pass("quantize")
    base = quality(model, data["validation"]).loss

    def quantized(bits: dict[str, int]) -> Network:
        wanted = {name: {"bits": width} for name, width in bits.items() if width != 32}
        settings = quantize.Settings(bits=32, per_layer=wanted)
        return quantize.apply(model, settings, data, 0)[0]

    names = ["fc1", "fc2", "fc_out"]
    rise = {
        (name, width): max(0.0, quality(quantized({name: width}), data["validation"]).loss - base)
        for name in names
        for width in (32, 8, 4)
    }
    fitting = [
        sum(rise[pair] for pair in zip(names, mix, strict=True))
        for mix in itertools.product((32, 8, 4), repeat=3)
        if stored_bytes(quantized(dict(zip(names, mix, strict=True)))) <= limit
    ]
    spent = sum(layer.settings.get("loss_rise", 0.0) for layer in effect.layers)
    assert spent == pytest.approx(min(fitting), abs=1e-12)


def test_neighbours_that_shrink_each_other_still_keep_the_budget(data: dict[str, Any]) -> None:
    """Savings of structured pruning overlap; the file is what counts."""
    model = cnn.build(SHAPE, CLASSES, np.random.default_rng(0), width=12).eval()
    half = stored_bytes(model) // 2
    result, effect = solve(model, data, target={"size_bytes": half}, values=[0.25, 0.5, 0.75])
    assert stored_bytes(result) <= half
    assert {setting for layer in effect.layers for setting in layer.settings} <= {"sparsity", "loss_rise"}


def test_a_budget_that_is_kept_changes_nothing(model: Network, data: dict[str, Any]) -> None:
    """Nothing is lost where nothing is to be saved."""
    _, effect = solve(model, data, target={"size_bytes": stored_bytes(model)}, use="quantize")
    assert effect.stored_bytes_after == effect.stored_bytes_before
    assert effect.layers == ()


def test_a_budget_out_of_reach_names_the_nearest(model: Network, data: dict[str, Any]) -> None:
    """The error says how small it gets at all."""
    with pytest.raises(TinyTorchError, match=r"the nearest found is [0-9,]+ bytes"):
        solve(model, data, target={"size_bytes": 100}, use="quantize")


def profile(model: Network) -> dict[str, Any]:
    """A profile in which time is proportional to work."""
    layers = [
        {
            "name": name,
            "names": [name],
            "macs": layer.macs(before),
            "parameters": layer.parameter_count(),
            "weight_bytes": sum(array.nbytes for array in layer.state().values()),
            "activation_bytes": 4 * int(np.prod(before) + np.prod(after)),
            "time_ns": float(layer.macs(before)),
        }
        for name, layer, before, after in model.named_shapes()
    ]
    return {"batch_size": 1, "layers": layers}


def test_a_speedup_is_predicted_from_the_times_of_layers(model: Network, data: dict[str, Any]) -> None:
    """With times proportional to MACs, the MACs that are left keep the budget; the report says it is a prediction."""
    result, effect = solve(model, {**data, "profile": profile(model)}, target={"speedup": 2.0})
    assert model.macs() / result.macs() >= 2.0
    assert "predicted" in effect.warnings[0]


def test_a_speedup_needs_a_profile(model: Network, data: dict[str, Any]) -> None:
    """Without times there is nothing to predict from."""
    with pytest.raises(TinyTorchError, match="profile"):
        solve(model, data, target={"speedup": 2.0})


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"target": {"size": 3}}, "target must be one of size_bytes, speedup"),
        ({"target": {"speedup": 0.5}}, "target.speedup must be a number with 1 <="),
        ({"target": {"speedup": 2}, "method": "magnitude"}, "still multiplied"),
        ({"target": {"size_bytes": 10}, "use": "quantize", "values": [6]}, "values must be bits"),
        ({"target": {"size_bytes": 10}, "values": [1.0]}, "values must be a number with 0 <= values < 1"),
        ({"target": {"size_bytes": 10}, "values": [0.5, 0.5]}, "1 to 16 different numbers"),
    ],
)
def test_settings_that_mean_nothing_are_refused(params: dict[str, Any], told: str) -> None:
    """Each with what would be valid."""
    with pytest.raises(TinyTorchError, match=told):
        budget.Settings.from_params(params)


def test_a_missing_target_is_an_error(model: Network, data: dict[str, Any]) -> None:
    """Without a budget there is nothing to solve."""
    with pytest.raises(TinyTorchError, match="target is missing"):
        solve(model, data)


def test_a_network_that_keeps_the_budget_is_left_and_that_is_said(model: Network, data: dict[str, Any]) -> None:
    """A budget that asks for nothing is probably a slip."""
    result, effect = solve(model, data, target={"size_bytes": 10**6})
    assert stored_bytes(result) == stored_bytes(model)
    assert effect.warnings == ("nothing was changed: the network keeps the budget of 1,000,000 bytes as it is",)
