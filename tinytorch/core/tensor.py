"""The tensor: a float32 array that can remember how it was computed.

Operators and methods only check and convert their arguments; the ops themselves are in arithmetic.py and shaping.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.exceptions import AxisError

from tinytorch.core import arithmetic, shaping
from tinytorch.core.function import Array, Function, Node, run_backward
from tinytorch.core.shapes import axis_problem, stack_problem

__all__ = ["BYTES_PER_FLOAT32", "KB_TO_BYTES", "MB_TO_BYTES", "Tensor"]

BYTES_PER_FLOAT32 = 4
KB_TO_BYTES = 1024
MB_TO_BYTES = 1024 * 1024

Operand: TypeAlias = "Tensor | float | npt.NDArray[Any]"
Axis: TypeAlias = "int | tuple[int, ...] | None"


class Tensor(Node):
    """A float32 array with optional gradient tracking.

    `data` is copied from numbers, (nested) lists, arrays or another Tensor; a list or tuple of Tensors is stacked.
    `grad` is a plain array of the same shape, or None; `backward()` adds to it until `zero_grad()`.
    Raises ValueError for data that is not a rectangular block of numbers.
    """

    __array_priority__ = 1000  # array + tensor is ours to compute

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            data = data._data
        elif isinstance(data, list | tuple) and data and isinstance(data[0], Tensor):
            data = _stacked([t.data if isinstance(t, Tensor) else np.asarray(t) for t in data])
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise ValueError(f"{_not_numbers(data)}: {error}") from error
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{_not_numbers(data)}.")
        self._data = array.astype(np.float32)
        self.requires_grad = bool(requires_grad)
        self.grad = None

    # What it holds ------------------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The values; assigning converts to float32."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        self._data = np.asarray(value, dtype=np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._data.shape

    @property
    def size(self) -> int:
        """The number of values."""
        return self._data.size

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return self._data.dtype

    def numpy(self) -> Array:
        """Return the values as an array that shares memory with the tensor."""
        return self._data

    def numel(self) -> int:
        """Return the number of values."""
        return self._data.size

    def memory_footprint(self) -> int:
        """Return the bytes its values occupy."""
        return self._data.nbytes

    def contiguous(self) -> Tensor:
        """Return the tensor itself if its values lie in row-major order, else a tensor where they do."""
        if self._data.flags.c_contiguous:
            return self
        return shaping.ReshapeBackward.run(self, original_shape=self.shape, shape=(self.size,)).reshape(self.shape)

    def __repr__(self) -> str:
        return f"Tensor(data={self._data}, shape={self.shape})"

    def __str__(self) -> str:
        return f"Tensor({self._data})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._data, dtype=dtype) if copy else np.asarray(self._data, dtype=dtype)

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("A 0-dimensional Tensor holds one number and cannot be iterated over.")
        return (self[i] for i in range(self.shape[0]))

    # Arithmetic ---------------------------------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Tensor:
        return arithmetic.AddBackward.run(self, _operand(other))

    def __sub__(self, other: Operand) -> Tensor:
        return arithmetic.SubBackward.run(self, _operand(other))

    def __mul__(self, other: Operand) -> Tensor:
        return arithmetic.MulBackward.run(self, _operand(other))

    def __truediv__(self, other: Operand) -> Tensor:
        return arithmetic.DivBackward.run(self, _operand(other))

    def __radd__(self, other: Operand) -> Tensor:
        return arithmetic.AddBackward.run(_operand(other), self)

    def __rsub__(self, other: Operand) -> Tensor:
        return arithmetic.SubBackward.run(_operand(other), self)

    def __rmul__(self, other: Operand) -> Tensor:
        return arithmetic.MulBackward.run(_operand(other), self)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return arithmetic.DivBackward.run(_operand(other), self)

    def __neg__(self) -> Tensor:
        return arithmetic.MulBackward.run(self, _operand(-1.0))

    def __matmul__(self, other: Tensor) -> Tensor:
        return self.matmul(other)

    def matmul(self, other: Tensor) -> Tensor:
        """Multiply matrices: (..., m, k) @ (..., k, n) -> (..., m, n), leading axes broadcast.

        Raises TypeError unless `other` is a Tensor, ValueError for 0-D tensors and for shapes that do not fit.
        """
        if not isinstance(other, Tensor):
            raise TypeError(
                f"Matrix multiplication needs a Tensor on both sides, but the right one is {type(other).__name__}. "
                "Wrap it: a @ Tensor(b); to scale by a number use a * number."
            )
        _check_matmul(self.shape, other.shape)
        return arithmetic.MatmulBackward.run(self, other)

    # Shape --------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Tensor:
        return shaping.SliceBackward.run(self, key=_index(key))

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        """Return the values in another shape, in row-major order; one dimension may be -1 and is worked out.

        Raises ValueError for a dimension of 0 or below -1, for two -1, and for another number of values.
        """
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        return shaping.ReshapeBackward.run(self, original_shape=self.shape, shape=_resolved(self.shape, tuple(wanted)))  # type: ignore[arg-type]

    def view(self, *shape: int | tuple[int, ...]) -> Tensor:
        """Do what `reshape` does."""
        return self.reshape(*shape)

    def transpose(self, dim0: int | None = None, dim1: int | None = None) -> Tensor:
        """Swap two axes; without arguments the last two. Raises ValueError if only one is given or out of range."""
        if (dim0 is None) != (dim1 is None):
            raise ValueError(
                f"transpose() needs both axes or none, but got dim0={dim0}, dim1={dim1}. "
                "Write x.transpose(0, 1), or x.transpose() to swap the last two."
            )
        if dim0 is None or dim1 is None:
            if self.ndim < 2:
                return self.reshape(self.shape)
            dim0, dim1 = self.ndim - 2, self.ndim - 1
        for dim in (dim0, dim1):
            if not -self.ndim <= dim < self.ndim:
                raise ValueError(
                    f"transpose({dim0}, {dim1}): axis {dim} does not exist in shape {self.shape}, which has "
                    f"{self.ndim} axes; valid are {-self.ndim} to {self.ndim - 1}."
                )
        return shaping.TransposeBackward.run(self, dim0=dim0, dim1=dim1)

    def masked_fill(self, mask: Tensor | npt.ArrayLike, value: float) -> Tensor:
        """Replace the values where `mask` (broadcast to this shape) is nonzero by `value`."""
        where = np.asarray(mask._data if isinstance(mask, Tensor) else mask).astype(bool)
        try:
            where = np.broadcast_to(where, self.shape)
        except ValueError as error:
            raise ValueError(
                f"masked_fill: the mask's shape {where.shape} cannot be broadcast to the tensor's shape {self.shape}. "
                "Each mask axis, counted from the right, must be 1 or equal to the tensor's."
            ) from error
        return shaping.MaskedFillBackward.run(self, mask=where, value=float(value))

    # Reduction ----------------------------------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Sum over `axis`, or over everything; raises ValueError for an axis that there is not."""
        return self._reduced("sum", shaping.SumBackward, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Average over `axis`, or over everything; raises ValueError for an axis that there is not."""
        return self._reduced("mean", shaping.MeanBackward, axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Take the largest value over `axis`, or of everything; equal maxima share the gradient.

        Raises ValueError for an axis that there is not.
        """
        return self._reduced("max", shaping.MaxBackward, axis, keepdims)

    def _reduced(self, name: str, operation: type[Function], axis: Axis, keepdims: bool) -> Tensor:
        try:
            return operation.run(self, axis=axis, keepdims=keepdims)
        except AxisError as error:
            raise axis_problem(f"{name}(axis={axis})", self.shape, axis) from error

    # Gradients ----------------------------------------------------------------------------------------------------

    def backward(self, gradient: Tensor | npt.ArrayLike | None = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor to the `.grad` of everything it was computed from.

        `gradient` (this shape) may be left out for a single value. A tensor that tracks no gradient is left alone.
        Raises ValueError if it is missing or of another shape, RuntimeError if an earlier call freed the graph.
        """
        if not self.requires_grad:
            return
        if gradient is None:
            if self.size != 1:
                raise ValueError(
                    f"backward() on a tensor of shape {self.shape} needs a gradient of the same shape: only a single "
                    "value has an implied one. Call loss.mean().backward(), or y.backward(np.ones(y.shape))."
                )
            gradient = np.ones(self.shape, np.float32)
        seed = np.asarray(gradient._data if isinstance(gradient, Tensor) else gradient, dtype=np.float32)
        if seed.shape != self.shape:
            raise ValueError(
                f"backward() got a gradient of shape {seed.shape} for a tensor of shape {self.shape}; "
                "they must be equal."
            )
        run_backward(self, seed, retain_graph)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None


def _not_numbers(data: Any) -> str:
    return f"A Tensor needs numbers in a rectangular block, but got {type(data).__name__} {str(data)[:80]!r}"


def _operand(value: Operand) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return Tensor._wrap(np.asarray(value, np.float32))


def _index(key: Any) -> Any:
    """Turn tensors inside an index into integer arrays."""
    if isinstance(key, Tensor):
        return key._data.astype(np.intp)
    if isinstance(key, tuple):
        return tuple(_index(k) for k in key)
    return key


def _resolved(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    size = math.prod(old)
    if new != old:
        for n in new:
            if n == 0 or n < -1:
                raise ValueError(
                    f"Cannot reshape {old} to {new}: a dimension must be positive, or -1 once to have it worked out; "
                    f"got {n}."
                )
    if -1 in new:
        known = math.prod(n for n in new if n != -1)
        if new.count(-1) > 1 or size % known:
            raise ValueError(
                f"Cannot reshape {old} ({size} values) to {new}: one dimension may be -1, and the others' product "
                f"({known}) must divide {size}."
            )
        return tuple(size // known if n == -1 else n for n in new)
    if math.prod(new) != size:
        raise ValueError(
            f"Cannot reshape {old} to {new}: the first holds {size} values, the second {math.prod(new)}. "
            "Use -1 for one dimension to have it worked out."
        )
    return new


def _stacked(arrays: list[Array]) -> Array:
    try:
        return np.stack(arrays)
    except ValueError as error:
        raise stack_problem([array.shape for array in arrays]) from error


def _check_matmul(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    if not left or not right:
        raise ValueError(
            f"Matrix multiplication needs at least one axis on both sides, but the shapes are {left} and {right}. "
            "To multiply by a single number use *."
        )
    inner = right[-2] if len(right) > 1 else right[0]
    if left[-1] != inner:
        raise ValueError(
            f"Cannot multiply shapes {left} @ {right}: the inner dimensions differ, {left[-1]} ≠ {inner}. "
            f"The last axis of the left tensor must equal the second to last of the right one."
        )
    for a, b in zip(reversed(left[:-2]), reversed(right[:-2]), strict=False):
        if a != b and 1 not in (a, b):
            raise ValueError(f"Cannot multiply shapes {left} @ {right}: the leading axes {a} and {b} do not broadcast.")
