"""Linear, Dropout, Flatten and Sequential."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from tinytorch.core.arithmetic import LinearBackward, MulBackward
from tinytorch.core.function import Array
from tinytorch.core.layer import JSON, Layer, Leaf, Stateless, checked_config, checked_state
from tinytorch.core.tensor import Tensor

__all__ = ["Dense", "Dropout", "Flatten", "Layer", "Linear", "Sequential"]


class Linear(Leaf):
    """y = x·W + b: (..., in_features) -> (..., out_features).

    `weight` is (in, out), drawn from N(0, 1/in) [LeCun et al., Efficient BackProp, 1998]; `bias` is zeros (out,) or
    None. `rng` None draws from NumPy's global state, so np.random.seed applies.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, rng: np.random.Generator | None = None
    ) -> None:
        if in_features < 1 or out_features < 1:
            raise ValueError(f"Linear needs at least one feature on each side, got {in_features} -> {out_features}.")
        draw = np.random.standard_normal if rng is None else rng.standard_normal
        self.in_features, self.out_features = int(in_features), int(out_features)
        self.weight = Tensor(draw((in_features, out_features)) / math.sqrt(in_features), requires_grad=True)
        self.bias = Tensor(np.zeros(out_features), requires_grad=True) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Apply the affine map to the last axis; raise ValueError if its length is not in_features."""
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"Linear({self.in_features}, {self.out_features}) got an input of shape {x.shape}, but its last axis "
                f"must be {self.in_features} to multiply the weight of shape {self.weight.shape}. "
                "Flatten images first: Flatten(), or x.reshape(batch, -1)."
            )
        if self.bias is None:
            return LinearBackward.run(x, self.weight)
        return LinearBackward.run(x, self.weight, self.bias)

    def parameters(self) -> list[Tensor]:
        """Return [weight, bias], or [weight] without a bias."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def config(self) -> dict[str, JSON]:
        """Return in_features, out_features and whether there is a bias."""
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}

    def state(self) -> dict[str, Array]:
        """Return weight and bias."""
        arrays = {"weight": self.weight.data}
        return arrays if self.bias is None else {**arrays, "bias": self.bias.data}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer around copies of these arrays."""
        with checked_config(cls, config):
            features = int(config["in_features"]), int(config["out_features"])
        shapes: dict[str, tuple[int, ...]] = {"weight": features}
        if config.get("bias", True):
            shapes["bias"] = (features[1],)
        layer = cls.__new__(cls)
        layer.in_features, layer.out_features = features
        tensors = checked_state(cls, state, shapes)
        layer.weight, layer.bias = tensors["weight"], tensors.get("bias")
        return layer

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Replace the last axis by out_features."""
        if not input_shape or input_shape[-1] != self.in_features:
            raise ValueError(
                f"Linear({self.in_features}, {self.out_features}) cannot take samples of shape {input_shape}: "
                f"the last axis must be {self.in_features}."
            )
        return (*input_shape[:-1], self.out_features)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return in·out for each vector of the sample."""
        return math.prod(self.output_shape(input_shape)) * self.in_features


Dense = Linear


class Dropout(Stateless):
    """Zero each value with probability `p` while training and scale the rest by 1/(1-p) [Srivastava et al., 2014].

    Raises ValueError for p outside [0, 1]. `rng` None draws from NumPy's global state.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"Dropout needs a probability between 0 and 1, but got p={p}.")
        self.p = float(p)
        self.rng = rng

    def forward(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Drop values if `training`; left out, the layer's own train()/eval() mode decides."""
        if not (self.training if training is None else training) or self.p == 0.0:
            return x
        if self.p == 1.0:
            return MulBackward.run(x, Tensor._wrap(np.zeros((), np.float32)))
        uniform = np.random.random_sample(x.shape) if self.rng is None else self.rng.random(x.shape, np.float32)
        mask = (uniform >= self.p).astype(np.float32)
        mask *= np.float32(1.0 / (1.0 - self.p))
        return MulBackward.run(x, Tensor._wrap(mask))

    def config(self) -> dict[str, JSON]:
        """Return p."""
        return {"p": self.p}


class Flatten(Stateless):
    """Join all axes of a sample: (N, ...) -> (N, product)."""

    def forward(self, x: Tensor) -> Tensor:
        """Keep the batch axis and flatten the rest in row-major order; raise ValueError without a batch axis."""
        if x.ndim < 1:
            raise ValueError("Flatten needs a batch axis, but got a 0-dimensional tensor.")
        return x if x.ndim == 2 else x.reshape(x.shape[0], -1 if x.size else math.prod(x.shape[1:]))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the number of values of a sample."""
        return (math.prod(input_shape),)


class Sequential(Layer):
    """Run layers one after the other; takes them as arguments or as one list, and keeps them in `.layers`."""

    def __init__(self, *layers: Layer | list[Layer] | tuple[Layer, ...]) -> None:
        if len(layers) == 1 and isinstance(layers[0], list | tuple):
            self.layers: list[Layer] = list(layers[0])
        else:
            self.layers = list(layers)  # type: ignore[arg-type]
        for at, layer in enumerate(self.layers):
            if not callable(getattr(layer, "forward", None)):
                kind = type(layer).__name__
                raise TypeError(f"Sequential runs layers, but number {at} is a {kind} without forward().")

    def forward(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Feed `x` through every layer; `training`, if given, overrides the mode of the Dropouts inside."""
        at = 0
        try:
            for at, layer in enumerate(self.layers):  # noqa: B007 - named in the error
                if training is not None and isinstance(layer, Dropout | Sequential):
                    x = layer.forward(x, training)
                else:
                    x = layer.forward(x)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise ValueError(f"{[*self.children()][at]}: {error}") from error
        return x

    def children(self) -> dict[str, Layer]:
        """Name the layers by position: "0", "1", …."""
        return {str(i): layer for i, layer in enumerate(self.layers)}

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Follow the shape of a sample through every layer."""
        for layer in self.layers:
            input_shape = layer.output_shape(input_shape)
        return input_shape

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Sum the multiply-accumulates of all layers."""
        total = 0
        for layer in self.layers:
            total += layer.macs(input_shape)
            input_shape = layer.output_shape(input_shape)
        return total
