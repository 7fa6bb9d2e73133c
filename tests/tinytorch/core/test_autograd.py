"""The engine and the gradient of every op, checked numerically."""

import weakref

import numpy as np
import pytest

from tinytorch.core import autograd
from tinytorch.core.autograd import Function, enable_autograd, is_grad_enabled, no_grad
from tinytorch.core.tensor import Tensor

SHAPES = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((2, 3, 4), (3, 1)), ((), (2, 3)), ((1,), ())]


@pytest.mark.parametrize("name", ["AddBackward", "SubBackward", "MulBackward", "DivBackward"])
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_elementwise_gradients_broadcast(check_op, rng, name, a, b):
    """Sums over broadcast axes bring each gradient back to its input's shape."""
    check_op(getattr(autograd, name), rng.normal(size=a), rng.uniform(0.5, 2.0, size=b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 2)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 3, 4), (4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (4,)),
        ((4,), (4, 3)),
        ((3, 4), (4,)),
        ((2, 3, 4), (4,)),
        ((4,), (2, 4, 3)),
    ],
)
def test_matmul_gradients(check_op, rng, a, b):
    """Matrices, stacks with broadcast leading axes, and vectors on either side."""
    check_op(autograd.MatmulBackward, rng.normal(size=a), rng.normal(size=b))


@pytest.mark.parametrize("lead", [(5,), (2, 3)])
def test_linear_gradients(check_op, rng, lead):
    """The fused x·W + b differentiates in all three, for any leading axes."""
    check_op(autograd.LinearBackward, rng.normal(size=(*lead, 4)), rng.normal(size=(4, 3)), rng.normal(size=3))
    check_op(autograd.LinearBackward, rng.normal(size=(*lead, 4)), rng.normal(size=(4, 3)))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("TransposeBackward", {"dim0": 0, "dim1": 2}),
        ("PermuteBackward", {"axes": (2, 0, 1)}),
        ("PermuteBackward", {"axes": (-1, 0, 1)}),
        ("ReshapeBackward", {"original_shape": (2, 3, 4), "shape": (4, 6)}),
        ("SliceBackward", {"key": (slice(None), 1, slice(0, 4, 2))}),
        ("SliceBackward", {"key": ([0, 1, 1], 0)}),
        ("SliceBackward", {"key": np.array([1, 1, 0])}),
        ("SliceBackward", {"key": (..., None, 2)}),
        ("MaskedFillBackward", {"mask": np.arange(24).reshape(2, 3, 4) % 3 == 0, "value": -5.0}),
        ("SoftmaxBackward", {"dim": 1}),
        ("SoftmaxBackward", {"dim": -1}),
        ("LogSoftmaxBackward", {"dim": 1}),
        ("SigmoidBackward", {}),
        ("TanhBackward", {}),
        ("GELUBackward", {}),
        ("ReLUBackward", {}),
    ],
)
def test_gradients_of_ops_with_one_input(check_op, rng, name, params):
    """Rearrangements and activations differentiate."""
    check_op(getattr(autograd, name), rng.normal(size=(2, 3, 4)) + 0.01, **params)


@pytest.mark.parametrize("name", ["SumBackward", "MeanBackward", "MaxBackward"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reduction_gradients(check_op, rng, name, axis, keepdims):
    """Every axis choice, kept or dropped."""
    check_op(getattr(autograd, name), rng.normal(size=(2, 3, 4)), axis=axis, keepdims=keepdims)


def test_equal_maxima_share_the_gradient():
    """The gradient of max is split evenly, so that it sums to the incoming one."""
    x = Tensor([1.0, 3.0, 3.0], requires_grad=True)
    x.max().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.5, 0.5])


def test_embedding_gradient_adds_repeated_rows(check_op, rng):
    """A row that is looked up twice gets both gradients."""
    check_op(autograd.EmbeddingBackward, rng.normal(size=(5, 3)), indices=np.array([[0, 2], [2, 4]]))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_gradients(check_op, rng, smoothing):
    """Cross-entropy (plain and smoothed), squared error and binary cross-entropy differentiate."""
    ids = np.array([0, 2, 1])
    check_op(autograd.CrossEntropyBackward, rng.normal(size=(3, 4)), ids, wanted=[0], label_smoothing=smoothing)
    check_op(autograd.MSEBackward, rng.normal(size=(3, 2)), rng.normal(size=(3, 2)))
    check_op(autograd.BCEBackward, rng.uniform(0.1, 0.9, size=6), rng.uniform(0, 1, size=6))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((3, 3), (1, 1), (1, 1)), ((2, 3), (2, 1), (0, 1)), ((3, 3), (2, 2), (1, 1)), ((1, 1), (1, 1), (0, 0))],
)
def test_convolution_gradients(check_op, rng, kernel, stride, padding):
    """Input, weight and bias, over strides and paddings."""
    arrays = rng.normal(size=(2, 2, 5, 4)), rng.normal(size=(3, 2, *kernel)), rng.normal(size=3)
    check_op(autograd.Conv2dBackward, *arrays, stride=stride, padding=padding)
    check_op(autograd.Conv2dBackward, *arrays[:2], stride=stride, padding=padding)


@pytest.mark.parametrize("name", ["MaxPool2dBackward", "AvgPool2dBackward"])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((3, 2), (1, 1), (1, 0)), ((2, 2), (3, 3), (0, 0))],
)
def test_pooling_gradients(check_op, rng, name, kernel, stride, padding):
    """Overlapping, gapped and padded windows."""
    op = getattr(autograd, name)
    check_op(op, rng.normal(size=(2, 2, 6, 5)), kernel=kernel, stride=stride, padding=padding)


@pytest.mark.parametrize("is_fixed", [False, True])
def test_batch_norm_gradients(check_op, rng, is_fixed):
    """Through the batch's own statistics, and with fixed ones."""
    fixed = {"mean": np.array([0.5, -1.0]), "var": np.array([2.0, 0.3])} if is_fixed else {"mean": None, "var": None}
    arrays = rng.normal(size=(3, 2, 2, 3)), rng.normal(size=2), rng.normal(size=2)
    check_op(autograd.BatchNorm2dBackward, *arrays, eps=1e-5, **fixed)


def test_a_shared_node_sums_its_paths():
    """For h = x·w, z = h·h + h the derivative by w is (2h + 1)·x = 39 at x = 3, w = 2."""
    x, w = Tensor(3.0, requires_grad=True), Tensor(2.0, requires_grad=True)
    h = x * w
    (h * h + h).backward()
    assert (w.grad, x.grad, h.grad) == (39.0, 26.0, 13.0)


def test_residual_and_diamond_gradients(check_graph, rng):
    """Nodes that are used again after further layers get the sum over all routes."""

    def formula(x, w):
        h = x @ w
        y = h * x + h
        return (y * y + h / (y * y + 2.0)) - x

    check_graph(formula, rng.normal(size=(3, 3)), rng.normal(size=(3, 3)))


def test_one_tensor_in_every_place(check_graph, rng):
    """x·x, x/x', x@x and x - x with the same tensor on both sides."""
    check_graph(lambda x: x * x + x @ x - x / (x * x + 1.0) + x, rng.normal(size=(3, 3)))


def test_gradients_add_up_over_backward_calls():
    """Two passes give twice the gradient until zero_grad()."""
    w = Tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        (w * 3.0).sum().backward()
    np.testing.assert_array_equal(w.grad, [6.0, 6.0])
    w.zero_grad()
    assert w.grad is None


def test_backward_twice_needs_the_graph_kept():
    """A freed graph is a RuntimeError that changes no gradient; retain_graph keeps it."""
    w = Tensor([1.0], requires_grad=True)
    y = (w * w).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(w.grad, [4.0])
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()
    np.testing.assert_array_equal(w.grad, [4.0])


def test_a_shared_freed_part_is_an_error():
    """A second result over a part of the graph that was freed cannot be differentiated any more."""
    w = Tensor([2.0], requires_grad=True)
    h = w * w
    h.sum().backward()
    with pytest.raises(RuntimeError, match="MulBackward"):
        (h * 3.0).sum().backward()


def test_deep_graphs_need_no_recursion():
    """A chain of 20,000 operations differentiates and is released."""
    x = Tensor([1.0], requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.backward()
    np.testing.assert_array_equal(x.grad, [1.0])


def test_an_intermediate_value_is_freed_on_the_way():
    """Nobody else holds it: its memory serves the rest of the backward pass."""
    alive = []

    class Probe(Function):
        def forward(self, x):
            return x + 1

        def backward(self, grad):
            alive.append(later() is not None)
            return (grad,)

    h = Probe.apply(Tensor([1.0], requires_grad=True)) * 2
    later, loss = weakref.ref(h), h.sum()
    del h
    loss.backward()
    assert alive == [False]


def test_gradients_do_not_share_memory():
    """Writing to one tensor's gradient changes no other's, nor the seed."""
    a, b = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0], requires_grad=True)
    seed = np.ones(2, np.float32)
    (a + b).backward(seed)
    a.grad += 5.0
    np.testing.assert_array_equal(b.grad, [1.0, 1.0])
    np.testing.assert_array_equal(seed, [1.0, 1.0])


def test_only_what_asks_for_a_gradient_gets_one():
    """Constants stay without, and so does a result of constants."""
    a, b = Tensor([1.0], requires_grad=True), Tensor([2.0])
    (a * b).backward()
    assert b.grad is None
    assert (b * b)._grad_fn is None


def test_no_grad_records_nothing_and_nests():
    """Inside no_grad, nested or as a decorator, results remember nothing; afterwards they do again."""
    w = Tensor([1.0], requires_grad=True)

    @no_grad()
    def doubled():
        return w * 2.0

    with no_grad():
        with no_grad():
            assert not is_grad_enabled()
        assert (w * 2.0)._grad_fn is None
    assert is_grad_enabled()
    assert not doubled().requires_grad
    assert (w * 2.0).requires_grad


def test_no_grad_ends_with_an_exception():
    """An error inside the block turns recording on again."""
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()


def test_enable_autograd_is_harmless():
    """Course code calls it, once or often."""
    enable_autograd()
    enable_autograd(quiet=True)
    assert is_grad_enabled()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("AddBackward", lambda x: x + 1),
        ("SubBackward", lambda x: 1 - x),
        ("MulBackward", lambda x: 2 * x),
        ("DivBackward", lambda x: 1 / x),
        ("MatmulBackward", lambda x: x @ x),
        ("TransposeBackward", lambda x: x.transpose()),
        ("ReshapeBackward", lambda x: x.reshape(4)),
        ("SliceBackward", lambda x: x[0]),
        ("SumBackward", lambda x: x.sum()),
    ],
)
def test_results_name_their_operation(name, make):
    """A result carries a `_grad_fn` of the course's class name."""
    result = make(Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True))
    assert type(result._grad_fn).__name__ == name
    assert result._grad_fn.saved_tensors


def test_apply_on_an_instance_returns_gradients():
    """The course's older spelling: construct with the inputs, apply to a gradient."""
    a, b = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0], requires_grad=True)
    grad_a, grad_b = autograd.MulBackward(a, b).apply(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(grad_a, [3.0, 40.0])
    np.testing.assert_array_equal(grad_b, [1.0, 20.0])


def test_apply_on_the_class_computes():
    """The course's newer spelling: parameters go to the constructor."""
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    out = autograd.TransposeBackward.apply(x, dim0=0, dim1=1)
    assert out.shape == (2, 1)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad, [[1.0, 1.0]])


class Cube(Function):
    """x³ in the newer style."""

    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, grad):
        return (grad * 3 * self.x**2,)


class OldSquare(Function):
    """x² in the older style: only apply(grad)."""

    def apply(self, grad_output):
        (x,) = self.saved_tensors
        return (grad_output * 2 * x.data,)


def test_custom_functions_of_both_styles():
    """forward/backward subclasses run through apply; older ones are hung on a result by hand."""
    x = Tensor([2.0], requires_grad=True)
    Cube.apply(x).backward()
    np.testing.assert_array_equal(x.grad, [12.0])
    y = Tensor(x.data**2, requires_grad=True)
    y._grad_fn = OldSquare(x)
    y.backward()
    np.testing.assert_array_equal(x.grad, [16.0])


def test_a_hand_made_op_on_a_result_differentiates():
    """A stock op that course code attaches itself, without running it, still has its derivative."""
    x = Tensor([2.0, 3.0], requires_grad=True)
    y = Tensor(x.data * x.data, requires_grad=True)
    y._grad_fn = autograd.MulBackward(x, x)
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [4.0, 6.0])


class Misshapen(Function):
    """An op whose derivative has the wrong shape."""

    def forward(self, x):
        return x.sum()

    def backward(self, grad):
        return (grad,)


def test_a_gradient_of_the_wrong_shape_is_named():
    """A custom op that forgets a shape is told both."""
    with pytest.raises(ValueError, match=r"Misshapen.*\(\).*\(3,\)"):
        Misshapen.apply(Tensor([1.0, 2.0, 3.0], requires_grad=True)).backward()
