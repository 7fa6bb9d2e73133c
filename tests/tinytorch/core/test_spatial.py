"""Image layers: the course's shapes and errors, batch-norm statistics, and a whole small network's gradients."""

import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.function import no_grad
from tinytorch.core.layers import Flatten, Linear, Sequential
from tinytorch.core.spatial import AvgPool2d, BatchNorm2d, Conv2d, MaxPool2d, SimpleCNN
from tinytorch.core.tensor import Tensor


def test_convolution_has_the_course_layout():
    """Weight (O, I, kh, kw), bias (O,), NCHW in and out, sizes as ints or pairs."""
    layer = Conv2d(3, 8, kernel_size=(3, 5), stride=2, padding=(1, 2))
    assert layer.weight.shape == (8, 3, 3, 5)
    assert layer.bias.shape == (8,)
    assert layer(Tensor(np.ones((2, 3, 8, 8)))).shape == (2, 8, 4, 4)
    assert (layer.kernel_size, layer.stride, layer.padding) == ((3, 5), 2, (1, 2))
    assert Conv2d(1, 1, 3, bias=False).parameters()[0].shape == (1, 1, 3, 3)


@pytest.mark.parametrize("layer", [Conv2d(1, 1, 3), MaxPool2d(2), AvgPool2d(2), BatchNorm2d(1)])
@pytest.mark.parametrize("shape", [(1, 5, 5), (5, 5), (1, 1, 1, 5, 5)])
def test_only_batches_of_images_are_taken(layer, shape):
    """Anything but four axes is a ValueError with the shape and the way out."""
    with pytest.raises(ValueError, match=r"batch") as raised:
        layer(Tensor(np.ones(shape)))
    assert str(shape) in str(raised.value)


def test_images_smaller_than_the_window_are_refused():
    """A window that does not fit even once is a ValueError."""
    with pytest.raises(ValueError, match=r"does not fit into images of \(2, 2\)"):
        Conv2d(1, 1, 3)(Tensor(np.ones((1, 1, 2, 2))))
    with pytest.raises(ValueError, match=r"does not fit"):
        MaxPool2d(3)(Tensor(np.ones((1, 1, 2, 2))))


@pytest.mark.parametrize("kwargs", [{"kernel_size": 0}, {"kernel_size": (3,)}, {"kernel_size": 3, "stride": 0}])
def test_senseless_sizes_are_refused(kwargs):
    """Sizes below their least, or not one or two ints."""
    with pytest.raises(ValueError, match=r"must be an int or two ints"):
        Conv2d(1, 1, **kwargs)
    with pytest.raises(ValueError, match=r"must be an int or two ints"):
        MaxPool2d(**kwargs)


def test_pooling_padding_is_limited():
    """Windows of padding alone have no maximum."""
    with pytest.raises(ValueError, match="only padding"):
        MaxPool2d(2, padding=2)


def test_pooling_values():
    """Two by two windows of a known image; the stride defaults to the window."""
    x = Tensor(np.arange(16).reshape(1, 1, 4, 4))
    np.testing.assert_array_equal(MaxPool2d(2)(x).data, [[[[5, 7], [13, 15]]]])
    np.testing.assert_array_equal(AvgPool2d(2)(x).data, [[[[2.5, 4.5], [10.5, 12.5]]]])
    assert MaxPool2d(2, stride=1)(x).shape == (1, 1, 3, 3)
    assert MaxPool2d(2).parameters() == AvgPool2d(2).parameters() == []


def test_batch_norm_normalizes_and_tracks():
    """Training output has mean 0 and variance 1 for each channel; running values move by the momentum."""
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(16, 2, 4, 4)).astype(np.float32)
    layer = BatchNorm2d(2)
    y = layer(Tensor(x)).data
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, atol=1e-3)
    np.testing.assert_allclose(layer.running_mean, 0.1 * x.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, 0.9 + 0.1 * x.var(axis=(0, 2, 3), ddof=1), rtol=1e-5)


def test_one_value_says_nothing_about_the_variance():
    """A training batch with one value for each channel gives beta, moves the mean and leaves running_var alone."""
    layer = BatchNorm2d(2)
    layer.beta.data = [1.0, -2.0]
    y = layer(Tensor(np.array([5.0, 7.0]).reshape(1, 2, 1, 1)))
    np.testing.assert_array_equal(y.data.ravel(), [1.0, -2.0])
    np.testing.assert_allclose(layer.running_mean, [0.5, 0.7], rtol=1e-6)
    np.testing.assert_array_equal(layer.running_var, [1.0, 1.0])


def test_batch_norm_evaluation_uses_the_running_values():
    """In eval mode a sample's output does not depend on its batch, with or without a graph, and nothing is tracked."""
    layer = BatchNorm2d(2)
    layer.running_mean[:] = [1.0, -1.0]
    layer.running_var[:] = [4.0, 0.25]
    assert layer.eval() is layer
    x = Tensor(np.random.default_rng(0).normal(size=(3, 2, 2, 2)))
    with_graph = layer(x)
    with no_grad():
        without = layer(x)
        alone = np.concatenate([layer(x[i : i + 1]).data for i in range(3)])
    mean, std = np.array([1.0, -1.0]), np.sqrt(np.array([4.0, 0.25]) + 1e-5)
    expected = (x.data - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(with_graph.data, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(without.data, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(alone, without.data)
    np.testing.assert_array_equal(layer.running_mean, [1.0, -1.0])
    assert layer.train() is layer


def test_batch_norm_parameters_and_names():
    """gamma and beta are trained; eps and momentum have the course's defaults."""
    layer = BatchNorm2d(3)
    assert layer.parameters() == [layer.gamma, layer.beta]
    assert (layer.eps, layer.momentum) == (1e-5, 0.1)


def test_a_whole_network_differentiates(rng):
    """Every parameter of conv, batch norm, pooling and linear agrees with finite differences of the loss."""
    model = Sequential(
        Conv2d(1, 2, 3, padding=1, rng=rng),
        BatchNorm2d(2),
        ReLU(),
        AvgPool2d(2),
        Conv2d(2, 2, 1, rng=rng),
        MaxPool2d(2),
        Flatten(),
        Linear(2, 2, rng=rng),
    )
    x = Tensor(rng.normal(size=(3, 1, 4, 4)))
    weights = Tensor(rng.normal(size=(3, 2)))
    (model(x) * weights).sum().backward()
    for p in model.parameters():
        index = tuple(0 for _ in p.shape)
        sides = []
        for step in (1e-2, -1e-2):
            p.data[index] += step
            sides.append(float((model(x) * weights).sum().data))
            p.data[index] -= step
        assert p.grad[index] == pytest.approx((sides[0] - sides[1]) / 2e-2, rel=0.05, abs=2e-3)


def test_flatten_after_convolution_is_row_major():
    """Channels-last memory inside never leaks: flattening gives channel, row, column order."""
    x = Tensor(np.random.default_rng(0).normal(size=(2, 1, 4, 4)))
    y = Conv2d(1, 3, 3)(x)
    np.testing.assert_array_equal(Flatten()(y).data, np.array(y.data, order="C").reshape(2, -1))


def test_simple_cnn():
    """The course's network maps (N, 3, 32, 32) to class scores and trains all its parameters."""
    model = SimpleCNN(num_classes=7)
    logits = model(Tensor(np.random.default_rng(0).normal(size=(2, 3, 32, 32))))
    logits.sum().backward()
    assert logits.shape == (2, 7)
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
