"""What a tensor holds, how it computes, and what it says when shapes do not fit."""

import numpy as np
import pytest

from tinytorch.core.tensor import BYTES_PER_FLOAT32, KB_TO_BYTES, MB_TO_BYTES, Tensor


def test_data_is_a_float32_copy():
    """Integers and float64 become float32, and the source stays untouched."""
    source = np.arange(3)
    x = Tensor(source)
    x.data[0] = 9
    assert x.data.dtype == np.float32
    assert source[0] == 0
    assert Tensor(x).data is not x.data


def test_attributes_describe_the_data():
    """Shape, size, dtype, ndim, and the bytes held."""
    x = Tensor([[1, 2, 3], [4, 5, 6]])
    assert (x.shape, x.size, x.ndim, x.dtype) == ((2, 3), 6, 2, np.float32)
    assert x.memory_footprint() == 6 * BYTES_PER_FLOAT32
    assert x.numel() == 6
    assert (KB_TO_BYTES, MB_TO_BYTES) == (1024, 1024**2)
    assert x.numpy() is x.data
    assert (x.grad, x.requires_grad) == (None, False)


def test_assigned_data_becomes_float32():
    """A tensor is float32 whatever is assigned to it."""
    x = Tensor([1.0])
    x.data = np.arange(4.0)
    assert (x.dtype, x.shape) == (np.float32, (4,))


def test_a_list_of_tensors_is_stacked():
    """Rows given as tensors make one tensor."""
    assert Tensor([Tensor([1, 2]), Tensor([3, 4])]).shape == (2, 2)
    assert Tensor((Tensor(1), Tensor(2))).shape == (2,)


@pytest.mark.parametrize("data", ["text", [[1, 2], [3]], object(), None, {"a": 1}])
def test_data_that_is_no_block_of_numbers_is_refused(data):
    """Text, ragged lists and objects are a ValueError that names the type."""
    with pytest.raises(ValueError, match=r"rectangular block|NoneType"):
        Tensor(data)


def test_repr_and_str():
    """Repr shows data and shape, str only data."""
    assert repr(Tensor([1.0])) == "Tensor(data=[1.], shape=(1,))"
    assert str(Tensor([1.0])) == "Tensor([1.])"


def test_arithmetic_with_numbers_and_arrays_on_either_side():
    """Tensor, number or array, left or right, gives a tensor."""
    x = Tensor([2.0, 4.0])
    results = [x + 1, 1 + x, x - 1, 1 - x, x * 3, 3 * x, x / 2, 8 / x, np.array([1.0, 1.0]) + x, -x]
    expected = [[3, 5], [3, 5], [1, 3], [-1, -3], [6, 12], [6, 12], [1, 2], [4, 2], [3, 5], [-2, -4]]
    for result, values in zip(results, expected, strict=True):
        assert isinstance(result, Tensor)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result.data, values)


def test_scalars_stay_float32():
    """A 0-d tensor does not widen when it meets a Python number."""
    assert (Tensor(1.0) * 2.5 + 1).dtype == np.float32


@pytest.mark.parametrize(("a", "b"), [((2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 2, 3), (3, 4)), ((3,), (3,))])
def test_matmul_equals_numpy(a, b):
    """Matrices, stacks and vectors."""
    rng = np.random.default_rng(0)
    left, right = Tensor(rng.normal(size=a)), Tensor(rng.normal(size=b))
    np.testing.assert_array_equal((left @ right).data, left.data @ right.data)
    np.testing.assert_array_equal(left.matmul(right).data, left.data @ right.data)


def test_matmul_refuses_what_is_no_tensor():
    """A number or array on the right is a TypeError that says what to do."""
    for other in (2.0, np.eye(2)):
        with pytest.raises(TypeError, match="Tensor"):
            Tensor(np.eye(2)).matmul(other)


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 3)), ((), (3,)), ((2, 2, 3), (4, 3, 1)), ((3,), (4,))])
def test_matmul_names_both_shapes(a, b):
    """Shapes that do not fit are a ValueError with both in it."""
    with pytest.raises(ValueError, match=r"shapes") as raised:
        Tensor(np.ones(a)) @ Tensor(np.ones(b))
    assert str(a) in str(raised.value)
    assert str(b) in str(raised.value)


def test_reshape_and_view():
    """Separate numbers, a tuple, or one -1."""
    x = Tensor(np.arange(6))
    assert [t.shape for t in (x.reshape(2, 3), x.reshape((3, 2)), x.reshape(2, -1), x.view(-1, 1))] == [
        (2, 3),
        (3, 2),
        (2, 3),
        (6, 1),
    ]


@pytest.mark.parametrize("shape", [(4, 2), (-1, -1), (0, 6), (-2, 3), (4, -1)])
def test_reshape_refuses_impossible_shapes(shape):
    """Another count, two unknowns, zero, below -1, or an unknown that is no whole number."""
    with pytest.raises(ValueError, match=r"Cannot reshape \(6,\)"):
        Tensor(np.arange(6)).reshape(*shape)


def test_transpose():
    """Without axes the last two swap; with both, those."""
    x = Tensor(np.zeros((2, 3, 4)))
    assert x.transpose().shape == (2, 4, 3)
    assert x.transpose(0, 2).shape == (4, 3, 2)
    assert x.transpose(-1, 0).shape == (4, 3, 2)
    assert Tensor([1.0, 2.0]).transpose().shape == (2,)


def test_transpose_refuses_one_axis_and_missing_axes():
    """One axis says nothing; a missing one is named."""
    with pytest.raises(ValueError, match="both axes or none"):
        Tensor(np.zeros((2, 3))).transpose(0)
    with pytest.raises(ValueError, match=r"axis 5 .*\(2, 3\)"):
        Tensor(np.zeros((2, 3))).transpose(0, 5)


def test_indexing():
    """Numbers, slices, arrays and tensors select."""
    x = Tensor(np.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(x[1].data, [2, 3])
    np.testing.assert_array_equal(x[:, 1].data, [1, 3, 5])
    np.testing.assert_array_equal(x[Tensor([2, 0])].data, [[4, 5], [0, 1]])
    assert [row.shape for row in x] == [(2,)] * 3
    with pytest.raises(TypeError, match="0-dimensional"):
        iter(Tensor(1.0))


def test_reductions():
    """Sum, mean and max over an axis or all, kept or dropped."""
    x = Tensor([[1.0, 2.0], [3.0, 6.0]])
    assert [float(v.data) for v in (x.sum(), x.mean(), x.max())] == [12.0, 3.0, 6.0]
    np.testing.assert_array_equal(x.sum(axis=0).data, [4, 8])
    assert x.mean(axis=1, keepdims=True).shape == (2, 1)
    assert x.max(axis=(0, 1)).shape == ()


def test_masked_fill():
    """Where the mask is nonzero the value stands, broadcast included; gradients stop there."""
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.masked_fill(Tensor([0, 1]), -9)
    np.testing.assert_array_equal(y.data, [[1, -9], [3, -9]])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [[1, 0], [1, 0]])
    with pytest.raises(ValueError, match=r"\(3,\).*\(2, 2\)"):
        x.masked_fill(np.ones(3), 0)


def test_contiguous():
    """A contiguous tensor is returned as it is, another is laid out anew with its gradient."""
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    assert x.contiguous() is x
    y = x.transpose().contiguous()
    assert y.data.flags.c_contiguous
    y.sum().backward()
    assert x.grad.shape == (2, 3)


def test_backward_needs_a_fitting_gradient():
    """Several values need a gradient of their shape, given as a tensor or an array."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        (x * 2).backward(np.ones(3))
    (x * 2).backward(Tensor([1.0, 3.0]))
    np.testing.assert_array_equal(x.grad, [2, 6])
    assert type(x.grad) is np.ndarray


def test_backward_without_gradients_does_nothing():
    """A tensor that tracks nothing is left alone."""
    x = Tensor([1.0, 2.0])
    (x * 2).backward()
    assert x.grad is None


def test_numpy_reads_tensors():
    """np.asarray and reductions of NumPy see the values."""
    x = Tensor([1.0, 2.0])
    assert np.asarray(x).dtype == np.float32
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.allclose(x, [1.0, 2.0])
