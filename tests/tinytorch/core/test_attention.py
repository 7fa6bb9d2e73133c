"""Attention, its op and its masks; layer normalization."""

import numpy as np
import pytest

from tinytorch.core.attention import (
    AttentionBackward,
    CachedAttention,
    MultiHeadAttention,
    causal,
    scaled_dot_product_attention,
)
from tinytorch.core.kv_cache import KVCache
from tinytorch.core.layer_norm import LayerNorm, LayerNormBackward
from tinytorch.core.tensor import Tensor
from tinytorch.core.transformers import create_causal_mask
from tinytorch.errors import ModelFileError
from tinytorch.kernels.transformer import layer_norm


def exact_attention(q, k, v, mask=None):
    """Compute attention and its weights in float64."""
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True)) * (1 if mask is None else mask)
    sums = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(sums, sums, 1)
    return weights @ v, weights


def test_layer_norm_gradients(check_op, rng):
    """Over one axis and over two."""
    check_op(LayerNormBackward, rng.normal(size=(2, 3, 4)), rng.normal(size=4), rng.normal(size=4), eps=1e-5)
    check_op(LayerNormBackward, rng.normal(size=(3, 2, 4)), rng.normal(size=(2, 4)), rng.normal(size=(2, 4)), eps=1e-5)


def test_layer_norm_agrees_with_the_kernel_oracle(rng):
    """Mean 0 and variance 1 before gain and shift."""
    layer, x = LayerNorm(5), rng.normal(size=(2, 3, 5))
    layer.gamma.data, layer.beta.data = rng.normal(size=5), rng.normal(size=5)
    expected = layer_norm(x, layer.gamma.data, layer.beta.data, 1e-5)
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-5, atol=1e-6)
    again = LayerNorm.from_state(layer.config(), layer.state())
    np.testing.assert_array_equal(again(Tensor(x)).data, layer(Tensor(x)).data)
    with pytest.raises(ValueError, match=r"last axes must be \(5,\)"):
        layer(Tensor(np.zeros((2, 4))))
    with pytest.raises(ModelFileError):
        LayerNorm.from_state({"normalized_shape": [0]}, layer.state())


@pytest.mark.parametrize("mask", [None, "causal", "blocked row"])
def test_attention_gradients(check_op, rng, mask):
    """In queries, keys and values; through masks, also where a query may read nothing."""
    may_read = {None: None, "causal": causal(3), "blocked row": causal(3) & np.array([[1], [0], [1]], bool)}[mask]
    arrays = [rng.normal(size=(2, 2, 3, 4)) for _ in range(3)]
    out = check_op(AttentionBackward, *arrays, mask=may_read)
    np.testing.assert_allclose(out, exact_attention(*arrays, may_read)[0], atol=1e-12)


@pytest.mark.parametrize("mask", [None, create_causal_mask(3), np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0]])])
def test_attention_and_its_weights(rng, mask):
    """1 attends, 0 blocks; weights sum to 1, or are zeros where nothing may be read."""
    q, k, v = (rng.normal(size=(2, 3, 4)) for _ in range(3))
    plain = None if mask is None else np.asarray(mask)
    out, weights = scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), mask)
    expected = exact_attention(q, k, v, plain)
    np.testing.assert_allclose(out.data, expected[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weights.data, expected[1], rtol=1e-4, atol=1e-6)


def test_attention_differentiates_through_its_parts(check_graph, rng):
    """The composed form has the gradient of the formula, causal mask included."""
    mask = causal(3).astype(float)
    check_graph(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, mask)[0],
        *(rng.normal(size=(2, 3, 4)) for _ in range(3)),
        on_arrays=lambda q, k, v: exact_attention(q, k, v, mask)[0],
    )


def test_attention_names_both_shapes():
    """Queries and keys of another size, keys and values of another number, and masks that do not fit."""
    q, k = Tensor(np.zeros((2, 3, 4))), Tensor(np.zeros((2, 3, 5)))
    with pytest.raises(ValueError, match=r"\(2, 3, 4\), \(2, 3, 5\)"):
        scaled_dot_product_attention(q, k, k)
    with pytest.raises(ValueError, match=r"mask has shape \(2, 2\).*scores have \(2, 3, 3\)"):
        scaled_dot_product_attention(q, q, q, np.ones((2, 2)))


@pytest.mark.parametrize("shape", [(3, 3), (1, 3, 3), (2, 3, 3), (2, 1, 3, 3), (2, 2, 3, 3)])
def test_heads_see_what_the_mask_allows(rng, shape):
    """A mask of any of the shapes gives the attention of each head on its own part of the projections."""
    layer = MultiHeadAttention(4, 2, rng=rng)
    x, mask = rng.normal(size=(2, 3, 4)), np.maximum(rng.integers(0, 2, shape), np.eye(3, dtype=int))
    q, k, v = (x @ p.weight.data + p.bias.data for p in (layer.q_proj, layer.k_proj, layer.v_proj))
    by_head = mask[:, None] if mask.ndim == 3 else mask
    masks = np.broadcast_to(by_head, (2, 2, 3, 3))
    parts = [
        exact_attention(*(a[..., 2 * h : 2 * h + 2] for a in (q, k, v)), masks[:, h].astype(float))[0] for h in (0, 1)
    ]
    expected = np.concatenate(parts, axis=-1) @ layer.out_proj.weight.data + layer.out_proj.bias.data
    np.testing.assert_allclose(layer(Tensor(x), Tensor(mask)).data, expected, rtol=1e-4, atol=1e-6)
    assert (layer.head_dim, len(layer.parameters()), layer.macs((3, 4))) == (2, 8, 4 * 3 * 16 + 2 * 9 * 4)


def test_heads_must_divide_the_width():
    """Both numbers are named, and so is a wrong input."""
    with pytest.raises(ValueError, match="embed_dim=10 and num_heads=3"):
        MultiHeadAttention(10, 3)
    with pytest.raises(ValueError, match=r"got an input of shape \(3, 4\)"):
        MultiHeadAttention(4, 2)(Tensor(np.zeros((3, 4))))


@pytest.mark.parametrize("steps", [(1, 1, 1, 1, 1), (3, 2), (2, 1, 2)])
def test_cached_attention_continues(rng, steps):
    """Fed in parts, a cached layer gives what causal attention gives for the whole."""
    layer, x = MultiHeadAttention(6, 2, rng=rng), rng.normal(size=(2, 5, 6))
    whole = layer(Tensor(x), create_causal_mask(5)).data
    cached = CachedAttention(layer, KVCache(2, 5, 1, 2, 3), 0)
    np.testing.assert_allclose(cached(Tensor(x), create_causal_mask(5)).data, whole, rtol=1e-6)
    with cached.cache.generation() as cache:
        for start, count in zip(np.cumsum([0, *steps[:-1]]), steps, strict=True):
            out = cached(Tensor(x[:, start : start + count])).data
            cache.advance(count)
            np.testing.assert_allclose(out, whole[:, start : start + count], rtol=1e-5, atol=1e-6)
    assert cached.parameters() == layer.parameters()
