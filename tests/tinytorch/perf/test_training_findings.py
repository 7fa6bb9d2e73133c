"""Trainings that are broken on purpose are recognized, those that are not are left in peace."""

import itertools

import numpy as np
import pytest

from tinytorch.core.activations import ReLU, Sigmoid
from tinytorch.core.fitting import OPTIMIZERS, FitSettings, fit
from tinytorch.core.inspection import TrainingProbe, spread
from tinytorch.core.layers import Linear
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.rate_test import learning_rate_range
from tinytorch.core.spatial import Flatten
from tinytorch.core.tensor import Tensor
from tinytorch.data.digits import load
from tinytorch.models.network import Network
from tinytorch.perf.training_findings import course_findings, rate_advice, training_findings


@pytest.fixture(scope="module")
def digits():
    """Return the digits."""
    return load(None, 0)


def mlp(kind=ReLU, hidden=(64,)):
    """Return a network for digits."""
    rng, sizes = np.random.default_rng(0), [64, *hidden, 10]
    layers = {"flatten": Flatten()}
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        layers |= {f"fc{i}": Linear(before, after, rng=rng), f"act{i}": kind()}
    layers.pop(f"act{len(sizes) - 2}")
    return Network(layers, (1, 8, 8))


def trained(digits, model, **settings):
    """Train and return (facts, epochs) as the train stage does."""
    settings = FitSettings(**{"epochs": 3, **settings})
    chosen = np.array(spread(len(digits.train)))
    batch = Tensor(digits.train.images(chosen)), Tensor(digits.train.labels[chosen])
    probe = TrainingProbe(model, model.named_layers(), batch, CrossEntropyLoss().forward, settings.epochs)
    points = [{"lr": settings.lr, **probe(0)}]
    epochs = fit(model, digits.train, digits.validation, settings, 0, look=probe)
    points += [{"lr": epoch["lr"], **epoch.pop("inspection")} for epoch in epochs if "inspection" in epoch]
    given = {"lr": settings.lr, "optimizer": settings.optimizer, "momentum": settings.momentum}
    return {**given, **probe.layout(), "points": points}, epochs


def kinds(digits, model, **settings):
    """Return the kinds of what was found."""
    return {finding.kind for finding in training_findings(*trained(digits, model, **settings))}


@pytest.mark.parametrize(
    "settings", [{}, {"optimizer": "sgd", "lr": 0.1}, {"optimizer": "sgd", "lr": 0.02, "momentum": 0.9}]
)
def test_a_healthy_training_has_nothing(digits, settings):
    """With the optimizers as one uses them."""
    assert kinds(digits, mlp(hidden=(128,)), **settings) == set()


def test_a_rate_that_is_far_too_high(digits):
    """Units die, weights change by more than themselves, and nothing is learned."""
    found = training_findings(*trained(digits, mlp(hidden=(128, 128)), lr=1.0))
    assert {"rate_too_high", "dead_units"} <= {finding.kind for finding in found}
    assert any(finding.kind in ("diverging", "flat") for finding in found)
    high = next(finding for finding in found if finding.kind == "rate_too_high")
    rate = float(high.suggestion.partition("lr=")[2].partition(":")[0])
    assert kinds(digits, mlp(hidden=(128, 128)), lr=rate, epochs=5) == set()


def test_a_rate_that_is_far_too_low(digits):
    """The loss stays where it was."""
    assert kinds(digits, mlp(), lr=1e-6) == {"flat"}


def test_a_training_that_ends_too_early(digits):
    """The loss still falls as fast as at the beginning."""
    (finding,) = training_findings(*trained(digits, mlp(), lr=1e-4, epochs=6))
    assert finding.kind == "slow"
    assert "more epochs" in finding.suggestion


def test_dead_units_are_dated(digits):
    """A layer that was dead from the first step on."""
    model = mlp()
    model.layers[1].bias.data[:50] = -100
    found = [f for f in training_findings(*trained(digits, model)) if f.kind == "dead_units"]
    assert [f.where for f in found] == ["act0"]
    assert found[0].message == (
        "50 of 64 units give 0 for the whole batch and learn nothing, before the training already"
    )


def test_vanishing_gradients(digits):
    """Eight layers of sigmoids."""
    assert "vanishing_gradients" in kinds(digits, mlp(Sigmoid, (32,) * 8), epochs=2)


def test_a_test_of_rates_is_what_is_suggested(digits):
    """The rate that it finds learns."""
    facts, epochs = trained(digits, mlp(), lr=1e-6)
    model = mlp()
    batch = Tensor(digits.train.images(slice(0, 64))), Tensor(digits.train.labels[:64])
    make = lambda params, lr: OPTIMIZERS["adam"](params, FitSettings(lr=lr))  # noqa: E731
    suggested, tried = learning_rate_range(model, [batch], CrossEntropyLoss().forward, make=make)
    facts["rate_test"] = {"suggested": suggested, "tried": tried}
    (finding,) = course_findings(facts, epochs)
    assert finding.suggestion == rate_advice(facts)
    assert f"{suggested:.1g}" in finding.suggestion
    assert kinds(digits, mlp(), lr=suggested, epochs=5) == set()


@pytest.mark.parametrize(
    ("losses", "kind"),
    [
        ([2.0, 1.0, 0.5], None),
        ([2.3, 2.4, 2.9], "diverging"),
        ([2.3, 2.3, 2.29], "flat"),
        ([2.2, 2.1, 2.0], "slow"),
        ([2.0, 1.9, 1.89], None),  # what it can reach
        ([2.0, 1.0, 1.5, 1.0, 0.6, 1.2, 0.6, 1.1, 0.6], "restless"),
        ([2.0, 1.0, 0.1, 0.05, 0.01, 0.03, 0.01, 0.03, 0.01], None),  # learned
    ],
)
def test_the_course_of_losses(losses, kind):
    """Against 2.3 before the training."""
    facts = {"lr": 0.1, "points": [{"loss": 2.3}]}
    found = course_findings(facts, [{"train_loss": loss} for loss in losses])
    assert [finding.kind for finding in found] == ([] if kind is None else [kind])


def test_no_looks_no_findings():
    """Of a training of no epoch nothing is said."""
    assert training_findings({"points": []}, []) == []
