"""Token vectors and positions."""

import math

import numpy as np
import pytest

from tinytorch.core.embeddings import Embedding, EmbeddingLayer, PositionalEncoding, create_sinusoidal_embeddings
from tinytorch.core.tensor import Tensor
from tinytorch.errors import ModelFileError


def test_rows_are_looked_up(rng):
    """Any shape of ids, as tensor, array or list; a repeated row gets both gradients."""
    layer = Embedding(5, 3, rng=rng)
    for ids in (Tensor([[0, 2], [2, 4]]), np.array([[0, 2], [2, 4]]), [[0, 2], [2, 4]]):
        out = layer(ids)
        np.testing.assert_array_equal(out.data, layer.weight.data[[[0, 2], [2, 4]]])
    out.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad[:, 0], [1, 0, 2, 0, 1])
    assert layer.parameters() == [layer.weight]


@pytest.mark.parametrize("ids", [[5], [-1], [0.5], [float("nan")], [[0, 99]]])
def test_ids_that_are_not_there(ids):
    """Out of range, fractions and NaN are named with the valid range."""
    with pytest.raises(ValueError, match="the ids 0 to 4"):
        Embedding(5, 3)(ids)


def test_text_is_no_id():
    """A hint to the tokenizer instead of NumPy's message."""
    with pytest.raises(ValueError, match="tokenizer"):
        Embedding(5, 3)(["a"])


def test_learned_positions_are_added_and_learn(rng):
    """Positions get gradients, those used only; `start_pos` shifts them."""
    layer = PositionalEncoding(6, 4, rng=rng)
    x = Tensor(np.zeros((2, 3, 4)), requires_grad=True)
    out = layer(x, start_pos=1)
    np.testing.assert_array_equal(out.data[1], layer.position_embeddings.data[1:4])
    out.sum().backward()
    np.testing.assert_array_equal(layer.position_embeddings.grad[:, 0], [0, 2, 2, 2, 0, 0])
    np.testing.assert_array_equal(x.grad, 1)
    with pytest.raises(ValueError, match="3 tokens from position 4 on do not fit"):
        layer(x, start_pos=4)
    with pytest.raises(ValueError, match=r"needs \(batch, positions, 4\)"):
        layer(Tensor(np.zeros((2, 3, 5))))


@pytest.mark.parametrize("size", [4, 5])
def test_sinusoidal_positions(size):
    """The formula of the paper, odd sizes included; no gradient."""
    table = create_sinusoidal_embeddings(7, size)
    expected = [[(math.sin, math.cos)[e % 2](t / 10000 ** ((e - e % 2) / size)) for e in range(size)] for t in range(7)]
    np.testing.assert_allclose(table.data, expected, rtol=1e-5, atol=1e-6)
    assert not table.requires_grad


@pytest.mark.parametrize("kind", ["learned", "sinusoidal", None])
def test_the_layer_adds_what_it_says(rng, kind):
    """Token vectors, scaled if asked, plus the positions of this kind, for (T,) and (B, T)."""
    layer = EmbeddingLayer(9, 4, max_seq_len=8, pos_encoding=kind, scale_embeddings=True, rng=rng)
    ids = np.array([[1, 2, 3], [4, 5, 6]])
    positions = {"learned": lambda: layer.pos_encoding.position_embeddings.data, None: lambda: np.zeros((8, 4))}
    added = positions.get(kind, lambda: create_sinusoidal_embeddings(8, 4).data)()
    expected = layer.token_embedding.weight.data[ids] * 2 + added[2:5]
    np.testing.assert_allclose(layer(ids, start_pos=2).data, expected, rtol=1e-6)
    np.testing.assert_allclose(layer(Tensor(ids[0]), start_pos=2).data, expected[0], rtol=1e-6)
    np.testing.assert_array_equal(layer.position_vectors(), added)
    assert len(layer.parameters()) == (2 if kind == "learned" else 1)


def test_the_layer_refuses_what_makes_no_sense():
    """Another kind of positions, too long texts, too many axes."""
    with pytest.raises(ValueError, match="'sinusoidal' or None"):
        EmbeddingLayer(9, 4, pos_encoding="rotary")
    with pytest.raises(ValueError, match="max_seq_len=3"):
        EmbeddingLayer(9, 4, max_seq_len=2)([1, 2, 3])
    with pytest.raises(ValueError, match=r"tokens \(T,\)"):
        EmbeddingLayer(9, 4)(np.zeros((1, 2, 3)))


@pytest.mark.parametrize("make", [lambda: Embedding(5, 3), lambda: PositionalEncoding(5, 3)])
def test_state_rebuilds_the_layer(make):
    """config and state give the same layer; arrays that contradict them are refused."""
    layer = make()
    again = type(layer).from_state(layer.config(), layer.state())
    np.testing.assert_array_equal(again.parameters()[0].data, layer.parameters()[0].data)
    name = next(iter(layer.state()))
    with pytest.raises(ModelFileError, match=name):
        type(layer).from_state(layer.config(), {name: np.zeros((2, 2), np.float32)})
