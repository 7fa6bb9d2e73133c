"""Linear and convolution layers with pruned weights: small in a file, dense when they run.

A mask says which weights are kept. The file leaves out the others; in memory they are zeros that are multiplied like
any weight, because NumPy has no product that skips them, so nothing here is faster. (An inference session may skip
blocks of a linear layer of which nothing is left.) Training keeps them at zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.arithmetic import LinearBackward, MulBackward
from tinytorch.core.function import is_grad_enabled
from tinytorch.core.layer import JSON, Leaf
from tinytorch.core.layers import Linear
from tinytorch.core.spatial import Conv2d, Conv2dBackward
from tinytorch.core.tensor import Tensor
from tinytorch.runtime import storage as storages
from tinytorch.runtime.geometry import ConvGeometry, LinearGeometry

__all__ = ["Sparse", "SparseConv2d", "SparseLinear", "masked_linear"]

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]


class Sparse(Leaf):
    """What the layers share: the dense layer that each wraps, and the mask (of its weight's shape) of what is kept."""

    dense: Linear | Conv2d
    _dense_type: ClassVar[type[Linear] | type[Conv2d]]

    def __init__(self, dense: Linear | Conv2d, mask: Mask, storage: str | None = None) -> None:
        if mask.shape != dense.weight.shape or mask.dtype != np.bool_:
            raise ValueError(f"the mask must be bool of shape {dense.weight.shape}, not {mask.dtype} {mask.shape}.")
        self.dense = self._dense_type.from_state(dense.config(), dense.state())
        self.dense.weight.data = np.where(mask, self.dense.weight.data, np.float32(0))
        self.mask = mask.copy()
        self.storage = storage or storages.smallest(mask.reshape(len(mask), -1), 32)

    @property
    def weight(self) -> Tensor:
        """The weight with its zeros."""
        return self.dense.weight

    @property
    def bias(self) -> Tensor | None:
        """The bias, never pruned."""
        return self.dense.bias

    def parameters(self) -> list[Tensor]:
        """Return [weight, bias], or [weight] without a bias; pruned weights get no gradient."""
        return self.dense.parameters()

    def parameter_count(self) -> int:
        """Return the number of weights and biases, pruned ones included."""
        return sum(tensor.size for tensor in self.parameters())

    def nonzero_count(self) -> int:
        """Return how many of them are not zero."""
        return sum(int(np.count_nonzero(tensor.data)) for tensor in self.parameters())

    def working_set_bytes(self) -> int:
        """Return the bytes a forward pass reads: the dense float32 weight and the bias, not what is stored."""
        return sum(tensor.data.nbytes for tensor in self.parameters())

    def config(self) -> dict[str, JSON]:
        """Return the dense layer's config and the storage: `dense`, `bitmask`, `csr`, `gaps` or `holes`."""
        return {**self.dense.config(), "storage": self.storage}

    def state(self) -> dict[str, Array]:
        """Return the stored arrays: the encoded weight, and the bias."""
        arrays = dict(self.dense.state())
        rows = arrays.pop("weight").reshape(len(self.mask), -1)
        return {**storages.store(rows, self.mask.reshape(rows.shape), self.storage, 32), **arrays}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> Self:
        """Build the layer from encoded arrays; raises ModelFileError where they do not fit `config`."""
        dense_config = {name: value for name, value in config.items() if name != "storage"}
        storage = config.get("storage", "")
        shape = cls._weight_shape(config)
        rows, mask = storages.restore(state, storage, 32, (shape[0], math.prod(shape[1:])))
        others = {name: array for name, array in state.items() if name not in storages.ARRAYS[storage]}
        dense = cls._dense_type.from_state(dense_config, {"weight": rows.reshape(shape), **others})
        return cls(dense, mask.reshape(shape), storage)

    @staticmethod
    def _weight_shape(config: Mapping[str, Any]) -> tuple[int, ...]:
        raise NotImplementedError

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output sample."""
        return self.dense.output_shape(input_shape)

    def macs(self, input_shape: tuple[int, ...]) -> int:
        """Return the multiply-accumulates of one sample; zeros are multiplied too."""
        return self.dense.macs(input_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Compute as the dense layer does; while gradients are recorded, pruned weights are cut off from theirs."""
        if not is_grad_enabled():
            return self.dense.forward(x)
        # Zero gradients keep a zero weight at zero under every optimizer here, with momentum and weight decay too.
        weight = MulBackward.run(self.dense.weight, Tensor(self.mask))
        return self._masked_forward(x, weight)

    def _masked_forward(self, x: Tensor, weight: Tensor) -> Tensor:
        raise NotImplementedError


class SparseLinear(Sparse):
    """A Linear of which only the weights in a mask (in, out) are kept."""

    dense: Linear
    _dense_type = Linear

    @staticmethod
    def _weight_shape(config: Mapping[str, Any]) -> tuple[int, ...]:
        return LinearGeometry.from_config(config).weight_shape[::-1]

    def _masked_forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return masked_linear(self.dense, x, weight)


class SparseConv2d(Sparse):
    """A Conv2d of which only the weights in a mask (O, C, kh, kw) are kept."""

    dense: Conv2d
    _dense_type = Conv2d

    @staticmethod
    def _weight_shape(config: Mapping[str, Any]) -> tuple[int, ...]:
        return ConvGeometry.from_config(config).weight_shape

    def _masked_forward(self, x: Tensor, weight: Tensor) -> Tensor:
        self.dense.output_shape(x.shape[1:])
        geometry = ConvGeometry.from_config(self.dense.config())
        sizes = {"stride": geometry.stride, "padding": geometry.padding}
        bias = self.dense.bias
        return Conv2dBackward.run(x, weight, **sizes) if bias is None else Conv2dBackward.run(x, weight, bias, **sizes)


def masked_linear(dense: Linear, x: Tensor, weight: Tensor) -> Tensor:
    """Compute what a Linear does, with another `weight` (in, out) that gradients flow into."""
    dense.output_shape(x.shape)
    return LinearBackward.run(x, weight) if dense.bias is None else LinearBackward.run(x, weight, dense.bias)
