"""Inference sessions: they compute what the network predicts, natively where that is built, else by its layers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.conformance.layer_examples import EXAMPLES, SHAPE, norm, rng
from tinytorch.core.activations import GELU, ReLU
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.spatial import AvgPool2d, Conv2d, MaxPool2d
from tinytorch.kernels import native
from tinytorch.models import cnn, mlp, resnet
from tinytorch.models.network import Network, Residual
from tinytorch.passes.quantize import Settings, apply
from tinytorch.runtime.plan import EAGER
from tinytorch.runtime.session import InferenceSession

BUILT = pytest.mark.skipif(native.isa() is None, reason=f"needs the native kernels: {native.why_not()}")
MODELS = {
    "cnn": lambda: cnn.build((3, 8, 8), 10, rng(), width=4, dropout=0.5),
    "mlp": lambda: mlp.build((1, 6, 6), 10, rng(), hidden=[20, 12], dropout=0.5),
    "resnet": lambda: resnet.build((3, 8, 8), 10, rng(), blocks=[1, 2], width=4),
}


def images(model: Network, count: int = 5) -> np.ndarray:
    return rng().normal(size=(count, *model.input_shape)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
@pytest.mark.parametrize("name", MODELS)
def test_a_session_computes_what_the_network_predicts(name: str, batch: int) -> None:
    """Whatever the batch it was planned for, any number of samples goes through."""
    model = MODELS[name]()
    x = images(model)
    expected = model.predict(x)
    session = InferenceSession(model, batch)
    np.testing.assert_allclose(session.run(x), expected, 1e-4, 1e-5)
    np.testing.assert_allclose(session.run(x[:1]), expected[:1], 1e-4, 1e-5)
    assert session.run(x[:0]).shape == (0, 10)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_session_runs_every_layer(kind: str) -> None:
    """Each layer that ships, alone in a network."""
    for make in EXAMPLES[kind]:
        model = make()
        x = images(model)
        np.testing.assert_allclose(InferenceSession(model, len(x)).run(x), model.predict(x), 1e-4, 1e-5)


def test_a_session_leaves_the_network_alone() -> None:
    """A network in training stays there, and what it puts out does not depend on that."""
    model = MODELS["mlp"]().train()
    x = images(model)
    np.testing.assert_allclose(InferenceSession(model).run(x), model.predict(x), 1e-4, 1e-5)
    assert model.layers[3].training


def test_each_answer_is_a_new_array() -> None:
    """A later call does not change what an earlier one returned."""
    model = MODELS["mlp"]()
    session, x = InferenceSession(model), images(model)
    first = session.run(x[:1])
    before = first.copy()
    session.run(x[1:2])
    np.testing.assert_array_equal(first, before)


def test_samples_need_not_be_contiguous() -> None:
    """A view with gaps is copied."""
    model = MODELS["mlp"]()
    session, x = InferenceSession(model, 2), images(model)
    np.testing.assert_array_equal(session.run(x[::2][:2]), session.run(x[::2][:2].copy()))


@pytest.mark.parametrize("x", [np.zeros((1, 36), np.float32), np.zeros((1, 1, 6, 6)), np.zeros((1, 1, 6, 6), np.int32)])
def test_other_samples_are_refused(x: np.ndarray) -> None:
    """A wrong shape or type is an error that says what is needed."""
    with pytest.raises(ValueError, match=r"float32 samples of shape \(N, 1, 6, 6\)"):
        InferenceSession(MODELS["mlp"]()).run(x)


def test_a_session_can_be_forced_to_the_networks_own_layers() -> None:
    """Every step outside a residual block can run eagerly, and then the result is the network's own."""
    for name in ("cnn", "mlp"):
        model = MODELS[name]()
        layers = InferenceSession(model).layers
        session = InferenceSession(model, choices={layer.name: EAGER for layer in layers})
        x = images(model)
        assert {layer.kernel for layer in session.layers} == {EAGER}
        np.testing.assert_allclose(session.run(x), model.predict(x), 1e-5, 1e-6)


def test_native_and_eager_layers_alternate() -> None:
    """Images pass in both directions between kernels and layers."""
    layers = {
        "conv1": Conv2d(3, 4, 3, rng=rng()),
        "conv2": Conv2d(4, 5, 3, rng=rng()),
        "conv3": Conv2d(5, 6, 2, rng=rng()),
        "flatten": Flatten(),
        "fc1": Linear(12, 7, rng=rng()),
        "fc2": Linear(7, 3, rng=rng()),
    }
    model = Network(layers, SHAPE)
    x = images(model)
    for chosen in (("conv1", "conv3", "fc2"), ("conv2", "fc1"), ("conv3",)):
        session = InferenceSession(model, choices=dict.fromkeys(chosen, EAGER))
        np.testing.assert_allclose(session.run(x), model.predict(x), 1e-4, 1e-5)


def random_network(draw: np.random.Generator) -> Network:
    """A network of random layers and sizes, each fitting the one before."""
    shape = (int(draw.integers(1, 5)), int(draw.integers(5, 10)), int(draw.integers(5, 10)))
    start, layers = shape, dict[str, Layer]()
    for number in range(int(draw.integers(2, 7))):
        channels, size = shape[0], int(draw.integers(1, 4))
        wider = Conv2d(channels, int(draw.integers(1, 20)), size, padding=int(draw.integers(0, 2)), rng=draw)
        same = Network({"conv": Conv2d(channels, channels, 3, padding=1, rng=draw), "bn": norm(channels)}, shape)
        kinds = [
            wider,
            norm(channels),
            ReLU(),
            GELU(),
            Residual(same),
            MaxPool2d(2, 1),
            AvgPool2d(3, 1, 1),
            Dropout(0.5),
        ]
        layer = kinds[int(draw.integers(len(kinds)))]
        if min(shape[1:]) > 3:
            layers[f"layer{number}"], shape = layer, layer.output_shape(shape)
    layers |= {"flatten": Flatten(), "fc": Linear(math.prod(shape), int(draw.integers(1, 40)), rng=draw)}
    return Network(layers, start)


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_compute_what_they_predict(seed: int) -> None:
    """Any order of layers, odd sizes, one and two threads, the batch larger or smaller than the samples."""
    draw = np.random.default_rng(seed)
    model = random_network(draw)
    x = draw.standard_normal((int(draw.integers(1, 6)), *model.input_shape), np.float32)
    expected = model.predict(x)
    session = InferenceSession(model, batch=int(draw.integers(1, 6)), threads=int(draw.integers(1, 3)))
    np.testing.assert_allclose(session.run(x), expected, 0, 1e-5 * np.abs(expected).max())


@BUILT
def test_measuring_times_every_candidate() -> None:
    """Each candidate gets a time, and the choice is one of them that another session can repeat."""
    model = apply(MODELS["mlp"](), Settings(activations="none"), {}, 0)[0]
    session = InferenceSession(model, choices="measure")
    assert all(ns is not None and ns > 0 for layer in session.layers for ns in layer.candidates.values())
    assert all(layer.kernel in layer.candidates for layer in session.layers)
    again = InferenceSession(model, choices=session.choices)
    assert again.choices == session.choices
    x = images(model)
    np.testing.assert_allclose(session.run(x), model.predict(x), 1e-4, 1e-5)


@BUILT
def test_a_session_says_what_it_runs() -> None:
    """Layers, kernels, and the bytes that a call touches."""
    model = MODELS["mlp"]()
    session = InferenceSession(model)
    assert session.kernels == native.isa()
    assert [layer.names for layer in session.layers] == [
        ("flatten", "fc1", "relu1"),
        ("dropout1", "fc2", "relu2"),
        ("dropout2", "fc_out"),
    ]
    assert session.layers[0].size_bytes == 4 * (36 * 20 + 20)
    assert session.working_set_bytes >= sum(layer.size_bytes for layer in session.layers)


def test_every_layer_is_timed() -> None:
    """The times of a run go by the names of its layers."""
    model = MODELS["cnn"]()
    session = InferenceSession(model, 4)
    assert list(session.time_layers(images(model, 4))) == [layer.name for layer in session.layers]


def test_without_kernels_the_layers_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """TINYTORCH_KERNELS=reference gives the network's own bits."""
    monkeypatch.setenv(native.VARIABLE, "reference")
    for make in MODELS.values():
        model = make()
        session, x = InferenceSession(model, choices="measure"), images(model)
        assert session.kernels == "reference"
        np.testing.assert_array_equal(session.run(x), model.predict(x))


@pytest.mark.parametrize(("batch", "threads"), [(0, 1), (1, 0)])
def test_batch_and_threads_are_at_least_one(batch: int, threads: int) -> None:
    """Zero is refused."""
    with pytest.raises(ValueError, match="at least 1"):
        InferenceSession(MODELS["mlp"](), batch, threads)


def test_choices_are_kernels_by_layer_or_measured() -> None:
    """A word that is not "measure" is probably a slip."""
    with pytest.raises(ValueError, match=r"choices must be kernels .* not 'fastest'"):
        InferenceSession(MODELS["mlp"](), choices="fastest")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("settings", [{}, {"bits": 8}, {"bits": 4, "activations": "none"}])
@pytest.mark.parametrize("name", MODELS)
def test_numbers_that_are_not_finite_pass_through_as_in_the_layers(name: str, settings: dict[str, object]) -> None:
    """A sample with a NaN or an infinity has the outputs that the network gives it, and spoils no other."""
    model = MODELS[name]()
    model = apply(model, Settings.from_params(settings), {}, 0)[0] if settings else model
    x = images(model)
    x[1].flat[3], x[2].flat[5], x[3].flat[7] = np.nan, np.inf, -np.inf
    expected = model.predict(x)
    found = InferenceSession(model, 5).run(x)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, 1e-2, 1e-2)
