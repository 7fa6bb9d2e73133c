"""Zeroing single weights: the smallest ones, stored without them, and honest about speed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinytorch.core.layers import Linear
from tinytorch.errors import NoEffectError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import quantize
from tinytorch.passes.effect import Effect
from tinytorch.passes.magnitude_prune import Settings, apply
from tinytorch.serialization import dumps, save, stored_bytes

Build = Callable[..., Network]


def prune(model: Network, **settings: Any) -> tuple[Network, Effect]:
    return apply(model, Settings(**settings), {}, 0)[:2]


def test_the_smallest_weights_of_each_layer_become_zero(build: Build) -> None:
    """Of n weights round(sparsity · n) go, those of least magnitude; biases stay."""
    model = build("cnn", width=4, depth=2)
    pruned = dict(prune(model, sparsity=0.6)[0].named_layers())
    for name in ("conv1", "conv2", "fc_out"):
        before, after = dict(model.named_layers())[name].weight.data, pruned[name].weight.data
        gone = after == 0
        assert gone.sum() == round(0.6 * before.size)
        assert np.abs(before[gone]).max() <= np.abs(before[~gone]).min()
        np.testing.assert_array_equal(after[~gone], before[~gone])


def test_the_stored_file_really_shrinks_and_speed_is_not_claimed(build: Build) -> None:
    """Bytes go down with the weights left; the effect is labelled simulated, MACs are as before."""
    model = build("mlp", hidden=[64, 64])
    pruned, effect = prune(model, sparsity=0.8)
    assert effect.stored_bytes_after == len(dumps(pruned)) < 0.4 * len(dumps(model))
    assert effect.nonzero_after < 0.3 * effect.nonzero_before
    assert effect.parameters_after == effect.parameters_before
    assert effect.macs_after == effect.macs_before
    assert effect.simulated
    assert "simulated for speed" in effect.warnings[0]


def test_where_blocks_are_empty_by_chance_speed_is_left_to_the_benchmark(build: Build) -> None:
    """With 97 % gone most blocks of 16 are empty, which a session may skip: not simulated, and the report says so."""
    _, effect = prune(build("mlp", hidden=[64, 64]), sparsity=0.97)
    assert not effect.simulated
    assert "empty by chance" in effect.warnings[0]


@pytest.mark.parametrize("sparsity", [0.01, 0.02, 0.05, 0.1, 0.13, 0.3, 0.6, 0.9, 0.94, 0.97, 0.99])
def test_the_file_is_smaller_from_the_first_per_cent_on(build: Build, tmp_path: Path, sparsity: float) -> None:
    """A layer that claims a sparse storage has saved more than it costs; the file says so by its size."""
    model = build("mlp", hidden=[64, 64])
    pruned, effect = prune(model, sparsity=sparsity)
    save(model, tmp_path / "before")
    save(pruned, tmp_path / "after")
    saved = (tmp_path / "before").stat().st_size - (tmp_path / "after").stat().st_size
    assert saved > 0.6 * 4 * (effect.nonzero_before - effect.nonzero_after) - 3 * 150  # 150: more names in the header
    assert saved > 0
    for layer in effect.layers:
        assert (layer.settings["storage"] == "dense") == (layer.bytes_after == layer.bytes_before)


def test_a_layer_too_small_for_any_sparse_form_is_stored_dense(build: Build) -> None:
    """And the report says so, because it claims no smaller file."""
    pruned, effect = prune(build("mlp", hidden=[8]), sparsity=0.02)
    assert [layer.settings["storage"] for layer in effect.layers] == ["dense", "dense"]
    assert "fc1, fc_out: stored dense, because no sparse form is smaller" in effect.warnings[1]
    assert stored_bytes(pruned) <= effect.stored_bytes_before + 2 * 40


def test_global_scope_ranks_all_layers_together() -> None:
    """The same share of all weights goes, more from layers with many relatively small ones."""
    first, second = Linear(10, 10), Linear(10, 10)
    first.weight.data[:] = 1
    second.weight.data[:] = 0.01
    second.weight.data[0] = 10
    model = Network({"fc1": first, "fc_out": second}, (10,))
    pruned = prune(model, sparsity=0.45, scope="global")[0]
    assert [np.count_nonzero(layer.weight.data) for layer in pruned.layers] == [100, 10]


def test_global_scope_does_not_empty_a_layer_for_its_units_of_measure(build: Build) -> None:
    """Multiplying a layer's weights changes nothing about which weights go."""
    model = build("mlp", hidden=[16])
    before = prune(model, scope="global")[0]
    dict(model.named_layers())["fc1"].weight.data *= 1e-3
    after = prune(model, scope="global")[0]
    np.testing.assert_array_equal(before.layers[1].mask, after.layers[1].mask)


def test_layers_can_have_a_sparsity_of_their_own(build: Build) -> None:
    """`per_layer` overrides, `except` leaves alone, and the report says what each layer reached."""
    model = build("mlp", hidden=[32, 32])
    effect = prune(model, per_layer={"fc1": {"sparsity": 0.75}}, except_=("fc_out",))[1]
    reached = {layer.name: layer.settings["sparsity_reached"] for layer in effect.layers}
    assert reached == {"fc1": pytest.approx(0.75), "fc2": pytest.approx(0.5)}


def test_pruning_again_goes_on_from_what_is_left(build: Build) -> None:
    """A second, stronger pruning counts the weights that are gone already; a weaker one has no effect."""
    model = build("mlp", hidden=[32])
    once = prune(model, sparsity=0.5)[0]
    twice = prune(once, sparsity=0.8)[0]
    direct = prune(model, sparsity=0.8)[0]
    np.testing.assert_array_equal(twice.layers[1].mask, direct.layers[1].mask)
    with pytest.raises(NoEffectError, match="pruned this far already"):
        prune(once, sparsity=0.3)


def test_a_quantized_layer_cannot_be_pruned(build: Build) -> None:
    """Pruning after quantizing is an error that says what to do."""
    quantized = quantize.apply(build("mlp"), quantize.Settings(targets=("fc1",)), {}, 0)[0]
    with pytest.raises(TinyTorchError, match=r"fc1: already quantized.*put prune before quantize.*except: \[fc1\]"):
        prune(quantized)
    assert prune(quantized, except_=("fc1",))[1].layers[0].name == "fc_out"


def test_a_layer_left_without_weights_is_reported(build: Build) -> None:
    """round(0.99 · 40) is all 40: the network answers the same to everything, which nobody should have to find out."""
    model = build("mlp", hidden=[8])
    pruned, effect, _ = apply(model, Settings(sparsity=0.99), {}, 0)
    assert not dict(pruned.named_layers())["fc_out"].mask.any()
    assert [w for w in effect.warnings if "every weight" in w] == [
        "fc_out: every weight was removed, so the outputs do not depend on the inputs"
    ]
