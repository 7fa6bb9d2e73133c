"""The kernels of training against the NumPy reference in float64, for every instruction set and number of threads."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.optimizers import Adam
from tinytorch.core.tensor import Tensor
from tinytorch.kernels import instructions, native, reference, training, updates
from tinytorch.kernels.calls import threads, using_threads
from tinytorch.kernels.reference import Array, Pair
from tinytorch.models import cnn

pytestmark = pytest.mark.skipif(not instructions.isas(), reason=f"no native kernels: {instructions.why_not()}")

# images N, C, H, W; outputs and kernel; stride; padding
CONVOLUTIONS = (
    ((1, 3, 32, 32), (16, 3, 3), (1, 1), (1, 1)),
    ((2, 3, 9, 7), (5, 3, 3), (2, 2), (1, 1)),
    ((3, 16, 8, 8), (33, 3, 3), (1, 1), (1, 1)),
    ((2, 9, 6, 11), (40, 1, 1), (2, 2), (0, 0)),
    ((2, 8, 5, 5), (17, 5, 3), (3, 2), (2, 0)),
    ((1, 1, 4, 4), (1, 4, 4), (1, 1), (0, 0)),
    ((2, 5, 6, 6), (7, 2, 2), (1, 3), (1, 1)),
    ((2, 4, 7, 7), (3, 1, 1), (3, 3), (3, 3)),
    ((2, 7, 20, 300), (9, 3, 3), (1, 1), (1, 1)),
    ((0, 2, 4, 4), (3, 3, 3), (1, 1), (1, 1)),
)
POOLS = (
    ((2, 2), (2, 2), (0, 0)),
    ((3, 1), (3, 1), (0, 0)),  # these cover images of 9x7, the others leave something out or overlap
    ((3, 3), (2, 2), (1, 1)),
    ((3, 3), (1, 1), (0, 0)),
    ((2, 3), (3, 1), (1, 1)),
    ((2, 2), (3, 3), (1, 1)),
)


@pytest.fixture(params=instructions.isas(), autouse=True)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use one instruction set after the other."""
    monkeypatch.setenv(native.VARIABLE, request.param)
    return str(request.param)


def images(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    count, channels, height, width = shape
    return rng.normal(size=(count, height, width, channels)).astype(np.float32).transpose(0, 3, 1, 2)


def assert_close(found: Array | None, wanted: Array | None) -> None:
    """Compare to a few roundings of the largest number."""
    assert found is not None
    assert wanted is not None
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-6 * np.abs(wanted).max(initial=1e-3))


@pytest.mark.parametrize(("shape", "kernel", "stride", "padding"), CONVOLUTIONS)
def test_a_convolution_and_its_gradients_are_those_of_the_reference(
    shape: tuple[int, ...], kernel: tuple[int, ...], stride: Pair, padding: Pair
) -> None:
    """Any channels, windows, strides and paddings, the same bits on one thread as on three."""
    rng = np.random.default_rng(0)
    outputs, kh, kw = kernel
    x, weight = images(rng, shape), images(rng, (outputs, shape[1], kh, kw))
    bias = rng.normal(size=outputs).astype(np.float32)
    x64, weight64 = x.astype(np.float64), weight.astype(np.float64)
    wanted = reference.conv2d(x64, weight64, bias.astype(np.float64), stride, padding)
    grad = images(rng, wanted.shape)
    found = []
    for count in (1, 3):
        with using_threads(count):
            out = training.conv2d(x, weight, bias, stride, padding)
            found.append((out, *training.conv2d_grads(grad, x, weight, stride, padding, (True, True))))
    out, grad_x, grad_w = found[0]
    assert_close(out, wanted)
    assert_close(grad_x, reference.conv2d_input_grad(grad.astype(np.float64), weight64, x.shape[2:], stride, padding))
    assert_close(grad_w, reference.conv2d_weight_grad(grad.astype(np.float64), x64, (kh, kw), stride, padding))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_only_the_gradients_that_are_needed_are_computed() -> None:
    """The first layer's input needs none."""
    rng = np.random.default_rng(1)
    x, weight, grad = images(rng, (2, 3, 5, 5)), images(rng, (4, 3, 3, 3)), images(rng, (2, 4, 5, 5))
    grad_x, grad_w = training.conv2d_grads(grad, x, weight, (1, 1), (1, 1), (False, True))
    assert grad_x is None
    assert grad_w is not None
    assert training.conv2d_grads(grad, x, weight, (1, 1), (1, 1), (True, False))[1] is None


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (70, 32, 16, 16), (1, 300, 3, 3), (9, 257, 7, 7), (1, 2, 1, 1)])
def test_batch_norm_and_its_gradients_are_those_of_the_reference(shape: tuple[int, ...]) -> None:
    """Also where the mean is large beside the deviation, and on any number of threads."""
    rng = np.random.default_rng(2)
    x, grad = images(rng, shape) + np.float32(50), images(rng, shape)
    gamma = rng.normal(size=shape[1]).astype(np.float32)
    x64, grad64 = x.astype(np.float64), grad.astype(np.float64)
    with using_threads(3):
        mean, var = training.batch_moments(x)
        inverse_std = 1 / np.sqrt(var + np.float32(1e-5))
        own = (x, mean, inverse_std, gamma)
        found = [training.normalize_grads(grad, *own, is_fixed=fixed, needs_x=True) for fixed in (False, True)]
    assert_close(mean, x64.mean((0, 2, 3)))
    assert_close(var, x64.var((0, 2, 3)))
    same = [a.astype(np.float64) for a in own]
    for fixed, grads in zip((False, True), found, strict=True):
        wanted = training.normalize_grads(grad64, same[0], same[1], same[2], same[3], is_fixed=fixed, needs_x=True)
        for one, other in zip(grads, wanted, strict=True):
            assert_close(one, other)
    np.testing.assert_array_equal(training.batch_moments(x), (mean, var))


def test_normalized_values_and_sums_are_those_of_the_reference() -> None:
    """Three numbers a channel, in one pass."""
    rng = np.random.default_rng(3)
    x = images(rng, (40, 20, 9, 9))
    values = rng.normal(size=(3, 20)).astype(np.float32)
    x64, (mean, factor, shift) = x.astype(np.float64), values.astype(np.float64)[:, :, None, None]
    assert_close(training.normalize(x, *values), (x64 - mean) * factor + shift)
    assert_close(training.pixel_sums(x), x64.sum((0, 2, 3)))


@pytest.mark.parametrize(("kernel", "stride", "padding"), POOLS)
def test_max_pooling_has_the_bits_of_the_reference(kernel: Pair, stride: Pair, padding: Pair) -> None:
    """The first of equal maxima gets the gradient: rounded values have many."""
    rng = np.random.default_rng(4)
    x = np.round(images(rng, (3, 19, 9, 7)))
    out, found = training.max_pool2d(x, kernel, stride, padding)
    np.testing.assert_array_equal(out, reference.max_pool2d(x, kernel, stride, padding))
    grad = np.round(images(rng, out.shape) * 8)
    wanted = reference.max_pool2d_grad(grad, x, out, kernel, stride, padding)
    np.testing.assert_array_equal(training.max_pool2d_grad(grad, x, found, kernel, stride, padding), wanted)


def test_relu_has_the_bits_of_numpy() -> None:
    """Zeros have no sign."""
    x = np.array([-0.0, 0.0, -1.0, 2.0, np.inf, -np.inf, 1e-45, -1e-45] * 9, np.float32)
    assert training.relu(x).tobytes() == np.maximum(x, np.float32(0)).tobytes()


def test_what_belongs_to_channels_may_lie_anywhere() -> None:
    """A bias that is every second number of an array is read like one that is not."""
    rng = np.random.default_rng(0)
    x, weight, apart = images(rng, (2, 3, 5, 5)), images(rng, (3, 3, 3, 3)), rng.random(6).astype(np.float32)[::2]
    for function in (
        lambda one: training.conv2d(x, weight, one, (1, 1), (0, 0)),
        lambda one: training.normalize(x, one, one.copy(), one),
    ):
        np.testing.assert_array_equal(function(apart), function(apart.copy()))


def test_a_stride_beyond_the_image_takes_no_longer() -> None:
    """There are 2**32 positions between two windows, none of which has a gradient."""
    rng = np.random.default_rng(0)
    x, weight, grad = images(rng, (1, 2, 4, 4)), images(rng, (3, 2, 2, 2)), images(rng, (1, 3, 1, 1))
    far, near = ((1 << 16, 1 << 16), (4, 4))
    found, wanted = (training.conv2d_grads(grad, x, weight, stride, (0, 0), (True, True)) for stride in (far, near))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_relu_keeps_layout_and_nan() -> None:
    """Channels-last, row-major and strided arrays; the derivative at 0 is 0."""
    x = images(np.random.default_rng(5), (2, 3, 4, 5))
    x[0, 0, 0, :3] = np.nan, 0, -0.0
    for one in (x, np.ascontiguousarray(x), x[:, ::2], np.zeros((0, 3), np.float32)):
        out = training.relu(one)
        np.testing.assert_array_equal(out, np.maximum(one, 0))
        np.testing.assert_array_equal(training.relu_grad(one, out), np.where(out > 0, one, 0))
        assert not one.flags.c_contiguous or out.strides == one.strides


@pytest.mark.parametrize("shape", [(7,), (300, 257), (8, 4, 3, 3)])
@pytest.mark.parametrize("decays", [{}, {"decay": 0.01}, {"keep": 1 - 1e-4}])
def test_an_update_has_the_bits_of_numpy(
    shape: tuple[int, ...], decays: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every operation rounds alone, in the same order: a run may change between the two."""
    rng = np.random.default_rng(6)
    one = [images(rng, shape) if len(shape) == 4 else rng.normal(size=shape).astype(np.float32) for _ in range(4)]
    one[3] = np.abs(one[3])
    other = [a.copy(order="K") for a in one]
    rates = updates.AdamRates((0.9, 0.999), 3e-9, 0.0123, **decays)
    step = partial(updates.sgd_step, rate=0.1, momentum=0.9, decay=rates.decay)
    for arrays, name in ((one, None), (other, "reference")):
        if name:
            monkeypatch.setenv(native.VARIABLE, name)
        p, grad, m, v = arrays
        updates.adam_step(p, grad, m, v, rates)
        step(p, grad, m)
        step(p, grad, None)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_threads_are_those_of_the_block_then_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer than one is an error."""
    with using_threads(7):
        assert threads() == 7
        with using_threads(2):
            assert threads() == 2
        assert threads() == 7
    with pytest.raises(ValueError, match="at least one thread, but got 0"), using_threads(0):
        pass


def test_a_training_step_has_the_same_bits_on_any_number_of_threads() -> None:
    """Convolution, batch norm, ReLU, pooling and Adam together, as a network and its optimizer call them."""
    rng = np.random.default_rng(7)
    images_, ids = rng.normal(size=(40, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, 40)
    states = []
    for count in (1, 2, 5):
        model = cnn.build((3, 16, 16), 10, np.random.default_rng(8), width=16, depth=2)
        optimizer, loss_fn = Adam(model.parameters()), CrossEntropyLoss()
        with using_threads(count):
            for _ in range(2):
                optimizer.zero_grad()
                loss_fn.forward(model.forward(Tensor(images_)), ids).backward()
                optimizer.step()
        states.append([p.data for p in model.parameters()])
    for other in states[1:]:
        for one, two in zip(states[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_threads_of_python_may_call_at_once() -> None:
    """One of them gets the helpers, the others go on alone."""
    rng = np.random.default_rng(9)
    x, weight = images(rng, (8, 16, 16, 16)), images(rng, (16, 16, 3, 3))
    wanted = training.conv2d(x, weight, None, (1, 1), (1, 1))

    def work(_: int) -> bool:
        with using_threads(3):
            return all(
                np.array_equal(training.conv2d(x, weight, None, (1, 1), (1, 1)), wanted)  # as often as they meet
                for _ in range(5)
            )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    """It would wait for ever for those of its parent."""
    rng = np.random.default_rng(10)
    x, weight = images(rng, (8, 16, 16, 16)), images(rng, (16, 16, 3, 3))
    with using_threads(3):
        wanted = training.conv2d(x, weight, None, (1, 1), (1, 1))
        child = os.fork()
        if not child:
            signal.alarm(300)
            is_same = np.array_equal(training.conv2d(x, weight, None, (1, 1), (1, 1)), wanted)
            os._exit(0 if is_same else 1)
    assert os.waitpid(child, 0)[1] == 0
