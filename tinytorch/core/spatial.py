"""Layers for images (N, C, H, W): convolution, pooling, and the course's SimpleCNN.

The ops only keep what their derivative needs and call the array kernels. BatchNorm2d is in normalization.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self, TypeAlias

import numpy as np

from tinytorch.core.activations import ReLU
from tinytorch.core.function import Array, Function
from tinytorch.core.layer import JSON, Layer, Leaf, Stateless, checked_config, checked_state
from tinytorch.core.layers import Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.tensor import Tensor
from tinytorch.kernels import reference, training

__all__ = [
    "AvgPool2d",
    "AvgPool2dBackward",
    "BatchNorm2d",
    "Conv2d",
    "Conv2dBackward",
    "MaxPool2d",
    "MaxPool2dBackward",
    "SimpleCNN",
]

Pair: TypeAlias = tuple[int, int]


class Conv2dBackward(Function):
    """Cross-correlation of x (N, C, H, W) with weight (O, C, kh, kw), plus bias (O,) unless left out."""

    stride: Pair
    padding: Pair

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Return (N, O, H', W')."""
        self.x, self.weight = training.channels_last(x), weight
        return training.conv2d(self.x, weight, bias, self.stride, self.padding)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Correlate the gradient with the input (weight) and with the weight, transposed (input)."""
        needs = self.needs[0], self.needs[1]
        grads = training.conv2d_grads(grad, self.x, self.weight, self.stride, self.padding, needs)
        return grads if len(self.needs) == 2 else (*grads, training.pixel_sums(grad))


class MaxPool2dBackward(Function):
    """The largest value of each window."""

    kernel: Pair
    stride: Pair
    padding: Pair

    def forward(self, x: Array) -> Array:
        """Return (N, C, H', W')."""
        out, self.found = training.max_pool2d(x, self.kernel, self.stride, self.padding)
        self.x = x
        return out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """The first maximum of a window gets its gradient."""
        return (training.max_pool2d_grad(grad, self.x, self.found, self.kernel, self.stride, self.padding),)


class AvgPool2dBackward(Function):
    """The mean of each window."""

    kernel: Pair
    stride: Pair
    padding: Pair

    def forward(self, x: Array) -> Array:
        """Return (N, C, H', W')."""
        self.size = x.shape[2:]
        return reference.avg_pool2d(x, self.kernel, self.stride, self.padding)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Every value of a window gets an equal share."""
        return (reference.avg_pool2d_grad(grad, self.size, self.kernel, self.stride, self.padding),)


class Conv2d(Leaf):
    """Cross-correlate images with learned kernels: (N, in, H, W) -> (N, out, H', W').

    `weight` is (out, in, kh, kw), drawn from N(0, 2/fan_in) [He et al., 2015]; `bias` is zeros (out,) or None. Sizes
    are an int or a pair. `rng` None draws from NumPy's global state. Raises ValueError for sizes that make no sense.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._set_sizes(in_channels, out_channels, kernel_size, stride, padding)
        draw = np.random.standard_normal if rng is None else rng.standard_normal
        shape = self._weight_shape()
        self.weight = _kernel_major(Tensor(draw(shape) * math.sqrt(2 / math.prod(shape[1:])), requires_grad=True))
        self.bias = Tensor(np.zeros(out_channels), requires_grad=True) if bias else None

    def _set_sizes(
        self, inputs: int, outputs: int, kernel: int | Pair, stride: int | Pair, padding: int | Pair
    ) -> None:
        if inputs < 1 or outputs < 1:
            raise ValueError(f"Conv2d needs at least one channel on each side, got {inputs} -> {outputs}.")
        self.in_channels, self.out_channels = int(inputs), int(outputs)
        self.kernel_size: Any = kernel
        self.stride: Any = stride
        self.padding: Any = padding
        self._kernel = _pair("kernel_size", kernel, 1)
        self._stride = _pair("stride", stride, 1)
        self._padding = _pair("padding", padding, 0)

    def _weight_shape(self) -> tuple[int, int, int, int]:
        return (self.out_channels, self.in_channels, *self._kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a batch; raise ValueError unless it is 4-D, of in_channels channels, and as large as the kernel."""
        if x.ndim != 4:
            raise ValueError(_not_images("Conv2d", x.shape))
        self.output_shape(x.shape[1:])
        if self.bias is None:
            return Conv2dBackward.run(x, self.weight, stride=self._stride, padding=self._padding)
        return Conv2dBackward.run(x, self.weight, self.bias, stride=self._stride, padding=self._padding)

    def parameters(self) -> list[Tensor]:
        """Return [weight, bias], or [weight] without a bias."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def config(self) -> dict[str, JSON]:
        """Return the constructor's sizes, as pairs."""
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "kernel_size": list(self._kernel),
            "stride": list(self._stride),
            "padding": list(self._padding),
            "bias": self.bias is not None,
        }

    def state(self) -> dict[str, Array]:
        """Return weight and bias."""
        arrays = {"weight": self.weight.data}
        return arrays if self.bias is None else {**arrays, "bias": self.bias.data}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer around copies of these arrays."""
        layer = cls.__new__(cls)
        with checked_config(cls, config):
            sizes = (config[k] for k in ("in_channels", "out_channels", "kernel_size", "stride", "padding"))
            layer._set_sizes(*sizes)
        shapes: dict[str, tuple[int, ...]] = {"weight": layer._weight_shape()}
        if config.get("bias", True):
            shapes["bias"] = (layer.out_channels,)
        tensors = checked_state(cls, state, shapes)
        layer.weight, layer.bias = _kernel_major(tensors["weight"]), tensors.get("bias")
        return layer

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (out, H', W') for (in, H, W)."""
        if len(input_shape) != 3 or input_shape[0] != self.in_channels:
            raise ValueError(
                f"Conv2d({self.in_channels} -> {self.out_channels}) cannot take samples of shape {input_shape}: "
                f"expected ({self.in_channels}, height, width) to go with the weight of shape {self._weight_shape()}."
            )
        return (self.out_channels, *_windows("Conv2d", input_shape, self._kernel, self._stride, self._padding))

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return in·kh·kw for every output value."""
        return math.prod(self.output_shape(input_shape)) * math.prod(self._weight_shape()[1:])


class _Pool2d(Stateless):
    """What both poolings share: the window, its stride (the window's size unless given) and padding."""

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        self.kernel_size: Any = kernel_size
        self.stride: Any = kernel_size if stride is None else stride
        self.padding: Any = padding
        self._kernel = _pair("kernel_size", kernel_size, 1)
        self._stride = _pair("stride", self.stride, 1)
        self._padding = _pair("padding", padding, 0)
        if any(2 * p > k for p, k in zip(self._padding, self._kernel, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: padding {self._padding} is more than half of the window {self._kernel}, "
                "so that some windows would see only padding."
            )

    def _sizes(self, x: Tensor) -> dict[str, Pair]:
        if x.ndim != 4:
            raise ValueError(_not_images(type(self).__name__, x.shape))
        self.output_shape(x.shape[1:])
        return {"kernel": self._kernel, "stride": self._stride, "padding": self._padding}

    def config(self) -> dict[str, JSON]:
        """Return window, stride and padding, as pairs."""
        return {"kernel_size": list(self._kernel), "stride": list(self._stride), "padding": list(self._padding)}

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return (C, H', W') for (C, H, W)."""
        if len(input_shape) != 3:
            raise ValueError(f"{type(self).__name__} needs samples (channels, height, width), got {input_shape}.")
        return (
            input_shape[0],
            *_windows(type(self).__name__, input_shape, self._kernel, self._stride, self._padding),
        )


class MaxPool2d(_Pool2d):
    """Keep the largest value of each window; sizes are an int or a pair, `stride` None means the window's size."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool a batch (N, C, H, W)."""
        return MaxPool2dBackward.run(x, **self._sizes(x))


class AvgPool2d(_Pool2d):
    """Average each window, zero padding included; sizes are an int or a pair, `stride` None means the window's size."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool a batch (N, C, H, W)."""
        return AvgPool2dBackward.run(x, **self._sizes(x))


class SimpleCNN(Layer):
    """The course's small network for 3-channel 32x32 images: two convolutions, each pooled, and one linear layer."""

    def __init__(self, num_classes: int = 10) -> None:
        self.conv1 = Conv2d(3, 16, kernel_size=3, padding=1)
        self.pool1 = MaxPool2d(2)
        self.conv2 = Conv2d(16, 32, kernel_size=3, padding=1)
        self.pool2 = MaxPool2d(2)
        self.relu = ReLU()
        self.flatten = Flatten()
        self.fc = Linear(32 * 8 * 8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, num_classes) for images (N, 3, 32, 32)."""
        x = self.pool1(self.relu(self.conv1(x)))
        x = self.pool2(self.relu(self.conv2(x)))
        return self.fc.forward(self.flatten.forward(x))

    def children(self) -> dict[str, Layer]:
        """Name the layers."""
        return {name: getattr(self, name) for name in ("conv1", "pool1", "conv2", "pool2", "relu", "flatten", "fc")}


def _kernel_major(weight: Tensor) -> Tensor:
    """Lay (O, C, kh, kw) out as (kh, kw, C, O), the matrix the kernel multiplies by, so that no forward copies it.

    In-place updates keep it. Measured: 3x3, 64 to 128 channels, one 8x8 image took 144 µs with the copy, 107 without.
    """
    weight.data = np.ascontiguousarray(weight.data.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
    return weight


def _pair(name: str, value: Any, least: int) -> Pair:
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, int | np.integer) and v >= least for v in pair):
        raise ValueError(f"{name} must be an int or two ints of at least {least} (height, width), but got {value!r}.")
    return int(pair[0]), int(pair[1])


def _not_images(layer: str, shape: tuple[int, ...]) -> str:
    return (
        f"{layer} needs a 4-D input (batch, channels, height, width), but got shape {shape} with {len(shape)} axes. "
        "For one image add the batch axis: x.reshape(1, channels, height, width)."
    )


def _windows(layer: str, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    size = reference.output_size((shape[1], shape[2]), kernel, stride, padding)
    if min(size) < 1:
        raise ValueError(
            f"{layer}: a window of {kernel} does not fit into images of {shape[1:]} padded by {padding}. "
            "Use a smaller kernel_size or more padding."
        )
    return size
