"""A numerical gradient check shared by the tests of the core modules."""

import numpy as np
import pytest

STEP = 1e-6


def central_differences(value, arrays, position):
    """Return d value(*arrays) / d arrays[position], one entry at a time, in float64."""
    grad = np.zeros_like(arrays[position])
    for index in np.ndindex(grad.shape):
        sides = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[position][index] += sign * STEP
            sides.append(value(*moved))
        grad[index] = (sides[0] - sides[1]) / (2 * STEP)
    return grad


@pytest.fixture
def rng():
    """Return a seeded generator."""
    return np.random.default_rng(3)


@pytest.fixture
def check_op(rng):
    """Return a function that compares an op's derivative with central differences, both in float64."""

    def check(op, *arrays, wanted=None, **params):
        arrays = [np.asarray(a, np.float64) for a in arrays]
        wanted = range(len(arrays)) if wanted is None else wanted

        def make():
            function = op(*[None] * len(arrays), **params)
            function.needs = tuple(i in wanted for i in range(len(arrays)))
            return function

        function = make()
        out = function.forward(*arrays)
        seed = rng.normal(size=out.shape)
        grads = function.backward(seed)
        for i in wanted:
            numeric = central_differences(lambda *a: float(np.sum(seed * make().forward(*a))), arrays, i)
            assert grads[i].shape == arrays[i].shape
            np.testing.assert_allclose(grads[i], numeric, rtol=1e-5, atol=1e-6)
        return out

    return check


@pytest.fixture
def check_graph():
    """Return a function that compares Tensor gradients with central differences of the same formula on arrays."""

    def check(formula, *arrays, on_arrays=None):
        from tinytorch.core.tensor import Tensor

        tensors = [Tensor(a, requires_grad=True) for a in arrays]
        formula(*tensors).sum().backward()
        exact = [np.asarray(t.data, np.float64) for t in tensors]
        plain = on_arrays or formula
        for i, tensor in enumerate(tensors):
            numeric = central_differences(lambda *a: float(np.sum(plain(*a))), exact, i)
            np.testing.assert_allclose(tensor.grad, numeric, rtol=2e-4, atol=2e-5)

    return check
