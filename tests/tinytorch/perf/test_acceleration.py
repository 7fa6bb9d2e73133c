"""Matrix products and the fused GELU."""

import numpy as np
import pytest

from tinytorch.core.tensor import Tensor
from tinytorch.perf.acceleration import fused_gelu, tiled_matmul, vectorized_matmul


@pytest.fixture
def rng():
    """Return a seeded generator."""
    return np.random.default_rng(3)


@pytest.mark.parametrize("tile_size", [1, 3, 64])
def test_products_agree(rng, tile_size):
    """Tiles of any size, sides that they do not divide, and gradients."""
    a, b = (Tensor(rng.normal(size=shape), requires_grad=True) for shape in ((7, 5), (5, 4)))
    expected = a.data @ b.data
    np.testing.assert_allclose(vectorized_matmul(a, b).data, expected, rtol=1e-6)
    out = tiled_matmul(a, b, tile_size)
    np.testing.assert_allclose(out.data, expected, rtol=1e-5, atol=1e-6)
    seed = rng.normal(size=out.shape).astype(np.float32)
    out.backward(seed)
    np.testing.assert_allclose(a.grad, seed @ b.data.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(b.grad, a.data.T @ seed, rtol=1e-4, atol=1e-6)


def test_products_refuse():
    """Shapes that do not fit, tiles of nothing, and what is no Tensor."""
    a = Tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 3\)"):
        tiled_matmul(a, a)
    with pytest.raises(ValueError, match="inner dimensions"):
        vectorized_matmul(a, a)
    with pytest.raises(ValueError, match="tile_size"):
        tiled_matmul(a, a.transpose(), 0)
    with pytest.raises(TypeError, match="ndarray"):
        tiled_matmul(a, np.ones((3, 2)))


def test_fused_gelu(rng):
    """The tanh form, and its derivative by central differences in float64."""
    x = np.concatenate([rng.normal(size=20) * 2, [0.0, 30.0, -30.0]])

    def exact(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    tensor = Tensor(x, requires_grad=True)
    out = fused_gelu(tensor)
    np.testing.assert_allclose(out.data, exact(x), rtol=1e-5, atol=1e-6)
    out.sum().backward()
    np.testing.assert_allclose(tensor.grad, (exact(x + 1e-6) - exact(x - 1e-6)) / 2e-6, rtol=1e-4, atol=1e-5)
