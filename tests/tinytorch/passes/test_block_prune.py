"""Removing blocks of 16 weights of linear layers: the weakest ones, stored without them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinytorch.core.layers import Linear
from tinytorch.errors import NoEffectError, TargetError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import finetune, magnitude_prune, quantize, structured_prune
from tinytorch.passes.block_prune import Settings, apply
from tinytorch.passes.effect import Effect
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.serialization import save, stored_bytes

Build = Callable[..., Network]


def prune(model: Network, **settings: Any) -> tuple[Network, Effect]:
    return apply(model, Settings(**settings), {}, 0)[:2]


def layers_of(model: Network) -> dict[str, Any]:
    return dict(model.named_layers())


@pytest.mark.parametrize(("importance", "order"), [("l1", 1), ("l2", 2)])
def test_the_blocks_of_least_norm_go(build: Build, importance: str, order: int) -> None:
    """Of n blocks round(sparsity · n); the weights of the others and the biases stay."""
    model = build("mlp", hidden=[40])
    before = layers_of(model)["fc1"]
    after = layers_of(prune(model, sparsity=0.6, importance=importance)[0])["fc1"]
    norms = np.stack(
        [np.linalg.norm(before.weight.data[:, start : start + 16], order, axis=1) for start in (0, 16, 32)]
    )
    assert np.count_nonzero(~after.blocks) == round(0.6 * norms.size)
    assert norms[~after.blocks].max() <= norms[after.blocks].min()
    np.testing.assert_array_equal(after.weight.data, np.where(after.mask, before.weight.data, 0))
    np.testing.assert_array_equal(after.bias.data, before.bias.data)


@pytest.mark.parametrize("sparsity", [0.01, 0.02, 0.1, 0.5, 0.9, 0.99])
def test_the_file_is_smaller_from_the_first_per_cent_on(build: Build, tmp_path: Path, sparsity: float) -> None:
    """By nearly all that was removed, and the report says how much it is."""
    model = build("mlp", hidden=[64, 64])
    pruned, effect = prune(model, sparsity=sparsity, except_=("fc_out",))
    save(model, tmp_path / "before")
    save(pruned, tmp_path / "after")
    saved = (tmp_path / "before").stat().st_size - (tmp_path / "after").stat().st_size
    assert saved == effect.stored_bytes_before - effect.stored_bytes_after
    assert saved > 0.97 * 4 * (effect.nonzero_before - effect.nonzero_after) - 2 * 150  # 150: names in the header
    assert saved > 0
    assert not effect.simulated


def test_the_report_says_what_is_left(build: Build) -> None:
    """Per layer: blocks, the share reached, how it is stored, and the multiply-accumulates that are left."""
    effect = prune(build("mlp", hidden=[32]), sparsity=0.75)[1]
    layer = effect.layers[0]
    assert layer.settings == {
        "sparsity": 0.75,
        "sparsity_reached": 0.75,
        "blocks_before": 256,
        "blocks_after": 64,
        "storage": "bitmask",
    }
    assert (layer.macs_before, layer.macs_after) == (128 * 32, 128 * 8)
    assert "native kernels" in effect.warnings[0]


def test_layers_can_have_a_sparsity_of_their_own(build: Build) -> None:
    """`per_layer` overrides, `except` leaves alone."""
    effect = prune(build("mlp", hidden=[32, 32]), per_layer={"fc1": {"sparsity": 0.75}}, except_=("fc_out",))[1]
    assert {layer.name: layer.settings["sparsity_reached"] for layer in effect.layers} == {"fc1": 0.75, "fc2": 0.5}


def test_global_scope_ranks_all_layers_together() -> None:
    """The same share of all blocks goes, more from a layer with many relatively weak ones."""
    first, second = Linear(10, 16), Linear(16, 16)
    first.weight.data[:] = 1
    second.weight.data[:] = 0.01
    second.weight.data[0] = 10
    model = Network({"fc1": first, "fc_out": second}, (10,))
    pruned = layers_of(prune(model, sparsity=0.5, scope="global")[0])
    assert pruned["fc1"] is not first
    assert type(pruned["fc1"]) is Linear
    assert np.count_nonzero(pruned["fc_out"].blocks) == 3


def test_pruning_again_goes_on_from_what_is_left(build: Build) -> None:
    """A second, stronger pruning counts the blocks that are gone already; a weaker one has no effect."""
    model = build("mlp", hidden=[32])
    once = prune(model, sparsity=0.5)[0]
    twice = layers_of(prune(once, sparsity=0.8)[0])
    np.testing.assert_array_equal(twice["fc1"].blocks, layers_of(prune(model, sparsity=0.8)[0])["fc1"].blocks)
    with pytest.raises(NoEffectError, match="pruned this far already"):
        prune(once, sparsity=0.3)


def test_convolutions_stay(build: Build) -> None:
    """Blocks are for linear layers; to name a convolution is an error."""
    model = build("cnn", width=8)
    assert [layer.name for layer in prune(model)[1].layers] == ["fc_out"]
    with pytest.raises(TargetError, match="'conv1' matches no layer"):
        prune(model, targets=("conv1",))


def test_single_weights_may_go_before_blocks_but_not_after(build: Build) -> None:
    """Blocks of a layer with pruned weights keep their zeros; pruning weights afterwards would break the blocks."""
    model = build("mlp", hidden=[32])
    sparse = magnitude_prune.apply(model, magnitude_prune.Settings(sparsity=0.9), {}, 0)[0]
    both = layers_of(prune(sparse, sparsity=0.5)[0])["fc1"]
    assert isinstance(both, BlockSparseLinear)
    assert np.count_nonzero(both.weight.data) <= np.count_nonzero(layers_of(sparse)["fc1"].weight.data)
    with pytest.raises(TinyTorchError, match=r"already pruned in blocks.*magnitude before block"):
        magnitude_prune.apply(prune(model)[0], magnitude_prune.Settings(), {}, 0)


def test_other_passes_take_its_result(build: Build, train: Any) -> None:
    """Blocks can be trained, narrowed and quantized; what was removed stays zero and unstored."""
    model = prune(build("mlp", hidden=[32, 32]), sparsity=0.75)[0]
    trained = finetune.apply(model, finetune.Settings(epochs=1), {"train": train}, 0)[0]
    np.testing.assert_array_equal(layers_of(trained)["fc1"].blocks, layers_of(model)["fc1"].blocks)
    narrow = structured_prune.apply(trained, structured_prune.Settings(), {}, 0)[0]
    assert layers_of(narrow)["fc1"].weight.shape == (128, 16)
    small = quantize.apply(trained, quantize.Settings(), {}, 0)[0]
    assert stored_bytes(small) < 0.7 * stored_bytes(trained)
    assert not layers_of(small)["fc1"].weight.values.T[~layers_of(trained)["fc1"].mask].any()


def test_a_quantized_layer_cannot_be_pruned(build: Build) -> None:
    """The error says what to do."""
    quantized = quantize.apply(build("mlp"), quantize.Settings(targets=("fc1",)), {}, 0)[0]
    with pytest.raises(TinyTorchError, match=r"fc1: already quantized.*put prune before quantize.*except: \[fc1\]"):
        prune(quantized)


def test_a_layer_left_without_weights_is_reported(build: Build) -> None:
    """round(0.99 · 8) is all 8 blocks."""
    effect = prune(build("mlp", hidden=[8]), sparsity=0.99)[1]
    assert any("fc_out: every weight was removed" in warning for warning in effect.warnings)
