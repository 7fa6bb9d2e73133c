"""Laws that every model in the table obeys."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import numpy as np
import pytest

import tinytorch.models
from tinytorch.core.embeddings import Embedding, PositionalEncoding
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.tensor import Tensor
from tinytorch.models import MODELS, load_model_module
from tinytorch.models.network import Network
from tinytorch.serialization import clone, dumps, loads

SHAPE, CLASSES = (2, 8, 8), 5
CONTEXT = 6
LANGUAGE = ("gpt",)  # the models that read texts


@pytest.fixture(params=sorted(MODELS))
def arch(request: pytest.FixtureRequest) -> str:
    """The name of each model in turn."""
    return str(request.param)


@pytest.fixture
def model(arch: str) -> Network:
    """The model with its default arguments, after one batch in training mode so that batch norms have seen data."""
    network = load_model_module(arch).build(shape_for(arch), CLASSES, np.random.default_rng(0))
    network.train().forward(Tensor(samples(network, 16)))
    assert isinstance(network, Network)
    return network.eval()


def shape_for(arch: str) -> tuple[int, ...]:
    """The shape of a sample: a text or an image."""
    return (CONTEXT,) if arch in LANGUAGE else SHAPE


def samples(model: Network, count: int) -> np.ndarray:
    """Random inputs: images, or tokens."""
    rng = np.random.default_rng(1)
    if len(model.input_shape) == 1:
        return rng.integers(0, CLASSES, (count, *model.input_shape)).astype(np.float32)
    return rng.standard_normal((count, *model.input_shape)).astype(np.float32)


def test_every_module_is_in_the_table() -> None:
    """A module with `build` is a model, and none is missing from the table."""
    folder = Path(tinytorch.models.__file__).parent
    modules = [importlib.import_module(f"tinytorch.models.{path.stem}") for path in folder.glob("[a-z]*.py")]
    assert {module.__name__ for module in modules if hasattr(module, "build")} == set(MODELS.values())


def test_an_unknown_name_gets_the_nearest() -> None:
    """A misspelt model is an error with the right spelling."""
    with pytest.raises(ValueError, match=r"no model is named 'resnett'; did you mean 'resnet'\?"):
        load_model_module("resnett")


def test_outputs_are_logits(model: Network) -> None:
    """One row per sample, or per token of it, one column per class, no softmax at the end."""
    logits = model.predict(samples(model, 7))
    assert logits.shape == (7, *model.output_shape(model.input_shape)[:-1], CLASSES)
    assert logits.dtype == np.float32
    assert (logits < 0).any()


def test_a_seed_fixes_the_weights(arch: str) -> None:
    """Equal generators give equal bytes, other ones do not."""
    build = load_model_module(arch).build
    first, same, other = (dumps(build(shape_for(arch), CLASSES, np.random.default_rng(seed))) for seed in (0, 0, 1))
    assert first == same
    assert first != other


def test_the_last_layer_is_fc_out(model: Network) -> None:
    """Passes leave the output layer alone by this name; of a language model it is lm_head."""
    name, layer = model.named_layers()[-1]
    assert name == ("fc_out" if len(model.input_shape) == 3 else "lm_head")
    assert layer.config()["out_features"] == CLASSES


def test_names_are_unique_and_in_order(model: Network) -> None:
    """Names tell the leaves apart, and the shapes chain from the input to the logits."""
    rows = model.named_shapes()
    assert len({name for name, *_ in rows}) == len(rows)
    assert rows[0][2] == model.input_shape
    assert rows[-1][3][-1] == CLASSES


def test_announced_shapes_are_real(model: Network) -> None:
    """Every leaf gives what `named_shapes` says, computed one by one on a sample of the announced shape."""
    for name, layer, before, after in model.named_shapes():
        output = layer.forward(Tensor(np.ones((3, *before), np.float32)))
        assert output.shape == (3, *after), name


def test_macs_are_those_of_the_leaves(model: Network) -> None:
    """The sum over leaves is the network's, and a weight of n values costs at least n multiplications."""
    leaves = [(layer, layer.macs(before)) for _, layer, before, _ in model.named_shapes()]
    assert model.macs() == sum(macs for _, macs in leaves)
    for layer, macs in leaves:
        if isinstance(layer, Embedding | PositionalEncoding):  # looked up, not multiplied
            continue
        assert macs >= sum(math.prod(p.shape) for p in layer.parameters() if p.ndim > 1)


def test_parameters_are_counted_and_all_get_a_gradient(model: Network) -> None:
    """No parameter is left out of the list, and none is cut off from the loss."""
    parameters = model.parameters()
    assert model.parameter_count() == sum(parameter.size for parameter in parameters)
    outputs = model.output_shape(model.input_shape)[:-1]
    targets = Tensor(np.arange(8 * math.prod(outputs)).reshape(8, *outputs) % CLASSES)
    CrossEntropyLoss()(model.train().forward(Tensor(samples(model, 8))), targets).backward()
    for parameter in parameters:
        assert parameter.grad is not None
        assert np.abs(parameter.grad).max() > 0


def test_saving_and_loading_changes_no_output(model: Network) -> None:
    """A loaded model has the same bytes and the same outputs, bit for bit."""
    again = loads(dumps(model))
    assert dumps(again) == dumps(model)
    np.testing.assert_array_equal(again.predict(samples(model, 7)), model.predict(samples(model, 7)))


def test_a_clone_shares_nothing(model: Network) -> None:
    """Changing every parameter of a clone leaves the original as it was."""
    before = dumps(model)
    copy = clone(model)
    assert dumps(copy) == before
    for parameter in copy.parameters():
        parameter.data += 1
    assert dumps(model) == before


def test_the_batch_size_changes_nothing_much(model: Network) -> None:
    """Predicting one by one gives what a batch gives, up to rounding."""
    whole = model.predict(samples(model, 5))
    np.testing.assert_allclose(model.predict(samples(model, 5), batch_size=2), whole, rtol=1e-4, atol=1e-5)


def test_an_unknown_argument_is_refused(arch: str) -> None:
    """An argument that is not in ARGS is a ValueError with the valid names."""
    module = load_model_module(arch)
    valid = ", ".join(sorted(module.ARGS))
    with pytest.raises(ValueError, match=rf"{arch} has no argument 'widht'.* \(valid: {valid}\)"):
        module.build(shape_for(arch), CLASSES, np.random.default_rng(0), widht=1)


def test_every_argument_is_checked(arch: str) -> None:
    """A value of the wrong kind is a ValueError that names the argument."""
    module = load_model_module(arch)
    for name in module.ARGS:
        with pytest.raises(ValueError, match=name):
            module.build(shape_for(arch), CLASSES, np.random.default_rng(0), **{name: {"no": "way"}})
