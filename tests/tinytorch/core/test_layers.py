"""Layers and activations: what they compute, how they describe themselves, and that a saved state rebuilds them."""

import numpy as np
import pytest

from tinytorch.core.activations import GELU, TOLERANCE, ReLU, Sigmoid, Softmax, Tanh
from tinytorch.core.layer import walk
from tinytorch.core.layers import Dense, Dropout, Flatten, Layer, Linear, Sequential
from tinytorch.core.spatial import AvgPool2d, BatchNorm2d, Conv2d, MaxPool2d
from tinytorch.core.tensor import Tensor
from tinytorch.errors import ModelFileError

LEAVES = [
    # layer, a sample's shape, its output's shape, multiply-accumulates
    (Linear(6, 4), (6,), (4,), 24),
    (Linear(6, 4, bias=False), (3, 6), (3, 4), 72),
    (Conv2d(2, 3, 3, padding=1), (2, 5, 4), (3, 5, 4), 3 * 20 * 18),
    (Conv2d(2, 3, (2, 3), stride=(2, 1), bias=False), (2, 5, 4), (3, 2, 2), 3 * 4 * 12),
    (BatchNorm2d(2), (2, 5, 4), (2, 5, 4), 0),
    (MaxPool2d(2), (2, 5, 4), (2, 2, 2), 0),
    (AvgPool2d((3, 2), stride=1, padding=1), (2, 5, 4), (2, 5, 5), 0),
    (Flatten(), (2, 5, 4), (40,), 0),
    (Dropout(0.3), (7,), (7,), 0),
    (ReLU(), (2, 3), (2, 3), 0),
    (Sigmoid(), (2, 3), (2, 3), 0),
    (Tanh(), (2, 3), (2, 3), 0),
    (GELU(), (2, 3), (2, 3), 0),
    (Softmax(), (2, 3), (2, 3), 0),
]
IDS = [type(leaf[0]).__name__ for leaf in LEAVES]


@pytest.mark.parametrize(("layer", "sample", "out", "macs"), LEAVES, ids=IDS)
def test_a_leaf_foretells_its_output_shape_and_cost(layer, sample, out, macs):
    """output_shape agrees with forward, and macs counts every multiplication."""
    assert layer.output_shape(sample) == out
    assert layer.eval().forward(Tensor(np.ones((2, *sample)))).shape == (2, *out)
    assert layer.macs(sample) == macs


@pytest.mark.parametrize(("layer", "sample", "out", "macs"), LEAVES, ids=IDS)
def test_a_leaf_is_rebuilt_from_config_and_state(layer, sample, out, macs):
    """The rebuilt layer computes the same from its own arrays, and describes itself the same."""
    x = Tensor(np.random.default_rng(0).normal(size=(2, *sample)))
    twin = type(layer).from_state(layer.config(), layer.state())
    np.testing.assert_array_equal(twin.eval().forward(x).data, layer.eval().forward(x).data)
    assert twin.config() == layer.config()
    assert [p.requires_grad for p in twin.parameters()] == [True] * len(layer.parameters())
    for name, array in twin.state().items():
        assert not np.shares_memory(array, layer.state()[name])


@pytest.mark.parametrize(("layer", "sample", "out", "macs"), LEAVES, ids=IDS)
def test_a_leaf_refuses_a_state_that_is_not_its_own(layer, sample, out, macs):
    """Unknown arrays, wrong shapes and wrong dtypes are a ModelFileError."""
    config, state = layer.config(), layer.state()
    with pytest.raises(ModelFileError, match="extra"):
        type(layer).from_state(config, {**state, "extra": np.zeros(1, np.float32)})
    for name, array in state.items():
        for wrong in (array[:-1], array.astype(np.float64)):
            with pytest.raises(ModelFileError, match=name):
                type(layer).from_state(config, {**state, name: wrong})


@pytest.mark.parametrize("kind", [Linear, Conv2d, BatchNorm2d, MaxPool2d])
@pytest.mark.parametrize("config", [{}, {"kernel_size": 0, "num_features": -1, "in_features": "a"}])
def test_a_config_that_makes_no_layer_is_refused(kind, config):
    """Missing, unknown and senseless settings are a ModelFileError, whatever the layer."""
    with pytest.raises(ModelFileError, match=kind.__name__):
        kind.from_state(config, {})


def test_a_huge_declared_size_allocates_nothing():
    """What a config declares is compared with the arrays before anything is made of it."""
    with pytest.raises(ModelFileError, match="gamma"):
        BatchNorm2d.from_state({"num_features": 10**15}, BatchNorm2d(2).state())


def test_linear_starts_as_documented():
    """Weights of variance 1/in, zero bias, weight before bias, repeatable with a generator or NumPy's seed."""
    layer = Linear(400, 300, rng=np.random.default_rng(1))
    assert abs(layer.weight.data.std() - 0.05) < 0.001
    assert not layer.bias.data.any()
    assert layer.parameters() == [layer.weight, layer.bias]
    np.random.seed(5)
    first = Linear(2, 2).weight.data
    np.random.seed(5)
    np.testing.assert_array_equal(Linear(2, 2).weight.data, first)
    assert Linear(2, 2, bias=False).bias is None
    assert Dense is Linear


def test_linear_names_the_shapes_that_do_not_fit():
    """The message has the input's and the weight's shape."""
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(4, 5\)"):
        Linear(4, 5).forward(Tensor(np.ones((2, 3))))
    with pytest.raises(ValueError, match=r"0 -> 3"):
        Linear(0, 3)


@pytest.mark.parametrize("layer", [Linear(3, 3), ReLU(), Softmax(), Conv2d(2, 1, 1), BatchNorm2d(2)])
def test_arrays_are_to_be_wrapped(layer):
    """What is no Tensor is named, with the way out."""
    shape = (2, 3) if type(layer) in (Linear, ReLU, Softmax) else (1, 2, 3, 3)
    with pytest.raises(TypeError, match=r"computes with Tensors, but got ndarray.*Tensor\(x\)"):
        layer(np.ones(shape, np.float32))


def test_dropout_scales_what_it_keeps():
    """About p of the values vanish, the rest grow by 1/(1-p), and the mean stays."""
    x = Tensor(np.ones((100, 100)))
    y = Dropout(0.25, rng=np.random.default_rng(0)).forward(x).data
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < 0.02


def test_dropout_is_off_when_not_training():
    """By argument, in eval mode, or with p = 0; p = 1 gives zeros with zero gradient."""
    x = Tensor(np.ones((4, 4)), requires_grad=True)
    assert Dropout(0.5).forward(x, training=False) is x
    assert Dropout(0.5).eval().forward(x) is x
    assert Dropout(0.0).forward(x) is x
    y = Dropout(1.0).forward(x)
    y.sum().backward()
    assert not y.data.any()
    assert not x.grad.any()
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            Dropout(p)


def test_dropout_gradient_uses_the_same_mask():
    """Dropped values get no gradient, kept ones the scale."""
    x = Tensor(np.ones((8, 8)), requires_grad=True)
    y = Dropout(0.5).forward(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)


def test_sequential_takes_layers_or_a_list():
    """Both spellings, parameters in order, and the training flag reaches nested dropouts."""
    rng = np.random.default_rng(0)
    a, b = Linear(3, 4, rng=rng), Linear(4, 2, rng=rng)
    model = Sequential([a, Sequential(ReLU(), Dropout(1.0)), b])
    assert model.layers[0] is a
    assert model.parameters() == [a.weight, a.bias, b.weight, b.bias]
    x = Tensor(np.ones((2, 3)))
    np.testing.assert_array_equal(model.forward(x).data, np.zeros((2, 2)))
    assert model.forward(x, training=False).data.any()
    assert model(x, training=False).shape == Sequential(a, ReLU(), b)(x).shape == (2, 2)


def test_train_and_eval_reach_every_layer_inside():
    """Modes are set recursively, and both return the layer."""
    model = Sequential(Linear(2, 2), Sequential(Dropout(0.5)))
    assert model.eval() is model
    assert not any(layer.training for layer in walk(model))
    assert model.train().layers[1].layers[0].training


def test_sequential_adds_up_shapes_and_costs():
    """A container follows its layers."""
    model = Sequential(Conv2d(1, 2, 3), ReLU(), Flatten(), Linear(8, 3))
    assert model.output_shape((1, 4, 4)) == (3,)
    assert model.macs((1, 4, 4)) == 8 * 9 + 24


def test_a_layer_of_ones_own_needs_only_forward():
    """Course code subclasses Layer with forward and parameters; the rest has defaults."""

    class Doubler(Layer):
        def forward(self, x):
            return x * 2

    layer = Doubler()
    assert layer(Tensor([1.0])).data == [2.0]
    assert layer.parameters() == []
    assert layer.eval().training is False
    assert repr(layer) == "Doubler()"
    with pytest.raises(NotImplementedError, match="Doubler"):
        layer.output_shape((1,))
    with pytest.raises(NotImplementedError, match="Layer must define forward"):
        Layer()(Tensor([1.0]))


class Block(Layer):
    """A layer as course code writes it: others in attributes and lists, and no word about them."""

    def __init__(self):
        self.fc = Linear(2, 2)
        self.more = [Dropout(0.5), BatchNorm2d(3)]
        self.named = {"tail": Linear(2, 1)}
        self._cache = Linear(9, 9)

    def forward(self, x):
        return self.named["tail"](self.fc(x))


def test_layers_in_attributes_are_found():
    """Public attributes, lists and dicts of them, in order of definition; private ones are nobody's business."""
    block = Block()
    assert list(block.children()) == ["fc", "more.0", "more.1", "named.tail"]
    assert [p.shape for p in block.parameters()] == [(2, 2), (2,), (3,), (3,), (2, 1), (1,)]
    block.eval()
    assert not any(layer.training for layer in walk(block))
    assert list(walk(block)) == [block, *block.children().values()]
    assert Linear(2, 2).children() == ReLU().children() == {}


def test_objects_that_are_no_layers_are_walked_through():
    """A plain model, and plain parts that know their parameters, consist of the layers they hold; cycles end."""

    class Plain:
        def __init__(self, part):
            self.part, self.owner, self.other = part, self, "text"

        def parameters(self):
            return []

    inner = Linear(1, 1)
    assert list(walk(Plain(Plain(inner)))) == [inner]


def test_a_layer_used_twice_has_its_parameters_once():
    """Tied weights get one update a step."""
    tied = Linear(2, 2)
    assert Sequential(tied, ReLU(), tied).parameters() == [tied.weight, tied.bias]


def test_shapes_a_layer_cannot_take_are_refused():
    """output_shape raises like forward does."""
    for layer, shape in [(Linear(3, 2), (4,)), (Conv2d(3, 2, 3), (1, 5, 5)), (Conv2d(1, 2, 6), (1, 5, 5))]:
        with pytest.raises(ValueError, match=type(layer).__name__):
            layer.output_shape(shape)


def test_activations_compute_their_formulas():
    """Values at -2, 0 and 2; softmax sums to one along the axis asked for."""
    x = Tensor([[-2.0, 0.0, 2.0]])
    values = x.data.astype(np.float64)
    gate = 1 / (1 + np.exp(-1.702 * values))
    expected = [np.maximum(values, 0), 1 / (1 + np.exp(-values)), np.tanh(values), values * gate]
    for layer, wanted in zip((ReLU(), Sigmoid(), Tanh(), GELU()), expected, strict=True):
        np.testing.assert_allclose(layer(x).data, wanted, rtol=1e-6, atol=1e-7)
        assert layer.parameters() == []
    np.testing.assert_allclose(Softmax()(x).data.sum(), 1, rtol=1e-6)
    np.testing.assert_array_equal(Softmax().forward(x, dim=0).data, np.ones((1, 3)))
    assert TOLERANCE == 1e-10


@pytest.mark.filterwarnings("error")
def test_extreme_inputs_neither_overflow_nor_warn():
    """±1000 through every activation stays finite."""
    x = Tensor([[-1000.0, 1000.0]])
    np.testing.assert_array_equal(Sigmoid()(x).data, [[0, 1]])
    np.testing.assert_array_equal(Softmax()(x).data, [[0, 1]])
    np.testing.assert_array_equal(GELU()(x).data, [[0, 1000]])
    np.testing.assert_allclose(Sigmoid()(Tensor([-20.0])).data, [np.exp(-20)], rtol=1e-6)
