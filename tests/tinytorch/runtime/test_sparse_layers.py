"""Layers with pruned weights: zeros that stay zeros, stored without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinytorch.core.layers import Linear
from tinytorch.core.optimizers import SGD, Adam, AdamW
from tinytorch.core.spatial import Conv2d
from tinytorch.core.tensor import Tensor
from tinytorch.errors import ModelFileError
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear


def sparse_linear(density: float = 0.3, storage: str | None = None) -> SparseLinear:
    rng = np.random.default_rng(2)
    return SparseLinear(Linear(40, 30, rng=rng), rng.random((40, 30)) < density, storage)


def sparse_conv(density: float = 0.3) -> SparseConv2d:
    rng = np.random.default_rng(2)
    return SparseConv2d(Conv2d(8, 6, 3, stride=2, padding=1, rng=rng), rng.random((6, 8, 3, 3)) < density)


def sample(layer: Any) -> Tensor:
    shape = (3, 40) if isinstance(layer, SparseLinear) else (3, 8, 5, 5)
    return Tensor(np.random.default_rng(9).standard_normal(shape))


@pytest.mark.parametrize("layer", [sparse_linear(), sparse_conv()], ids=repr)
def test_it_computes_as_the_dense_layer_with_zeros(layer: Any) -> None:
    """The output is that of a dense layer whose weights outside the mask are zero."""
    assert not layer.weight.data[~layer.mask].any()
    np.testing.assert_allclose(layer(sample(layer)).data, layer.dense(sample(layer)).data, rtol=1e-6)


@pytest.mark.parametrize("layer", [sparse_linear(), sparse_conv()], ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
        lambda p: Adam(p, 0.1, weight_decay=0.1),
        lambda p: AdamW(p, 0.1),
    ],
    ids=["sgd", "adam", "adamw"],
)
def test_training_keeps_pruned_weights_at_zero(layer: Any, make: Any) -> None:
    """Under every optimizer, with momentum and weight decay, kept weights move and pruned ones do not."""
    layer = type(layer).from_state(layer.config(), layer.state())
    before = layer.weight.data.copy()
    optimizer = make(layer.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        (layer(sample(layer)) * layer(sample(layer))).sum().backward()
        optimizer.step()
    assert not layer.weight.data[~layer.mask].any()
    assert (layer.weight.data != before)[layer.mask].all()


@pytest.mark.parametrize("storage", ["dense", "bitmask", "csr", "gaps", "holes"])
def test_every_storage_gives_the_layer_back(storage: str) -> None:
    """Weights, mask and outputs survive being stored in each form."""
    layer = sparse_linear(0.2, storage)
    again = SparseLinear.from_state(layer.config(), layer.state())
    np.testing.assert_array_equal(again.mask, layer.mask)
    np.testing.assert_array_equal(again(sample(layer)).data, layer(sample(layer)).data)
    assert again.config() == layer.config()


@pytest.mark.parametrize(("density", "storage"), [(1.0, "dense"), (0.99, "holes"), (0.5, "bitmask"), (0.1, "gaps")])
def test_the_smallest_storage_is_chosen(density: float, storage: str) -> None:
    """Dense while nothing is removed, then the distances of few holes, then a bit mask, then those of few values."""
    rng = np.random.default_rng(0)
    assert SparseLinear(Linear(200, 100, rng=rng), rng.random((200, 100)) < density).storage == storage


def test_a_few_weights_in_wide_rows_are_stored_by_their_column() -> None:
    """CSR does not count the way from one to the next."""
    rng = np.random.default_rng(0)
    assert SparseLinear(Linear(4, 50_000, rng=rng), rng.random((4, 50_000)) < 0.001).storage == "csr"


def test_a_convolution_survives_storage() -> None:
    """The mask of a convolution is stored by output channel and comes back in its shape."""
    layer = sparse_conv()
    again = SparseConv2d.from_state(layer.config(), layer.state())
    np.testing.assert_array_equal(again.mask, layer.mask)
    np.testing.assert_array_equal(again(sample(layer)).data, layer(sample(layer)).data)


def test_stored_bytes_shrink_with_the_weights() -> None:
    """At a density of 30 % the arrays take 30 % of the values plus one bit a position."""
    layer = sparse_linear()
    kept = int(layer.mask.sum())
    assert sum(array.nbytes for array in layer.state().values()) == 4 * kept + 40 * 30 // 8 + 4 * 30


def test_counts_tell_all_weights_from_those_that_are_left() -> None:
    """Parameters count every position, nonzero ones what is kept (and biases)."""
    layer = sparse_linear()
    layer.dense.bias.data += 1
    assert layer.parameter_count() == 40 * 30 + 30
    assert layer.nonzero_count() == layer.mask.sum() + 30
    assert layer.macs((40,)) == 1200


def test_a_mask_of_another_shape_is_refused() -> None:
    """The mask has the weight's shape."""
    with pytest.raises(ValueError, match="mask must be bool"):
        SparseLinear(Linear(3, 2), np.ones((2, 3), bool))


def test_a_state_that_contradicts_the_config_is_refused() -> None:
    """Missing arrays, other types and other sizes are errors of the model file."""
    layer = sparse_linear()
    config, state = layer.config(), layer.state()
    for wrong_config, wrong_state in (
        ({**config, "storage": "csr"}, state),
        ({**config, "in_features": 41}, state),
        (config, {**state, "weight_mask": state["weight_mask"].astype(np.int8)}),
        (config, {**state, "weight_values": state["weight_values"].astype(np.float64)}),
        (config, {name: array for name, array in state.items() if name != "bias"}),
        (config, {**state, "more": state["bias"]}),
    ):
        with pytest.raises(ModelFileError):
            SparseLinear.from_state(wrong_config, wrong_state)
