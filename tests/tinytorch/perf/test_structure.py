"""Finding the layers of course models, whatever class they are."""

import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.layers import Dropout, Linear, Sequential
from tinytorch.core.tensor import Tensor
from tinytorch.models.mlp import build
from tinytorch.perf.structure import held_bytes, inference, leaves, parameter_count, parameters_of, slots, trace


class Plain:
    """A course model: no base class, layers in attributes, a list, a dict, and a tensor of its own."""

    def __init__(self):
        self.first = Linear(4, 3)
        self.more = [ReLU(), Sequential(Linear(3, 3), Dropout(0.5))]
        self.heads = {"a": Linear(3, 2)}
        self.again = self.first
        self.gain = Tensor([1.0])

    def forward(self, x):
        x = self.more[1](self.more[0](self.first(x)))
        return self.heads["a"](x) * self.gain

    def parameters(self):
        inner = self.more[1].parameters()
        return [*self.first.parameters(), *inner, *self.heads["a"].parameters(), self.gain]


def test_every_layer_is_found_once():
    """In attributes, lists, dicts and containers, in order of definition."""
    found = [type(layer).__name__ for layer in leaves(Plain())]
    assert found == ["Linear", "ReLU", "Linear", "Dropout", "Linear"]


def test_a_slot_can_be_refilled():
    """Putting a layer back changes what the model runs."""
    model = Plain()
    for slot in slots(model):
        if isinstance(slot.get(), Linear) and slot.get() is model.heads["a"]:
            slot.put(Linear(3, 7))
    assert model.forward(Tensor(np.ones((1, 4)))).shape == (1, 7)


def test_a_layer_is_its_own_leaf():
    """A single layer has no inner slots."""
    layer = Linear(2, 2)
    assert leaves(layer) == [layer]
    assert slots(layer) == []


def test_networks_of_the_package_are_models_too():
    """Named networks are searched like any container."""
    network = build((1, 2, 2), 3, np.random.default_rng(0))
    assert leaves(network) == [layer for _, layer in network.named_layers()]


def test_bytes_held_are_those_of_all_arrays():
    """Layers by their stored arrays, other parameters as tensors."""
    model = Plain()
    count = 4 * 3 + 3 + 3 * 3 + 3 + 3 * 2 + 2 + 1
    assert parameter_count(model) == count
    assert held_bytes(model) == 4 * count


def test_the_trace_has_shapes_in_order_of_execution():
    """One entry for each leaf, and the model is left as it was."""
    model = Plain()
    steps = trace(model, (5, 4))
    assert [(type(s.layer).__name__, s.input_shape, s.output_shape) for s in steps] == [
        ("Linear", (5, 4), (5, 3)),
        ("ReLU", (5, 3), (5, 3)),
        ("Linear", (5, 3), (5, 3)),
        ("Dropout", (5, 3), (5, 3)),
        ("Linear", (5, 3), (5, 2)),
    ]
    assert "forward" not in vars(model.first)


def test_inference_puts_modes_back():
    """Dropout is off inside, gradients are not recorded, and training mode returns even after an error."""
    model = Plain()
    dropout = model.more[1].layers[1]
    with inference(model):
        assert not dropout.training
        assert model.forward(Tensor(np.ones((1, 4))))._grad_fn is None
    assert dropout.training
    with pytest.raises(KeyError), inference(model):
        raise KeyError
    assert dropout.training


def test_what_is_no_model_is_named():
    """An object without parameters() is a TypeError."""
    with pytest.raises(TypeError, match="int is no model"):
        parameters_of(3)
