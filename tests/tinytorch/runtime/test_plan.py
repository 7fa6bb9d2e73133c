"""Plans of sessions: what is fused, which operations come out, and that they mean what the network computes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.layer_examples import EXAMPLES, SHAPE, norm, rng
from tests.op_interpreter import KERNELS, interpret
from tinytorch.core.activations import ReLU
from tinytorch.core.layer import Leaf
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.spatial import Conv2d
from tinytorch.core.tensor import Tensor
from tinytorch.data.split import Split
from tinytorch.models import cnn, mlp, resnet
from tinytorch.models.network import Network, Residual
from tinytorch.passes.quantize import Settings, apply
from tinytorch.runtime.plan import EAGER, EagerPart, NativePart, Plan, make_plan

MODELS = {
    "cnn": lambda: cnn.build((3, 8, 8), 10, rng(), width=4, dropout=0.5),
    "mlp": lambda: mlp.build((1, 6, 6), 10, rng(), hidden=[20, 12], activation="gelu"),
    "resnet": lambda: resnet.build((3, 8, 8), 10, rng(), blocks=[1, 2], width=4),
}


def planned(model: Network, **choices: str) -> Plan:
    return make_plan(model.eval(), KERNELS, choices)


def interpreted(plan: Plan, model: Network, x: np.ndarray) -> np.ndarray:
    """What the operations compute in NumPy; every part must be native."""
    value = x
    for part in plan.parts:
        assert isinstance(part, NativePart)
        value = interpret(part.ops, part.slots, value)
    last = plan.parts[-1] if plan.parts else None
    if isinstance(last, NativePart) and last.layout is not None:
        channels, height, width = last.layout
        value = value.reshape(len(x), height, width, channels).transpose(0, 3, 1, 2)
    return value.reshape(len(x), *model.output_shape(model.input_shape))


def images(model: Network, count: int = 3) -> np.ndarray:
    return rng().normal(size=(count, *model.input_shape)).astype(np.float32)


def kinds(plan: Plan) -> list[str]:
    return [op.kind for part in plan.parts if isinstance(part, NativePart) for op in part.ops]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_layer_is_lowered_to_operations_that_compute_the_same(kind: str) -> None:
    """No layer that ships needs to run eagerly, and its operations give what it gives."""
    for make in EXAMPLES[kind]:
        model = make().eval()
        x = images(model)
        np.testing.assert_allclose(interpreted(planned(model), model, x), model.predict(x), 1e-5, 1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_runs_as_one_native_part(name: str) -> None:
    """An architecture is one part, and it computes what the network predicts."""
    model = MODELS[name]().eval()
    plan = planned(model)
    assert len(plan.parts) == 1
    x = images(model)
    np.testing.assert_allclose(interpreted(plan, model, x), model.predict(x), 1e-4, 1e-5)


def test_norms_and_activations_belong_to_the_product_before_them() -> None:
    """A convolution, its batch norm and its ReLU are one operation."""
    model = MODELS["cnn"]()
    assert [step.names for step in planned(model).steps] == [
        ("conv1", "bn1", "relu1"),
        ("pool1",),
        ("conv2", "bn2", "relu2"),
        ("pool2",),
        ("flatten", "dropout", "fc_out"),
    ]


def test_what_follows_an_inner_network_belongs_to_its_last_product() -> None:
    """As where a convolution was replaced by two: the batch norm and ReLU after it are part of the second."""
    pair = Network({"inputs": Conv2d(3, 2, 3, rng=rng()), "outputs": Conv2d(2, 4, 1, rng=rng())}, SHAPE)
    model = Network({"conv": pair, "bn": norm(4), "relu": ReLU()}, SHAPE)
    plan, x = planned(model), images(model)
    assert kinds(plan) == ["nchw_to_nhwc", "conv2d_f32", "conv2d_f32"]
    np.testing.assert_allclose(interpreted(plan, model, x), model.predict(x), 1e-5, 1e-5)


def test_a_sum_belongs_to_the_last_convolution_of_its_block() -> None:
    """A residual block of two convolutions is two operations, and three with a shortcut of its own."""
    plan = planned(MODELS["resnet"]())
    assert kinds(plan) == ["nchw_to_nhwc", *["conv2d_f32"] * 3, *["conv2d_f32"] * 5, "avg_pool", "linear_f32"]
    assert [step.name for step in plan.steps if step.addend is not None] == [
        "block1.conv2",
        "block2.conv2",
        "block3.conv2",
    ]


def test_every_layer_of_the_network_belongs_to_one_step() -> None:
    """No name is lost or counted twice."""
    for make in MODELS.values():
        model = make()
        names = [name for step in planned(model).steps for name in step.names]
        assert sorted(names) == sorted(name for name, _ in model.named_layers())


def test_a_sum_without_a_convolution_is_an_operation() -> None:
    """A block of linear layers adds by itself, and its ReLU is part of the sum."""
    body = Network({"fc": Linear(5, 5, rng=rng())}, (5,))
    model = Network({"block": Residual(body)}, (5,)).eval()
    plan = planned(model)
    assert kinds(plan) == ["linear_f32", "add"]
    x = images(model)
    np.testing.assert_allclose(interpreted(plan, model, x), model.predict(x), 1e-5, 1e-6)


def test_a_linear_layer_on_images_gets_them_as_their_shape_says() -> None:
    """A Linear over the last axis of an image reads it plain, whatever lay before."""
    layers = {"conv": Conv2d(3, 4, 3, rng=rng()), "fc": Linear(4, 2, rng=rng()), "flatten": Flatten(), "relu": ReLU()}
    model = Network(layers, SHAPE).eval()
    plan = planned(model)
    assert kinds(plan) == ["nchw_to_nhwc", "conv2d_f32", "nhwc_to_nchw", "linear_f32"]
    x = images(model)
    np.testing.assert_allclose(interpreted(plan, model, x), model.predict(x), 1e-4, 1e-5)


def test_integers_pass_between_layers_with_static_scales() -> None:
    """Two int8 layers with calibrated scales hand over integers, and the output stays the same to the last bit."""
    model = MODELS["mlp"]()
    model = model.replaced({"gelu1": ReLU(), "gelu2": ReLU()})
    train = Split(images(model, 20), np.zeros(20, np.int64))
    settings = Settings.from_params({"activations": "static", "calibration_samples": 20})
    quantized = apply(model, settings, {"train": train}, 0)[0].eval()
    plan = planned(quantized)
    (part,) = plan.parts
    assert isinstance(part, NativePart)
    assert [op.dims[4:6] for op in part.ops] == [(0, 1), (1, 1), (1, 0)]
    assert part.slots == (36 * 4, 10 * 4, 20, 12)
    x = images(quantized)
    np.testing.assert_array_equal(interpreted(plan, quantized, x), quantized.predict(x))


def test_a_slot_is_given_on_when_its_value_is_no_longer_read() -> None:
    """Ten layers of one width need two buffers."""
    layers = {f"fc{i}": Linear(7, 7, rng=rng()) for i in range(10)}
    (part,) = planned(Network(layers, (7,))).parts
    assert isinstance(part, NativePart)
    assert part.slots == (28, 28, 28, 28)


class Doubled(Leaf):
    """A layer that no table knows."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape


def test_an_unknown_layer_runs_eagerly_between_native_parts() -> None:
    """What has no kernel splits the plan in three."""
    layers = {"conv": Conv2d(3, 4, 3, rng=rng()), "twice": Doubled(), "flatten": Flatten(), "fc": Linear(80, 2)}
    plan = planned(Network(layers, SHAPE))
    assert [type(part) for part in plan.parts] == [NativePart, EagerPart, NativePart]
    assert plan.chosen["twice"] == EAGER


def test_a_block_with_an_unknown_layer_runs_eagerly_as_a_whole() -> None:
    """Inside a residual block there is no place to leave the native call."""
    body = Network({"conv": Conv2d(3, 3, 3, padding=1, rng=rng()), "bn": norm(3), "twice": Doubled()}, SHAPE)
    plan = planned(Network({"drop": Dropout(), "block": Residual(body), "relu": ReLU()}, SHAPE))
    assert plan.chosen == {"block": EAGER, "relu": "unary"}
    assert plan.steps[0].names == ("drop", "block.conv", "block.bn", "block.twice")


def test_kernels_are_chosen_by_name() -> None:
    """A weight-only layer can run in integers or multiplied out, with the same result."""
    model = apply(MODELS["mlp"](), Settings(bits=4, activations="none"), {}, 0)[0].eval()
    plan = planned(model, fc1="linear_f32", fc2="linear_w8")
    assert plan.chosen["fc1"] == "linear_f32"
    assert kinds(plan) == ["linear_f32", "unary", "linear_w8", "unary", "linear_i4"]
    x = images(model)
    np.testing.assert_allclose(interpreted(plan, model, x), model.predict(x), 1e-5, 1e-6)


def test_a_pruned_layer_can_run_by_blocks() -> None:
    """A weight of which whole blocks of 16 outputs are zero has a block-sparse form that computes the same."""
    model = Network({"fc": Linear(9, 37, rng=rng())}, (9,)).eval()
    weight = model.layers[0].weight.data
    weight[::2, :20] = 0
    weight[1:, 20:] = 0
    plan = planned(model, fc="linear_bs16")
    x = images(model)
    np.testing.assert_allclose(interpreted(plan, model, x), model.predict(x), 1e-5, 1e-6)


@pytest.mark.parametrize("choices", [{"fc9": "linear_f32"}, {"fc1": "linear_i8"}])
def test_an_impossible_choice_is_refused(choices: dict[str, str]) -> None:
    """Layers and kernels that do not exist are errors that name those that do."""
    with pytest.raises(ValueError, match=r"linear_f32|fc1"):
        planned(MODELS["mlp"](), **choices)
