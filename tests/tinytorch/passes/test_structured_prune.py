"""Removing neurons and channels: the right ones, everywhere they reach, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.core.activations import ReLU, Sigmoid, Softmax
from tinytorch.core.layers import Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import AvgPool2d, Conv2d
from tinytorch.errors import NoEffectError, TargetError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import magnitude_prune, quantize
from tinytorch.passes.structured_prune import Settings, apply
from tinytorch.serialization import clone, stored_bytes

Build = Callable[..., Network]


def prune(model: Network, **settings: Any) -> Network:
    return apply(model, Settings(**settings), {}, 0)[0]


def silenced(model: Network, pruned: Network) -> Network:
    """Force to zero, in a copy of `model`, the outputs of the units that `pruned` lacks.

    Units are recognised by their bias, or by the beta of the batch norm after them: every one is different.
    """
    copy, left = clone(model), dict(pruned.named_layers())
    for name, layer in copy.named_layers():
        own = "gamma" if isinstance(layer, BatchNorm2d) else "weight"
        shift = getattr(layer, "beta" if own == "gamma" else "bias", None)
        if shift is None or shift.shape == left[name].state()["beta" if own == "gamma" else "bias"].shape:
            continue
        gone = ~np.isin(shift.data, left[name].state()["beta" if own == "gamma" else "bias"])
        weight = getattr(layer, own).data
        weight[(..., gone) if isinstance(layer, Linear) else gone] = 0
        shift.data[gone] = 0
    return copy


@pytest.mark.parametrize("sparsity", [0.5, 0.99])
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("importance", ["l1", "l2"])
@pytest.mark.parametrize(
    ("arch", "args"),
    [
        ("mlp", {"hidden": [13, 9, 7]}),
        ("mlp", {"hidden": [12, 8], "activation": "tanh", "dropout": 0.2}),
        ("mlp", {"hidden": [12, 8], "activation": "gelu"}),
        ("cnn", {"width": 6, "depth": 2}),
        ("cnn", {"width": 5, "depth": 1, "dropout": 0.1}),
        ("cnn", {"width": 3, "depth": 3, "kernel_size": 5}),
        ("resnet", {"width": 4, "blocks": [1, 2]}),
        ("resnet", {"width": 3, "blocks": [1, 1, 1]}),
    ],
    ids=str,
)
def test_it_equals_the_network_with_the_removed_units_silenced(
    build: Build, images: np.ndarray, arch: str, args: dict, importance: str, scope: str, sparsity: float
) -> None:
    """What is left computes what the original does when the removed units give zero."""
    model = build(arch, **args)
    pruned = prune(model, sparsity=sparsity, importance=importance, scope=scope)
    assert pruned.parameter_count() < model.parameter_count()
    np.testing.assert_allclose(pruned.predict(images), silenced(model, pruned).predict(images), rtol=1e-4, atol=1e-5)


def test_a_unit_that_is_not_zero_at_zero_loses_its_contribution(build: Build, images: np.ndarray) -> None:
    """A removed sigmoid neuron no longer feeds 0.5 forward: the next layer reads nothing from it."""
    model = build("mlp", hidden=[10], activation="sigmoid")
    pruned = prune(model, sparsity=0.3)
    old, new = dict(model.named_layers()), dict(pruned.named_layers())
    gone = ~np.isin(old["fc1"].bias.data, new["fc1"].bias.data)
    expected = clone(model)
    dict(expected.named_layers())["fc_out"].weight.data[gone] = 0
    np.testing.assert_allclose(pruned.predict(images), expected.predict(images), rtol=1e-4, atol=1e-5)


def test_this_layer_and_the_next_really_shrink(build: Build) -> None:
    """Shapes, multiply-accumulates and stored bytes go down, batch norm and flattened features included."""
    model = build("cnn", width=8, depth=2)
    pruned, effect, _ = apply(model, Settings(sparsity=0.5), {}, 0)
    shapes = {name: {k: a.shape for k, a in layer.state().items()} for name, layer in pruned.named_layers()}
    assert shapes["conv1"]["weight"] == (4, 2, 3, 3)
    assert shapes["bn1"]["running_var"] == (4,)
    assert shapes["conv2"]["weight"] == (8, 4, 3, 3)
    assert shapes["fc_out"]["weight"] == (8 * 2 * 2, 5)
    assert effect.macs_after < 0.5 * effect.macs_before
    assert (effect.stored_bytes_before, effect.stored_bytes_after) == (stored_bytes(model), stored_bytes(pruned))
    assert not effect.simulated


@pytest.mark.parametrize(("sparsity", "left"), [(0.04, 10), (0.05, 10), (0.06, 9), (0.25, 8), (0.35, 6), (0.99, 1)])
def test_the_number_removed_is_rounded_and_one_unit_stays(build: Build, sparsity: float, left: int) -> None:
    """Of n units round(sparsity · n) go, halves to even, but never the last one."""
    pruned = prune(build("mlp", hidden=[10]), sparsity=sparsity, allow_no_effect=True)
    assert dict(pruned.named_layers())["fc1"].out_features == left


def test_the_least_important_units_go() -> None:
    """Importance is the norm of a unit's weights times the norm of the weights that read it."""
    first, second = Linear(2, 4), Linear(4, 1)
    first.weight.data[:] = [[3, 1, 2, 2], [0, 0, 0, 0]]
    second.weight.data[:] = [[1], [9], [1], [0.1]]
    first.bias.data[:] = [0, 1, 2, 3]
    pruned = prune(Network({"fc1": first, "fc_out": second}, (2,)), sparsity=0.5)
    assert pruned.layers[0].bias.data.tolist() == [0, 1]


def test_importance_counts_what_batch_norm_does_to_a_channel() -> None:
    """A channel that batch norm scales to nothing goes first, however large its filter."""
    norm = BatchNorm2d(3)
    norm.gamma.data[:] = [1, 1e-6, 1]
    conv = Conv2d(1, 3, 1)
    conv.weight.data[:, 0, 0, 0] = [1, 100, 1]
    conv.bias.data[:] = [0, 1, 2]
    out = Linear(3 * 4, 2)
    out.weight.data[:] = 1
    layers = {"conv1": conv, "bn1": norm, "relu1": ReLU(), "flatten": Flatten(), "fc_out": out}
    assert prune(Network(layers, (1, 2, 2)), sparsity=0.3).layers[0].bias.data.tolist() == [0, 2]


def test_l1_and_l2_rank_differently() -> None:
    """Many small weights have the larger l1 norm, one large weight the larger l2 norm."""
    first, second = Linear(4, 2), Linear(2, 1)
    first.weight.data[:] = np.array([[1, 1, 1, 1], [3, 0, 0, 0]]).T
    second.weight.data[:] = 1
    first.bias.data[:] = [7, 8]
    model = Network({"fc1": first, "fc_out": second}, (4,))
    assert prune(model, importance="l1").layers[0].bias.data.tolist() == [7]
    assert prune(model, importance="l2").layers[0].bias.data.tolist() == [8]


def test_global_scope_takes_more_where_units_matter_less(build: Build) -> None:
    """The same number of units goes, but from the layers with the least important ones, and none is emptied."""
    model = build("mlp", hidden=[20, 20])
    fc1 = dict(model.named_layers())["fc1"]
    fc1.weight.data[:, :15] *= 1e-3
    units = [
        layer.out_features for layer in prune(model, scope="global", sparsity=0.4).layers if isinstance(layer, Linear)
    ]
    assert sum(units[:2]) == 24
    assert units[0] < 9 < units[1]
    emptied = prune(model, scope="global", sparsity=0.99)
    assert all(layer.out_features >= 1 for layer in emptied.layers if isinstance(layer, Linear))


def test_scaling_a_whole_layer_does_not_move_the_global_ranking(build: Build) -> None:
    """Importances are compared after division by their layer's mean."""
    model = build("mlp", hidden=[20, 20])
    before = prune(model, scope="global")
    dict(model.named_layers())["fc2"].weight.data *= 1000
    after = prune(model, scope="global")
    assert [layer.config() for layer in before.layers] == [layer.config() for layer in after.layers]


def test_layers_can_have_a_sparsity_of_their_own(build: Build) -> None:
    """`per_layer` overrides the sparsity, under the global scope too; `except` leaves a layer alone."""
    model = build("mlp", hidden=[10, 10, 10])
    for scope in ("layer", "global"):
        pruned = prune(model, scope=scope, per_layer={"fc1": {"sparsity": 0.9}}, except_=("fc3",), sparsity=0.2)
        units = [layer.out_features for layer in pruned.layers if isinstance(layer, Linear)]
        assert units == [1, 8, 10, 5]


def test_the_output_layer_is_never_narrowed(build: Build) -> None:
    """Classes are not pruned: asking for nothing else is an error that says so."""
    with pytest.raises(NoEffectError, match="fc_out keeps all its units: its units are the network's outputs"):
        prune(build("mlp"), targets=("fc_out",))


def test_only_the_inner_channels_of_a_residual_shrink(build: Build) -> None:
    """Channels that are added to others keep their number, and a warning names them with the reason."""
    model = build("resnet", width=4, blocks=[1, 1])
    pruned, effect, _ = apply(model, Settings(sparsity=0.5), {}, 0)
    changed = {
        name for name, layer in model.named_layers() if layer.config() != dict(pruned.named_layers())[name].config()
    }
    assert changed == {f"block{i}.{name}" for i in (1, 2) for name in ("conv1", "bn1", "conv2")}
    assert effect.warnings == (
        "conv1 keeps all its units: its channels are added to others in block1.",
        "block1.conv2 keeps all its units: its channels are added to others at the end of block1.",
        "block2.conv2 keeps all its units: its channels are added to others at the end of block2.",
        "block2.shortcut.conv keeps all its units: its channels are added to others at the end of block2.",
    )


def test_units_that_a_layer_mixes_are_left() -> None:
    """Softmax ties units together, so what feeds it stays whole."""
    rng = np.random.default_rng(0)
    layers = {"fc1": Linear(4, 6, rng=rng), "softmax": Softmax(), "fc_out": Linear(6, 2, rng=rng)}
    with pytest.raises(NoEffectError, match=r"softmax \(Softmax\) does not keep its units apart"):
        prune(Network(layers, (4,)))


def test_units_shared_by_positions_are_left() -> None:
    """A linear layer over several positions, flattened, interleaves its units: they stay."""
    rng = np.random.default_rng(0)
    layers = {"fc1": Linear(4, 6, rng=rng), "flatten": Flatten(), "fc_out": Linear(18, 2, rng=rng)}
    with pytest.raises(NoEffectError, match=r"flatten \(Flatten\) does not keep its units apart"):
        prune(Network(layers, (3, 4)))


def test_channels_survive_pooling_and_flattening(images: np.ndarray) -> None:
    """Each channel takes all its pixels with it through a sigmoid, a pooling and a flatten."""
    rng = np.random.default_rng(0)
    layers = {
        "conv1": Conv2d(2, 4, 3, rng=rng),
        "sigmoid1": Sigmoid(),
        "pool1": AvgPool2d(2),
        "flatten": Flatten(),
        "fc_out": Linear(4 * 9, 3, rng=rng),
    }
    model = Network(layers, (2, 8, 8))
    model.layers[0].bias.data[:] = [0, 1, 2, 3]
    pruned = prune(model)
    kept = pruned.layers[0].bias.data.astype(int)
    expected = clone(model)
    gone = np.setdiff1d(np.arange(4), kept)
    expected.layers[-1].weight.data.reshape(4, 9, 3)[gone] = 0
    np.testing.assert_allclose(pruned.predict(images), expected.predict(images), rtol=1e-4, atol=1e-5)


def test_sparse_layers_shrink_with_their_masks(build: Build, images: np.ndarray) -> None:
    """Pruning units of a network whose single weights were pruned keeps the other zeros."""
    model = build("mlp", hidden=[16, 16])
    sparse, _, _ = magnitude_prune.apply(model, magnitude_prune.Settings(sparsity=0.6), {}, 0)
    pruned = prune(sparse)
    assert pruned.nonzero_count() < sparse.nonzero_count()
    assert all(not layer.weight.data[~layer.mask].any() for layer in pruned.layers if hasattr(layer, "mask"))
    assert pruned.predict(images).shape == (20, 5)


def test_a_quantized_layer_cannot_be_pruned(build: Build) -> None:
    """Pruning after quantizing is an error that says what to do."""
    quantized, _, _ = quantize.apply(build("mlp"), quantize.Settings(), {}, 0)
    with pytest.raises(TinyTorchError, match="fc1, fc_out: already quantized, cannot be pruned; put prune before"):
        prune(quantized)


def test_a_quantized_reader_cannot_lose_inputs(build: Build) -> None:
    """Leaving quantized layers out is not enough when one of them reads what would go: it is named."""
    settings = quantize.Settings(targets=("fc_out",))
    quantized, _, _ = quantize.apply(build("mlp"), settings, {}, 0)
    with pytest.raises(TinyTorchError, match="fc_out reads the units of fc1 and is already quantized"):
        prune(quantized, except_=("fc_out",))


def test_a_step_without_effect_is_an_error_unless_allowed(build: Build) -> None:
    """Rounding to no unit at all, or leaving out every layer, does not pass silently."""
    model = build("mlp", hidden=[10])
    with pytest.raises(NoEffectError, match=r"sparsity 0\.01 removed no unit"):
        prune(model, sparsity=0.01)
    with pytest.raises(NoEffectError):
        prune(model, except_=("*",))
    assert prune(model, sparsity=0.01, allow_no_effect=True).parameter_count() == model.parameter_count()


def test_unknown_targets_are_errors(build: Build) -> None:
    """A glob that matches no prunable layer is an error, also for layers without weights."""
    with pytest.raises(TargetError, match="'relu1' matches no layer"):
        prune(build("mlp"), targets=("relu1",))


def test_weights_that_are_not_finite_name_their_layer(build: Build) -> None:
    """NaN has no rank; the layer is named and the way out said."""
    model = build("mlp")
    dict(model.named_layers())["fc1"].weight.data[0, 0] = np.nan
    with pytest.raises(TinyTorchError, match=r"fc1: 1 of \d+ values are NaN or infinite, cannot be pruned"):
        prune(model)


@pytest.mark.parametrize("array", ["gamma", "running_var"])
def test_batch_norms_that_are_not_finite_are_named(build: Build, array: str) -> None:
    """A channel's importance depends on its batch norm; NaN there must not decide what goes."""
    model = build("cnn")
    state = dict(model.named_layers())["bn1"].state()
    state[array][1] = np.nan
    with pytest.raises(TinyTorchError, match=r"bn1: 1 of 16 values are NaN.*together with conv1"):
        prune(model, sparsity=0.5)


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_layer_that_keeps_its_last_unit_is_reported(build: Build, scope: str) -> None:
    """What was asked for and what was reached, in numbers; a sparsity that is reached needs no words."""
    model = build("mlp", hidden=[20, 10])
    warnings = apply(model, Settings(sparsity=0.99, scope=scope), {}, 0)[1].warnings
    assert [warning.split(" ")[0] for warning in warnings] == ["fc1", "fc2"]
    assert "one of its 20 units" in warnings[0]
    assert warnings[0].endswith("sparsity 0.95, 0.99 asked for.")
    assert apply(model, Settings(sparsity=0.5), {}, 0)[1].warnings == ()


def test_choosing_no_layer_is_said_as_it_is(build: Build) -> None:
    """With everything left out the reason is not a lack of units."""
    with pytest.raises(NoEffectError, match="removed no unit: no layer was chosen"):
        prune(build("mlp"), except_=("*",))
