"""Linear layers kept in blocks of 16 outputs and one input: zeros that stay zeros, and a small index."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.core.layers import Linear
from tinytorch.core.optimizers import AdamW
from tinytorch.core.tensor import Tensor
from tinytorch.errors import ModelFileError
from tinytorch.models.network import Network
from tinytorch.passes.narrow import narrowed
from tinytorch.runtime.block_sparse import BLOCK, BlockSparseLinear, by_block, kept_blocks
from tinytorch.serialization import dumps, loads


def layer_of(outputs: int = 40, density: float = 0.3, storage: str | None = None) -> BlockSparseLinear:
    rng = np.random.default_rng(2)
    dense = Linear(30, outputs, rng=rng)
    dense.bias.data += rng.standard_normal(outputs).astype(np.float32)
    return BlockSparseLinear(dense, rng.random((-(-outputs // BLOCK), 30)) < density, storage)


def sample() -> Tensor:
    return Tensor(np.random.default_rng(9).standard_normal((3, 30)))


def test_a_block_is_sixteen_outputs_of_one_input() -> None:
    """The weights of a removed block are zero, those of a kept one as they were; the last block may be shorter."""
    dense = Linear(2, 20, rng=np.random.default_rng(0))
    layer = BlockSparseLinear(dense, np.array([[True, False], [False, True]]))
    expected = dense.weight.data.copy()
    expected[1, :16] = 0
    expected[0, 16:] = 0
    np.testing.assert_array_equal(layer.weight.data, expected)
    assert layer.macs((2,)) == 16 + 4
    assert layer.nonzero_count() == 20


@pytest.mark.parametrize("storage", ["dense", "bitmask", "csr", "gaps", "holes"])
@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 40])
def test_every_storage_gives_the_layer_back(storage: str, outputs: int) -> None:
    """Weights, blocks and outputs survive being stored in each form, and so does the file."""
    layer = layer_of(outputs, 0.4, storage)
    again = BlockSparseLinear.from_state(layer.config(), layer.state())
    np.testing.assert_array_equal(again.blocks, layer.blocks)
    np.testing.assert_array_equal(again(sample()).data, layer(sample()).data)
    data = dumps(Network({"fc": layer}, (30,)))
    assert dumps(loads(data)) == data


@pytest.mark.parametrize(("removed", "storage"), [(0, "dense"), (3, "holes"), (1500, "bitmask"), (2900, "gaps")])
def test_the_smallest_storage_is_chosen(removed: int, storage: str) -> None:
    """An index of blocks is small, so that three of 3,000 blocks pay for it."""
    blocks = np.random.default_rng(0).permutation(3000).reshape(10, 300) >= removed
    dense = Linear(300, 160)
    layer = BlockSparseLinear(dense, blocks)
    assert layer.storage == storage
    stored = sum(array.nbytes for array in layer.state().values())
    assert stored < dense.weight.data.nbytes + 160 * 4 or not removed


def test_training_keeps_removed_blocks_at_zero() -> None:
    """With momentum and weight decay too; the others move."""
    layer = layer_of()
    before = layer.weight.data.copy()
    optimizer = AdamW(layer.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (layer(sample()) * layer(sample())).sum().backward()
        optimizer.step()
    assert not layer.weight.data[~layer.mask].any()
    assert (layer.weight.data != before)[layer.mask].all()


def test_blocks_fill_up_the_last_outputs_with_zeros() -> None:
    """What a kernel reads: (rows of blocks, inputs, 16)."""
    blocks = by_block(np.arange(34, dtype=np.float32).reshape(2, 17))
    assert blocks.shape == (2, 2, 16)
    np.testing.assert_array_equal(blocks[1, :, 0], [16, 33])
    assert not blocks[1, :, 1:].any()


def test_without_some_outputs_others_form_the_blocks() -> None:
    """Narrowing keeps every weight that is left, in as many blocks as hold one."""
    layer = layer_of(40)
    outputs = np.arange(3, 40, 2)
    narrow = narrowed(layer, np.arange(0, 30, 3), outputs)
    assert isinstance(narrow, BlockSparseLinear)
    np.testing.assert_array_equal(narrow.weight.data, layer.weight.data[::3][:, outputs])
    np.testing.assert_array_equal(narrow.blocks, kept_blocks(layer.mask[::3][:, outputs]))


def test_a_mask_of_another_shape_is_refused() -> None:
    """There is one entry for each block."""
    with pytest.raises(ValueError, match=r"bool mask of shape \(2, 3\)"):
        BlockSparseLinear(Linear(3, 20), np.ones((3, 20), bool))


@pytest.mark.parametrize("storage", ["bitmask", "csr", "gaps", "holes"])
def test_a_state_that_contradicts_the_config_is_refused(storage: str) -> None:
    """Missing arrays, other types and other sizes are errors of the model file, found before anything is allocated."""
    layer = layer_of(storage=storage)
    config, state = layer.config(), layer.state()
    values = state["weight_values"]
    for wrong_config, wrong_state in (
        ({**config, "storage": "zip"}, state),
        ({**config, "in_features": 3}, state),
        ({**config, "out_features": 2**30}, state),
        ({**config, "out_features": 41}, state),
        (config, {**state, "weight_values": values[:-1]}),
        (config, {**state, "weight_values": values.reshape(1, -1)}),
        (config, {**state, "weight_values": values.astype(np.float64)}),
        (config, {name: array for name, array in state.items() if name != "bias"}),
    ):
        with pytest.raises(ModelFileError):
            BlockSparseLinear.from_state(wrong_config, wrong_state)
