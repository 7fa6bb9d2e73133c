"""A training is looked at on its way, and does not notice."""

import json

import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.fitting import FitSettings, fit
from tinytorch.core.inspection import TrainingProbe, probed_epochs, spread
from tinytorch.core.layers import Dropout, Linear
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import Conv2d, Flatten
from tinytorch.core.tensor import Tensor
from tinytorch.data.digits import load
from tinytorch.data.split import Split
from tinytorch.models.network import Network


@pytest.fixture(scope="module")
def digits():
    """Return two hundred digits."""
    train = load(None, 0).train
    arrays = train.to_arrays()
    return Split.from_arrays({name: a[:200] if len(a) == len(train) else a for name, a in arrays.items()})


def network(seed=0):
    """Return a network with everything that has a state of its own: batch norm and dropout."""
    rng = np.random.default_rng(seed)
    layers = {
        "conv": Conv2d(1, 4, 3, rng=rng),
        "norm": BatchNorm2d(4),
        "relu": ReLU(),
        "flatten": Flatten(),
        "drop": Dropout(0.3),
        "fc": Linear(144, 10, rng=rng),
    }
    return Network(layers, (1, 8, 8))


def probe(model, split, epochs):
    """Return a probe of the first images."""
    batch = Tensor(split.images(slice(0, 16))), Tensor(split.labels[:16])
    return TrainingProbe(model, model.named_layers(), batch, CrossEntropyLoss().forward, epochs)


def test_a_training_that_is_looked_at_gives_the_same_bits(digits):
    """Weights, batch-norm statistics and history are those of the training alone."""
    settings, models, histories = FitSettings(epochs=3), [network(), network()], []
    for model, is_watched in zip(models, (True, False), strict=True):
        look = probe(model, digits, 3) if is_watched else None
        if look:
            look(0)
        histories.append(fit(model, digits, digits, settings, 7, look=look))
    assert [record.pop("inspection")["epoch"] for record in histories[0]] == [1, 2, 3]
    assert histories[0] == histories[1]
    states = [[a.tobytes() for _, layer in m.named_layers() for a in layer.state().values()] for m in models]
    assert states[0] == states[1]


def test_what_was_seen_is_json_in_columns(digits):
    """A place for each layer and parameter, by the network's own names; dead units after ReLU only."""
    model = network()
    look = probe(model, digits, 4)
    seen, layout = json.loads(json.dumps(look(0), allow_nan=False)), look.layout()
    assert [layer["name"] for layer in layout["layers"]] == list(model.names)
    names = [parameter["name"] for parameter in layout["parameters"]]
    assert names == ["conv.weight", "conv.bias", "norm.gamma", "norm.beta", "fc.weight", "fc.bias"]
    assert [dead is None for dead in seen["dead"]] == [True, True, False, True, True, True]
    assert len(seen["gradient"]) == len(seen["weight"]) == len(names)
    assert seen["loss"] == pytest.approx(2.3, abs=1)


def test_it_looks_in_training_mode_and_puts_the_mode_back(digits):
    """A model in eval mode stays in it."""
    model = network()
    model.eval()
    probe(model, digits, 1)(0)
    assert not any(layer.training for _, layer in model.named_layers())


def test_what_is_not_finite_is_null(digits):
    """JSON has no NaN."""
    model = network()
    model.layers[-1].weight.data[:] = np.nan
    seen = probe(model, digits, 1)(0)
    assert seen["loss"] is None
    assert seen["mean"][-1] is None


@pytest.mark.parametrize(("epochs", "looks"), [(0, [0]), (1, [0, 1]), (3, [0, 1, 2, 3]), (20, [0, 1, 2, 3, 6, 11, 20])])
def test_most_looks_are_early(epochs, looks):
    """Before the training, after its first epoch and its last, and in between by factors."""
    assert probed_epochs(epochs) == looks
    assert len(probed_epochs(100_000)) == 7


def test_a_batch_comes_from_everywhere():
    """Also of data that is sorted."""
    assert spread(5) == [0, 1, 2, 3, 4]
    assert spread(1000, 4) == [0, 250, 500, 750]


def test_a_layout_needs_a_look(digits):
    """Nothing is known before."""
    with pytest.raises(RuntimeError, match="called with 0"):
        probe(network(), digits, 1).layout()
