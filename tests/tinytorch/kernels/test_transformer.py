"""The NumPy reference of softmax, layer norm and attention, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.core.activations import SoftmaxBackward
from tinytorch.core.tensor import Tensor
from tinytorch.kernels import transformer

RNG = np.random.default_rng(11)


def test_softmax_is_the_layers() -> None:
    """The kernel and the layer of the same name compute the same numbers."""
    x = RNG.standard_normal((3, 7)).astype(np.float32)
    np.testing.assert_array_equal(transformer.softmax(x), SoftmaxBackward.run(Tensor(x)).data)


def test_a_layer_norm_has_the_gain_as_deviation_and_the_bias_as_mean() -> None:
    """Each row ends with the mean and the standard deviation that it was given."""
    x = RNG.standard_normal((4, 1000)) * 7 + 30
    out = transformer.layer_norm(x, np.full(1000, 2.0), np.full(1000, -1.0), eps=0.0)
    np.testing.assert_allclose(out.mean(axis=1), -1, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=1), 2, rtol=1e-12)


def test_eps_keeps_a_constant_row_finite() -> None:
    """A row without a variance becomes the bias."""
    out = transformer.layer_norm(np.full((1, 5), 3.0), np.ones(5), np.arange(5.0), eps=1e-5)
    np.testing.assert_array_equal(out, [np.arange(5.0)])


def test_decoding_step_by_step_is_causal_attention() -> None:
    """Steps over a cache give, row for row, what attention over the whole sequence with a causal mask gives."""
    length, d = 6, 8
    q, k, v = RNG.standard_normal((3, 2, 3, length, d))
    scores = np.where(np.tri(length, dtype=bool), q @ k.swapaxes(2, 3) / np.sqrt(d), -np.inf)
    whole = transformer.softmax(scores) @ v
    caches = (np.full((2, 3, length, d), np.nan), np.full((2, 3, length, d), np.nan))
    for t in range(length):
        step = transformer.attention_decode(q[:, :, t], k[:, :, t], v[:, :, t], caches, t)
        np.testing.assert_allclose(step, whole[:, :, t], rtol=1e-12)


@pytest.mark.parametrize("position", [-1, 4])
def test_a_position_outside_of_the_cache_is_refused(position: int) -> None:
    """The message says how much the cache holds."""
    one, cache = np.zeros((1, 1, 2)), np.zeros((1, 1, 4, 2))
    with pytest.raises(IndexError, match=f"position {position} is outside of a cache for 4"):
        transformer.attention_decode(one, one, one, (cache, cache.copy()), position)
