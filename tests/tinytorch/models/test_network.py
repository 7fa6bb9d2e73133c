"""Network and Residual: names, shapes, replacing layers, predicting."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.layer import walk
from tinytorch.core.layers import Dropout, Flatten, Linear, Sequential
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import Conv2d, SimpleCNN
from tinytorch.core.tensor import Tensor
from tinytorch.errors import TargetError
from tinytorch.models.network import Network, Residual


def small() -> Network:
    """flatten, fc1, relu1, fc_out on samples (1, 2, 2)."""
    rng = np.random.default_rng(0)
    layers = {"flatten": Flatten(), "fc1": Linear(4, 3, rng=rng), "relu1": ReLU(), "fc_out": Linear(3, 2, rng=rng)}
    return Network(layers, (1, 2, 2))


def residual() -> Network:
    """A block with a shortcut, between a convolution and a flatten, on samples (1, 4, 4)."""
    rng = np.random.default_rng(0)
    body = Network({"conv1": Conv2d(2, 3, 3, padding=1, rng=rng), "bn1": BatchNorm2d(3)}, (2, 4, 4))
    shortcut = Network({"conv": Conv2d(2, 3, 1, rng=rng)}, (2, 4, 4))
    layers = {"conv1": Conv2d(1, 2, 1, rng=rng), "block1": Residual(body, shortcut), "flatten": Flatten()}
    return Network(layers, (1, 4, 4))


def samples(model: Network, count: int = 5) -> np.ndarray:
    """Random inputs."""
    return np.random.default_rng(1).standard_normal((count, *model.input_shape)).astype(np.float32)


def test_it_is_the_courses_sequential() -> None:
    """`layers` is the list of layers and a call runs them, as students know it."""
    model = small()
    assert isinstance(model, Sequential)
    assert [type(layer).__name__ for layer in model.layers] == ["Flatten", "Linear", "ReLU", "Linear"]
    assert model(Tensor(samples(model))).shape == (5, 2)


def test_names_descend_into_residuals() -> None:
    """The body's layers continue the block's name, the shortcut's are a step further."""
    names = [name for name, _ in residual().named_layers()]
    assert names == ["conv1", "block1.conv1", "block1.bn1", "block1.shortcut.conv", "flatten"]


def test_named_shapes_follow_both_ways() -> None:
    """The shortcut starts from the block's input and not from the body's output."""
    shapes = {name: (before, after) for name, _, before, after in residual().named_shapes()}
    assert shapes["block1.bn1"] == ((3, 4, 4), (3, 4, 4))
    assert shapes["block1.shortcut.conv"] == ((2, 4, 4), (3, 4, 4))
    assert shapes["flatten"] == ((3, 4, 4), (48,))


def test_a_residual_adds_both_ways() -> None:
    """The result is relu(body(x) + shortcut(x)), and relu(body(x) + x) without a shortcut."""
    block = residual().layers[1]
    assert isinstance(block, Residual)
    assert block.shortcut is not None
    x = Tensor(np.random.default_rng(0).standard_normal((2, 2, 4, 4)))
    block.eval()
    expected = np.maximum(block.body(x).data + block.shortcut(x).data, 0)
    np.testing.assert_array_equal(block(x).data, expected)
    plain = Residual(Network({"conv": Conv2d(2, 2, 3, padding=1)}, (2, 4, 4)))
    np.testing.assert_array_equal(plain(x).data, np.maximum(plain.body(x).data + x.data, 0))


def test_replaced_shares_what_it_does_not_change() -> None:
    """Only the named leaf differs, and the original keeps it."""
    model = residual()
    leaf = Conv2d(2, 3, 5, padding=2)
    changed = model.replaced({"block1.shortcut.conv": leaf})
    before, after = dict(model.named_layers()), dict(changed.named_layers())
    assert list(before) == list(after)
    assert [name for name in before if before[name] is not after[name]] == ["block1.shortcut.conv"]
    assert after["block1.shortcut.conv"] is leaf


def test_replacing_an_unknown_layer_names_the_nearest() -> None:
    """A name that is not a leaf is a TargetError; a block is no leaf."""
    with pytest.raises(TargetError, match="fc2"):
        small().replaced({"fc2": Linear(4, 3)})
    with pytest.raises(TargetError, match="block1"):
        residual().replaced({"block1": ReLU()})


def test_a_leaf_can_be_left_out_or_become_a_network() -> None:
    """What takes its place continues its name; the last layer of a sequence must stay."""
    relu, pair = Network({"relu": ReLU()}, (4,)), Network({"a": Linear(4, 2), "b": Linear(2, 3)}, (4,))
    model = Network({"relu": ReLU(), "fc": Linear(4, 3)}, (4,))
    changed = model.replaced({"relu": None, "fc": pair})
    assert [name for name, _ in changed.named_layers()] == ["fc.a", "fc.b"]
    with pytest.raises(ValueError, match="at least one layer"):
        relu.replaced({"relu": None})


def test_a_replacement_must_fit() -> None:
    """Shapes are checked again, and the message names the layer that cannot go on."""
    with pytest.raises(ValueError, match="fc_out"):
        small().replaced({"fc1": Linear(4, 5)})


def test_shapes_that_do_not_fit_name_the_layer() -> None:
    """A network that could never run is refused when it is made, inside of residuals too."""
    with pytest.raises(ValueError, match=r"^fc: .*"):
        Network({"flatten": Flatten(), "fc": Linear(5, 2)}, (1, 2, 2))
    body = Network({"conv": Conv2d(2, 3, 1)}, (2, 4, 4))
    with pytest.raises(ValueError, match=r"body gives \(3, 4, 4\), but \(2, 4, 4\) is to be added"):
        Residual(body)
    with pytest.raises(ValueError, match=r"block: body is built for samples \(2, 4, 4\), not \(2, 5, 5\)"):
        Network({"block": Residual(Network({"conv": Conv2d(2, 2, 1)}, (2, 4, 4)))}, (2, 5, 5))


@pytest.mark.parametrize("name", ["", "a.b", "1st", "fc-1", "a" * 65, "fc\n"])
def test_names_are_identifiers(name: str) -> None:
    """A dot or any other sign would make dotted names ambiguous."""
    with pytest.raises(ValueError, match="a layer's name is"):
        Network({name: ReLU()}, (3,))


def test_what_cannot_be_a_network() -> None:
    """No layers, no shape, a body layer called shortcut, and a container of unknown order are refused."""
    with pytest.raises(ValueError, match="at least one layer"):
        Network({}, (3,))
    with pytest.raises(ValueError, match="positive integers"):
        Network({"relu": ReLU()}, (3, 0))
    with pytest.raises(ValueError, match="may be named 'shortcut'"):
        Residual(Network({"shortcut": ReLU()}, (3,)))
    with pytest.raises(TypeError, match="cnn is a SimpleCNN"):
        Network({"cnn": SimpleCNN()}, (3, 32, 32))


def test_predict_turns_dropout_off_and_restores_the_mode() -> None:
    """Predictions are those of eval mode; layers that were training are so again, the others not."""
    dropout = Dropout(0.5)
    model = Network({"flatten": Flatten(), "dropout": dropout, "fc": Linear(4, 2)}, (4,)).train()
    model.layers[2].training = False
    before = [layer.training for layer in walk(model)]
    x = samples(model)
    np.testing.assert_array_equal(model.predict(x), model.predict(x))
    assert [layer.training for layer in walk(model)] == before


def test_forward_drops_only_while_training() -> None:
    """The mode of the network decides about dropout."""
    model = Network({"dropout": Dropout(0.5, rng=np.random.default_rng(0))}, (100,))
    x = Tensor(np.ones((1, 100)))
    assert (model.train()(x).data == 0).any()
    assert (model.eval()(x).data == 1).all()


def test_predict_takes_no_samples() -> None:
    """An array of no samples gives one of no rows."""
    assert small().predict(np.empty((0, 1, 2, 2), np.float32)).shape == (0, 2)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_predict_in_batches(batch_size: int) -> None:
    """Every batch size gives every sample once, in order."""
    model = small()
    expected = model.eval()(Tensor(samples(model))).data
    np.testing.assert_allclose(model.predict(samples(model), batch_size), expected, rtol=1e-5, atol=1e-6)


def test_predict_refuses_other_samples() -> None:
    """Another shape, another type and an impossible batch size are errors."""
    model = small()
    for images in (np.zeros((5, 4), np.float32), np.zeros((5, 1, 2, 2))):
        with pytest.raises(ValueError, match=r"predict needs float32 samples of shape \(N, \*\(1, 2, 2\)\)"):
            model.predict(images)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        model.predict(samples(model), 0)


def test_counts() -> None:
    """Parameters and those that are not zero; a fresh bias is zero."""
    model = small()
    assert model.parameter_count() == 4 * 3 + 3 + 3 * 2 + 2
    assert model.nonzero_count() == 4 * 3 + 3 * 2
    assert model.macs() == 4 * 3 + 3 * 2
