"""The array kernels against naive loops in float64, over kernels, strides, paddings and layouts."""

import itertools

import numpy as np
import pytest

from tinytorch.kernels import reference

WINDOWS = [
    # kernel, stride, padding
    ((1, 1), (1, 1), (0, 0)),
    ((3, 3), (1, 1), (1, 1)),
    ((3, 3), (2, 2), (1, 1)),
    ((2, 3), (1, 2), (0, 1)),
    ((3, 2), (3, 1), (2, 0)),
    ((1, 1), (2, 2), (0, 0)),
    ((4, 4), (1, 1), (2, 1)),
    ((3, 3), (1, 1), (4, 4)),
]


def naive_windows(x, kernel, stride, padding, fill):
    """Yield (row, column, window) over an image batch padded with `fill`."""
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    height = (padded.shape[2] - kh) // sh + 1
    width = (padded.shape[3] - kw) // sw + 1
    for i, j in itertools.product(range(height), range(width)):
        yield i, j, padded[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw]


def naive_conv(x, weight, bias, stride, padding):
    """Cross-correlate one output pixel at a time."""
    pixels = {
        (i, j): np.tensordot(window, weight, axes=([1, 2, 3], [1, 2, 3])) + bias
        for i, j, window in naive_windows(x, weight.shape[2:], stride, padding, 0.0)
    }
    height, width = (1 + max(axis) for axis in zip(*pixels, strict=True))
    return np.array([[pixels[i, j] for j in range(width)] for i in range(height)]).transpose(2, 3, 0, 1)


@pytest.fixture
def rng():
    """Return a seeded generator."""
    return np.random.default_rng(7)


@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
def test_convolution_equals_naive_loops(rng, kernel, stride, padding):
    """Every kernel, stride and padding gives what one product per pixel gives."""
    x, weight, bias = rng.normal(size=(2, 3, 7, 6)), rng.normal(size=(4, 3, *kernel)), rng.normal(size=4)
    expected = naive_conv(x, weight, bias, stride, padding)
    np.testing.assert_allclose(reference.conv2d(x, weight, bias, stride, padding), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
def test_convolution_gradients_are_its_adjoints(rng, kernel, stride, padding):
    """⟨conv(x, w), g⟩ = ⟨x, input_grad(g)⟩ = ⟨w, weight_grad(g)⟩, since convolution is linear in both."""
    x, weight = rng.normal(size=(2, 3, 7, 6)), rng.normal(size=(4, 3, *kernel))
    out = reference.conv2d(x, weight, None, stride, padding)
    g = rng.normal(size=out.shape)
    dx = reference.conv2d_input_grad(g, weight, x.shape[2:], stride, padding)
    dw = reference.conv2d_weight_grad(g, x, kernel, stride, padding)
    assert dx.shape == x.shape
    assert dw.shape == weight.shape
    np.testing.assert_allclose([np.vdot(x, dx), np.vdot(weight, dw)], np.vdot(out, g), rtol=1e-10)


@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
def test_convolution_gradients_equal_those_of_unit_probes(rng, kernel, stride, padding):
    """Each weight's gradient is the response to a kernel that is one there and zero elsewhere."""
    x = rng.normal(size=(2, 1, 5, 5))
    probes = np.eye(kernel[0] * kernel[1]).reshape(-1, 1, *kernel)
    responses = reference.conv2d(x, probes, None, stride, padding)
    g = rng.normal(size=(2, 1, *responses.shape[2:]))
    expected = np.einsum("nohw,nhw->o", responses, g[:, 0])
    np.testing.assert_allclose(reference.conv2d_weight_grad(g, x, kernel, stride, padding).ravel(), expected)


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
def test_both_convolution_gradients_at_once(rng, monkeypatch, kernel, stride, padding, block_bytes):
    """Sharing the windows of the gradient gives what the two functions give that do not, whatever the block."""
    monkeypatch.setattr(reference, "BLOCK_BYTES", block_bytes)
    x, weight = rng.normal(size=(3, 3, 7, 6)), rng.normal(size=(4, 3, *kernel))
    g = rng.normal(size=(3, 4, *reference.output_size((7, 6), kernel, stride, padding)))
    dx, dw = reference.conv2d_grads(g, x, weight, stride, padding)
    np.testing.assert_allclose(dx, reference.conv2d_input_grad(g, weight, (7, 6), stride, padding), atol=1e-12)
    np.testing.assert_allclose(dw, reference.conv2d_weight_grad(g, x, kernel, stride, padding), atol=1e-12)


def test_a_batch_larger_than_a_block_gives_the_same(rng, monkeypatch):
    """How many images are multiplied at once does not change the result."""
    x, weight = rng.normal(size=(5, 2, 6, 6)), rng.normal(size=(3, 2, 3, 3))
    whole = reference.conv2d(x, weight, None, (1, 1), (1, 1))
    whole_grad = reference.conv2d_weight_grad(whole, x, (3, 3), (1, 1), (1, 1))
    monkeypatch.setattr(reference, "BLOCK_BYTES", 1)
    np.testing.assert_allclose(reference.conv2d(x, weight, None, (1, 1), (1, 1)), whole, rtol=1e-12)
    by_image = reference.conv2d_weight_grad(whole, x, (3, 3), (1, 1), (1, 1))
    np.testing.assert_allclose(by_image, whole_grad, rtol=1e-12, atol=1e-9)


def test_the_input_layout_does_not_matter(rng):
    """Row-major NCHW and channels-last memory hold the same image."""
    x, weight = rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(2, 3, 3, 3))
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    a, b = (reference.conv2d(layout, weight, None, (1, 1), (0, 0)) for layout in (x, last))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [w for w in WINDOWS if w[2][0] * 2 <= w[0][0]])
def test_pooling_equals_naive_loops(rng, kernel, stride, padding):
    """Maximum ignores padding; the average counts it as zeros."""
    x = rng.normal(size=(2, 3, 7, 6))
    largest = reference.max_pool2d(x, kernel, stride, padding)
    average = reference.avg_pool2d(x, kernel, stride, padding)
    for i, j, window in naive_windows(x, kernel, stride, padding, -np.inf):
        np.testing.assert_array_equal(largest[:, :, i, j], window.max(axis=(2, 3)))
    for i, j, window in naive_windows(x, kernel, stride, padding, 0.0):
        np.testing.assert_allclose(average[:, :, i, j], window.mean(axis=(2, 3)), rtol=1e-12)


def test_the_first_of_equal_maxima_gets_the_gradient():
    """A constant window sends its whole gradient to its first value."""
    x = np.ones((1, 1, 2, 2))
    out = reference.max_pool2d(x, (2, 2), (2, 2), (0, 0))
    grad = reference.max_pool2d_grad(np.full((1, 1, 1, 1), 3.0), x, out, (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(grad, [[[[3.0, 0.0], [0.0, 0.0]]]])


def test_of_equal_maxima_the_upper_row_wins():
    """Row by row: a maximum at the upper right comes before one at the lower left."""
    x = np.array([[[[0.0, 1.0], [1.0, 0.0]]]])
    out = reference.max_pool2d(x, (2, 2), (2, 2), (0, 0))
    grad = reference.max_pool2d_grad(np.ones_like(out), x, out, (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(grad, [[[[0.0, 1.0], [0.0, 0.0]]]])


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [w for w in WINDOWS if w[2][0] * 2 <= w[0][0]])
def test_pooling_gradients_go_to_the_first_maximum(rng, monkeypatch, kernel, stride, padding, block_bytes):
    """Window by window, with many equal values, as a naive search finds it."""
    monkeypatch.setattr(reference, "BLOCK_BYTES", block_bytes)
    x = rng.integers(0, 3, size=(2, 3, 7, 6)).astype(float)
    out = reference.max_pool2d(x, kernel, stride, padding)
    g = rng.normal(size=out.shape)
    expected = np.zeros(np.add(x.shape, (0, 0, 2 * padding[0], 2 * padding[1])))
    for i, j, window in naive_windows(x, kernel, stride, padding, -np.inf):
        for image, channel in np.ndindex(2, 3):
            h, w = np.unravel_index(window[image, channel].argmax(), kernel)
            expected[image, channel, i * stride[0] + h, j * stride[1] + w] += g[image, channel, i, j]
    inner = expected[:, :, padding[0] : padding[0] + 7, padding[1] : padding[1] + 6]
    np.testing.assert_allclose(reference.max_pool2d_grad(g, x, out, kernel, stride, padding), inner, atol=1e-12)


def test_overlapping_windows_add_their_gradients():
    """A value that is the maximum of four windows gets all four gradients."""
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1.0
    out = reference.max_pool2d(x, (2, 2), (1, 1), (0, 0))
    grad = reference.max_pool2d_grad(np.ones_like(out), x, out, (2, 2), (1, 1), (0, 0))
    assert grad[0, 0, 1, 1] == 4.0
    assert grad.sum() == 4.0


@pytest.mark.parametrize("row_bytes", [1, 100, 1 << 18])
def test_sums_of_products_by_channel(rng, monkeypatch, row_bytes):
    """Blocks of any size give the sum over images and pixels of a·b for each channel."""
    monkeypatch.setattr(reference, "ROW_BYTES", row_bytes)
    a, b = rng.normal(size=(2, 4, 3, 5, 2))
    sums = reference.product_sums(reference.as_rows(a), reference.as_rows(b), 3)
    np.testing.assert_allclose(sums, (a * b).sum(axis=(0, 2, 3)), rtol=1e-12)


def test_results_keep_the_input_dtype(rng):
    """float32 in, float32 out, nothing widened on the way."""
    x, weight = rng.normal(size=(1, 2, 4, 4)).astype(np.float32), rng.normal(size=(2, 2, 3, 3)).astype(np.float32)
    conv = reference.conv2d(x, weight, weight[:, 0, 0, 0], (1, 1), (1, 1))
    pooled = reference.avg_pool2d(conv, (2, 2), (2, 2), (0, 0))
    assert {conv.dtype, pooled.dtype} == {np.dtype(np.float32)}
