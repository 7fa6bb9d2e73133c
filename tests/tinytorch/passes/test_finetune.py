"""Training after pruning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import magnitude_prune, quantize
from tinytorch.passes.finetune import Settings, apply

Build = Callable[..., Network]


def test_it_trains_and_says_how(build: Build, train: Split) -> None:
    """Weights move, the loss falls, and every epoch is on record."""
    model = build("cnn", width=4)
    _, effect, history = apply(model, Settings(epochs=4, lr=0.01), {"train": train, "validation": train}, 0)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["validation_accuracy"] is not None
    assert [layer.name for layer in effect.layers] == ["conv1", "bn1", "conv2", "bn2", "fc_out"]
    assert effect.stored_bytes_after == effect.stored_bytes_before
    assert not effect.simulated


@pytest.mark.parametrize("arch", ["mlp", "cnn"])
def test_pruned_weights_stay_zero(build: Build, train: Split, arch: str) -> None:
    """What was pruned is still zero after training, what is left has moved."""
    pruned = magnitude_prune.apply(build(arch), magnitude_prune.Settings(sparsity=0.8), {}, 0)[0]
    tuned = apply(pruned, Settings(epochs=2, weight_decay=0.1), {"train": train}, 0)[0]
    for (_, before), (_, after) in zip(pruned.named_layers(), tuned.named_layers(), strict=True):
        if hasattr(before, "mask"):
            assert not after.weight.data[~before.mask].any()
            assert (after.weight.data != before.weight.data)[before.mask].any()
    assert tuned.nonzero_count() <= pruned.nonzero_count() + 100  # biases may leave zero


def test_a_quantized_network_cannot_be_trained(build: Build, train: Split) -> None:
    """Integers have no gradient: the layers are named and the order that works is said."""
    quantized = quantize.apply(build("mlp"), quantize.Settings(), {}, 0)[0]
    with pytest.raises(TinyTorchError, match="quantized layers fc1, fc_out; put finetune before quantize"):
        apply(quantized, Settings(), {"train": train}, 0)


def test_the_seed_decides(build: Build, train: Split) -> None:
    """Equal seeds give equal weights, different seeds another order of the samples."""
    model = build("mlp", dropout=0.2)
    first, again, other = (apply(model, Settings(epochs=1, batch_size=4), {"train": train}, s)[0] for s in (5, 5, 6))
    weights = [dict(network.named_layers())["fc1"].weight.data for network in (first, again, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()
