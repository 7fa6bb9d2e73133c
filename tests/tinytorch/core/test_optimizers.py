"""Optimizers against their published update rules in float64."""

import numpy as np
import pytest

from tinytorch.core.optimizers import SGD, Adam, AdamW, Optimizer
from tinytorch.core.tensor import Tensor

START = np.array([1.0, -2.0, 0.5])
GRADS = [np.array([0.3, -0.1, 0.0]), np.array([-0.2, 0.4, 1.0]), np.array([0.1, 0.1, 0.1])]


def run(make):
    """Feed the three gradients to an optimizer of one parameter and return its value."""
    p = Tensor(START)
    optimizer = make([p])
    for grad in GRADS:
        p.grad = grad.astype(np.float32)
        optimizer.step()
    assert optimizer.step_count == 3
    return p.data


def sgd(lr, momentum, decay):
    """Follow SGD's rule in float64."""
    p, v = START.copy(), np.zeros(3)
    for g in GRADS:
        v = momentum * v + g + decay * p
        p = p - lr * v
    return p


def adam(lr, decay, is_decoupled, betas=(0.9, 0.999), eps=1e-8):
    """Follow algorithm 1 of the Adam paper, or AdamW's, in float64."""
    p, m, v = START.copy(), np.zeros(3), np.zeros(3)
    for t, g in enumerate(GRADS, start=1):
        if is_decoupled:
            p = p - lr * decay * p
        else:
            g = g + decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        p = p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.1), (0.0, 0.1)])
def test_sgd_follows_its_rule(momentum, decay):
    """With and without momentum and weight decay."""
    got = run(lambda params: SGD(params, lr=0.1, momentum=momentum, weight_decay=decay))
    np.testing.assert_allclose(got, sgd(0.1, momentum, decay), rtol=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_follows_the_paper(decay):
    """Bias corrections and L2 decay included."""
    got = run(lambda params: Adam(params, lr=0.1, weight_decay=decay))
    np.testing.assert_allclose(got, adam(0.1, decay, is_decoupled=False), rtol=1e-5)


def test_adamw_decays_the_parameter_itself():
    """Decoupled decay, 0.01 unless given."""
    got = run(lambda params: AdamW(params, lr=0.1))
    np.testing.assert_allclose(got, adam(0.1, 0.01, is_decoupled=True), rtol=1e-5)


def test_updates_happen_in_place():
    """The parameter keeps its array, so that whoever holds it sees the update, and the gradient is left as it was."""
    for make in (SGD, Adam, AdamW):
        p = Tensor(START)
        array, optimizer = p.data, make([p])
        p.grad = GRADS[0].astype(np.float32)
        optimizer.step()
        assert p.data is array
        np.testing.assert_array_equal(p.grad, GRADS[0].astype(np.float32))


def test_an_optimizer_takes_its_parameters_over():
    """It asks for gradients, forgets old ones, and skips parameters without."""
    p = Tensor(START)
    p.grad = np.ones(3, np.float32)
    optimizer = SGD([p])
    assert (p.requires_grad, p.grad) == (True, None)
    optimizer.step()
    np.testing.assert_array_equal(p.data, START.astype(np.float32))
    p.grad = np.ones(3, np.float32)
    optimizer.zero_grad()
    assert p.grad is None


def test_momentum_state_can_be_carried_over():
    """What one optimizer saves another one continues from; a wrong count is refused."""
    p, q = Tensor(START), Tensor(START)
    first, second = SGD([p], lr=0.1, momentum=0.9), SGD([q], lr=0.1, momentum=0.9)
    p.grad = q.grad = GRADS[0].astype(np.float32)
    first.step()
    second.set_momentum_state(first.get_momentum_state())
    np.testing.assert_array_equal(second.momentum_buffers[0], first.momentum_buffers[0])
    assert second.momentum_buffers[0] is not first.momentum_buffers[0]
    with pytest.raises(ValueError, match="2 buffers"):
        second.set_momentum_state([None, None])


def test_without_momentum_there_is_no_state():
    """has_momentum tells, and the state is None."""
    assert SGD([Tensor(START)], momentum=0.5).has_momentum()
    plain = SGD([Tensor(START)])
    assert not plain.has_momentum()
    assert plain.get_momentum_state() is None
    plain.set_momentum_state([None])


def test_one_tensor_is_one_parameter():
    """A tensor without a list around it is trained itself, not its rows."""
    w = Tensor([[1.0], [2.0]])
    optimizer = SGD(w, lr=1.0)
    w.grad = np.ones((2, 1), np.float32)
    optimizer.step()
    np.testing.assert_array_equal(w.data, [[0.0], [1.0]])


def test_only_tensors_are_optimized():
    """Arrays are a TypeError; the base class has no step."""
    with pytest.raises(TypeError, match="ndarray"):
        SGD([START])
    with pytest.raises(NotImplementedError, match="Optimizer"):
        Optimizer([]).step()
