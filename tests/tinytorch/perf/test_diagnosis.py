"""Each thing that hinders learning, made on purpose, is found and named; a healthy model is left in peace."""

import json

import numpy as np
import pytest

from tinytorch.core.activations import ReLU, Sigmoid, Tanh
from tinytorch.core.layers import Dropout, Linear, Sequential
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.optimizers import SGD, Adam
from tinytorch.core.spatial import BatchNorm2d, Conv2d, Flatten
from tinytorch.core.tensor import Tensor
from tinytorch.core.transformers import GPT
from tinytorch.olympics import SimpleMLP
from tinytorch.perf.diagnosis import (
    activation_statistics,
    diagnose,
    diagnose_losses,
    gradient_norms,
    learning_rate_range,
)


@pytest.fixture
def rng():
    """Return a seeded generator."""
    return np.random.default_rng(3)


@pytest.fixture
def batch(rng):
    """Return 64 samples of ten features with their three classes."""
    x = rng.normal(size=(64, 10))
    return Tensor(x), x[:, :3].argmax(axis=1)


def mlp(rng, activation=ReLU, depth=1, width=20):
    """Return a network of `depth` hidden layers."""
    layers = [Linear(10, width, rng=rng), activation()]
    for _ in range(depth - 1):
        layers += [Linear(width, width, rng=rng), activation()]
    return Sequential(*layers, Linear(width, 3, rng=rng))


def kinds(model, batch, optimizer=None):
    """Return what is found."""
    return [finding.kind for finding in diagnose(model, *batch, CrossEntropyLoss(), optimizer).findings]


@pytest.mark.parametrize("make", [SGD, Adam])
def test_a_healthy_model_has_nothing(rng, batch, make):
    """No finding, one line for each layer and parameter, and JSON of all of it."""
    model = mlp(rng)
    found = diagnose(model, *batch, CrossEntropyLoss(), make(model.parameters(), lr=0.001))
    assert found.findings == ()
    assert [a.layer for a in found.activations] == ["0", "1", "2"]
    assert [g.parameter for g in found.gradients] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert json.loads(json.dumps(found.to_dict()))["activations"][1]["kind"] == "ReLU"
    assert str(found).splitlines()[-1] == "nothing found"


def test_statistics_are_those_of_the_outputs(rng):
    """Mean, deviation, zeros and dead channels, counted by hand."""
    model = Sequential(Conv2d(1, 3, 3, rng=rng), ReLU(), Flatten(), Linear(27, 2, rng=rng))
    model.layers[0].bias.data[1] = -100
    x = Tensor(rng.normal(size=(4, 1, 5, 5)))
    relu = activation_statistics(model, x)[1]
    values = np.maximum(model.layers[0](x).data, 0)
    assert (relu.dead_units, relu.units, relu.shape) == (1, 3, (4, 3, 3, 3))
    assert (relu.mean, relu.zeros) == (pytest.approx(values.mean()), pytest.approx((values == 0).mean()))


def test_dead_units(rng, batch):
    """A bias far below zero kills a ReLU."""
    model = mlp(rng)
    model.layers[0].bias.data[:15] = -50
    finding = diagnose(model, *batch, CrossEntropyLoss()).findings[0]
    assert (finding.kind, finding.where) == ("dead_units", "1")
    assert "15 of 20 units" in str(finding)


@pytest.mark.parametrize("activation", [Tanh, Sigmoid])
def test_saturation(rng, batch, activation):
    """Weights that are far too large."""
    model = mlp(rng, activation)
    model.layers[0].weight.data *= 100
    assert "saturated" in kinds(model, batch)


def test_vanishing_gradients(rng, batch):
    """Eight layers of sigmoids."""
    found = diagnose(mlp(rng, Sigmoid, depth=8), *batch, CrossEntropyLoss()).findings
    assert [(f.kind, f.where) for f in found] == [("vanishing_gradients", "0.weight")]
    assert "16.weight" in found[0].message


def test_exploding_gradients(rng, batch):
    """Weights three times as large as they should be, ten layers of them."""
    model = mlp(rng, depth=10)
    for layer in model.layers[::2]:
        layer.weight.data *= 6
    assert "exploding_gradients" in kinds(model, batch)


def test_a_parameter_without_gradient(rng, batch):
    """A layer that forward does not use is named."""

    class Forgetful(SimpleMLP):
        def forward(self, x):
            return self.fc2(Tensor(self.relu(self.fc1(x)).data))

    model = Forgetful()
    model.fc1, model.fc2 = Linear(10, 20, rng=rng), Linear(20, 3, rng=rng)
    found = diagnose(model, *batch, CrossEntropyLoss()).findings
    assert [(f.kind, f.where) for f in found] == [("no_gradient", "fc1.weight"), ("no_gradient", "fc1.bias")]


def test_the_first_layer_that_is_not_finite(rng, batch):
    """NaN in a weight is traced to its layer, and nothing else is said."""
    model = mlp(rng, depth=3)
    model.layers[2].weight.data[0, 0] = np.nan
    found = diagnose(model, *batch, CrossEntropyLoss()).findings
    assert [(f.kind, f.where) for f in found] == [("not_finite", "2")]


@pytest.mark.parametrize("make", [SGD, Adam])
@pytest.mark.parametrize(("lr", "kind"), [(100.0, "rate_too_high"), (1e-9, "rate_too_low")])
def test_a_bad_rate(rng, batch, make, lr, kind):
    """The suggestion is a rate that is fine."""
    model = mlp(rng)
    optimizer = make(model.parameters(), lr=lr)
    (finding,) = diagnose(model, *batch, CrossEntropyLoss(), optimizer).findings
    assert finding.kind == kind
    optimizer.lr = float(finding.suggestion.partition("lr=")[2].partition(":")[0])
    assert kinds(model, batch, optimizer) == []


def test_nothing_is_changed(rng):
    """Weights, gradients, statistics, random generators and the forward methods."""
    own = np.random.default_rng(1)
    model = Sequential(Conv2d(1, 2, 3, rng=rng), BatchNorm2d(2), Dropout(0.5, rng=own), Flatten(), Linear(18, 2))
    batch = Tensor(rng.normal(size=(4, 1, 5, 5))), np.array([0, 1, 0, 1])
    model.layers[0].weight.grad = np.ones(model.layers[0].weight.shape, np.float32)

    def facts():
        arrays = [array.tobytes() for layer in model.layers for array in layer.state().values()]
        return arrays, own.bit_generator.state, [None if p.grad is None else p.grad.sum() for p in model.parameters()]

    before = facts()
    diagnose(model, *batch, CrossEntropyLoss())
    learning_rate_range(model, [batch], CrossEntropyLoss(), steps=5)
    activation_statistics(model, batch[0])
    assert facts() == before
    assert not any("forward" in vars(layer) for layer in model.layers)


def test_a_transformer_is_named_through(rng):
    """Layers in lists and blocks have dotted names."""
    model = GPT(5, 8, 2, 2, rng=rng)
    CrossEntropyLoss()(model([[1, 2, 3]]), [[2, 3, 4]]).backward()
    names = {g.parameter for g in gradient_norms(model)}
    assert {"embedding_layer.token_embedding.weight", "blocks.1.attention.q_proj.bias", "lm_head.weight"} <= names
    assert not any(name.startswith("parameter") for name in names)


def test_gradients_before_backward_are_none(rng):
    """A norm that there is not is None, not 0."""
    assert gradient_norms(Linear(2, 2, rng=rng))[0].norm is None


@pytest.mark.parametrize(
    ("losses", "kind"),
    [
        (np.linspace(2, 0.5, 20), None),
        (np.linspace(2, 3, 20), "diverging"),
        ([*np.linspace(2, 1, 10), np.nan, np.nan], "diverged"),
        ([2.0] * 20, "flat"),
        ([1.0, 2.0] * 12, "restless"),
    ],
)
def test_losses_tell_the_rate(losses, kind):
    """Rising, jumping, flat and broken courses; a falling one is fine."""
    assert [finding.kind for finding in diagnose_losses(losses, lr=0.1)] == ([] if kind is None else [kind])


def test_too_few_losses():
    """Seven are no course."""
    with pytest.raises(ValueError, match="at least 8"):
        diagnose_losses([1.0] * 7)


def test_the_range_test_finds_a_rate_that_learns(rng, batch):
    """Training with it lowers the loss; for labels that nothing predicts, on a model without effect, there is none."""
    model = mlp(rng)
    rate, tried = learning_rate_range(model, [batch], CrossEntropyLoss())
    assert 1e-4 < rate < 0.3
    assert tried[0][0] == pytest.approx(1e-6)
    dead = mlp(rng)
    dead.layers[0].bias.data[:] = -1e6
    assert learning_rate_range(dead, [(batch[0], np.arange(64) % 2)], CrossEntropyLoss(), high=1e-5)[0] is None
    with pytest.raises(ValueError, match="no batch"):
        learning_rate_range(model, [], CrossEntropyLoss())


def test_errors_name_the_layer_and_both_shapes():
    """Where in a Sequential, what it got, and what it needs."""
    model = Sequential(Linear(4, 5), Sequential(ReLU(), Linear(6, 2)))
    with pytest.raises(ValueError, match=r"^1: 1: Linear\(6, 2\) got an input of shape \(3, 5\).*\(6, 2\)"):
        model(Tensor(np.ones((3, 4))))
