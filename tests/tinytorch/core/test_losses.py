"""Losses against their formulas in float64, and what they refuse."""

import numpy as np
import pytest

from tinytorch.core.losses import (
    BinaryCrossEntropyLoss,
    CrossEntropyLoss,
    DistillationBackward,
    MSELoss,
    log_softmax,
)
from tinytorch.core.tensor import Tensor

LOGITS = np.array([[1.0, 2.0, 0.5], [-1.0, 0.0, 3.0]])


def exact_log_softmax(x):
    """Compute log softmax in float64 over the last axis."""
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def test_log_softmax():
    """Agrees with the formula along either axis, and survives large values."""
    np.testing.assert_allclose(log_softmax(Tensor(LOGITS)).data, exact_log_softmax(LOGITS), rtol=1e-5)
    np.testing.assert_allclose(log_softmax(Tensor(LOGITS), dim=0).data, exact_log_softmax(LOGITS.T).T, rtol=1e-5)
    np.testing.assert_array_equal(log_softmax(Tensor([[1000.0, 0.0]])).data, [[0, -1000]])


def test_cross_entropy():
    """The mean negative log-probability of the target class, as a 0-d tensor; ids as a tensor, array or list."""
    expected = -exact_log_softmax(LOGITS)[[0, 1], [2, 0]].mean()
    for targets in (Tensor([2, 0]), np.array([2, 0]), [2, 0]):
        loss = CrossEntropyLoss()(Tensor(LOGITS), targets)
        assert loss.shape == ()
        assert float(loss.data) == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_cross_entropy_of_extreme_logits():
    """Large logits neither overflow nor lose the loss; a class ruled out by -inf costs nothing, and has no gradient."""
    logits = Tensor([[1e4, -1e4, 0.0], [2.0, 1.0, -np.inf]], requires_grad=True)
    loss = CrossEntropyLoss()(logits, [1, 0])
    assert float(loss.data) == pytest.approx((2e4 + np.log1p(np.exp(-1.0))) / 2, rel=1e-6)
    loss.backward()
    expected = np.array([[1, -1, 0], [1 / (1 + np.exp(-1)) - 1, 1 / (1 + np.e), 0]]) / 2
    np.testing.assert_allclose(logits.grad, expected, rtol=1e-5)


def test_label_smoothing_mixes_with_the_uniform_distribution():
    """Smoothing s gives (1-s)·loss + s·(mean over classes)."""
    log_p = exact_log_softmax(LOGITS)
    expected = -(0.9 * log_p[[0, 1], [2, 0]].mean() + 0.1 * log_p.mean())
    assert float(CrossEntropyLoss(0.1)(Tensor(LOGITS), [2, 0]).data) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="label_smoothing"):
        CrossEntropyLoss(1.0)


@pytest.mark.parametrize("targets", [[0], [0, 3], [-1, 0], [0.5, 1], [[0, 1], [1, 0]]])
def test_cross_entropy_refuses_targets_that_are_no_class_ids(targets):
    """Another count, out of range, fractions and one-hot rows."""
    with pytest.raises(ValueError, match=r"class id"):
        CrossEntropyLoss()(Tensor(LOGITS), targets)


def test_squared_error():
    """The mean of squared differences."""
    loss = MSELoss()(Tensor([[1.0, 2.0]]), Tensor([[0.0, 4.0]]))
    assert (loss.shape, float(loss.data)) == ((), 2.5)


def test_binary_cross_entropy():
    """The mean log-likelihood; certain and wrong predictions stay finite through ε."""
    loss = BinaryCrossEntropyLoss()(Tensor([0.9, 0.2]), Tensor([1.0, 0.0]))
    assert float(loss.data) == pytest.approx(-(np.log(0.9) + np.log(0.8)) / 2, rel=1e-6)
    worst = BinaryCrossEntropyLoss()(Tensor([0.0, 1.0]), Tensor([1.0, 0.0]))
    assert float(worst.data) == pytest.approx(-np.log(1e-7), rel=0.02)


@pytest.mark.parametrize("loss", [MSELoss(), BinaryCrossEntropyLoss()])
def test_elementwise_losses_name_both_shapes(loss):
    """Shapes that would silently broadcast are refused."""
    with pytest.raises(ValueError, match=r"\(3, 1\).*\(3,\)"):
        loss(Tensor(np.ones((3, 1))), Tensor(np.ones(3)))


def test_losses_have_no_parameters():
    """The course asks every module for its parameters."""
    assert [loss.parameters() for loss in (MSELoss(), CrossEntropyLoss(), BinaryCrossEntropyLoss())] == [[], [], []]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_distillation_is_the_divergence_from_the_teacher(temperature):
    """T² times KL(teacher || student) at temperature T, in float64; its gradient is checked numerically."""
    teacher, step = np.array([[0.3, -1.0, 2.0], [1.0, 1.5, -2.0]]), 1e-6

    def exact(logits):
        log_q, log_p = exact_log_softmax(logits / temperature), exact_log_softmax(teacher / temperature)
        return temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=-1).mean()

    function = DistillationBackward(None, None, temperature=temperature)
    assert float(function.forward(LOGITS, teacher)) == pytest.approx(exact(LOGITS), rel=1e-9)
    found = function.backward(np.float64(1.0))[0]
    for place in np.ndindex(LOGITS.shape):
        moved = np.zeros_like(LOGITS)
        moved[place] = step
        slope = (exact(LOGITS + moved) - exact(LOGITS - moved)) / (2 * step)
        assert found[place] == pytest.approx(slope, abs=1e-7)
    assert float(DistillationBackward.run(Tensor(teacher), Tensor(teacher)).data) == pytest.approx(0, abs=1e-6)
