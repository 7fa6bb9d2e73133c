"""An ONNX graph in the making, as plain values: operations and constant arrays, not yet bytes.

Knows nothing of layers, and nothing of the onnx package, which turns the finished graph into a file (`onnx_model.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Graph", "Operation"]

Array: TypeAlias = NDArray[Any]

_NEVER_NEGATIVE = frozenset({"Relu", "Sigmoid", "Softmax"})
_KEEPS_SIGN = frozenset({"AveragePool", "DequantizeLinear", "Flatten", "Identity", "MaxPool", "QuantizeLinear"})


@dataclass(frozen=True)
class Operation:
    """One node: its operator, the names of the values it takes and the one it gives, and its attributes."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


@dataclass
class Graph:
    """Operations in order of execution and named constants; every value has a name of its own.

    `scales` are calibrated scales: of the input of a layer by its dotted name, of what a residual adds up by the name
    with ".body" or ".shortcut". With `is_exact` none are needed.
    """

    scales: Mapping[str, float]
    is_exact: bool = False
    operations: list[Operation] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    _rounded: dict[tuple[str, float], str] = field(default_factory=dict)
    _not_negative: set[str] = field(default_factory=set)

    def constant(self, name: str, array: Array) -> str:
        """Add a constant; return its name."""
        self.constants[name] = np.array(array, order="C")  # ascontiguousarray would make a scalar an axis
        return name

    def add(self, kind: str, inputs: tuple[str, ...], name: str, **attributes: Any) -> str:
        """Add an operation whose one output is called `name`; return that."""
        self.operations.append(Operation(kind, inputs, name, attributes))
        if kind in _NEVER_NEGATIVE or (kind in _KEEPS_SIGN and inputs[0] in self._not_negative):
            self._not_negative.add(name)
        return name

    def rounded(self, value: str, scale: float, name: str, is_added: bool = False) -> str:
        """Round a value to 8-bit integers times `scale` and back (a QuantizeLinear/DequantizeLinear pair).

        What cannot be negative becomes unsigned with zero point 0: the integers up to 127 are those of a signed one,
        and a runtime may then leave out a ReLU before the pair and run convolutions on integers (onnxruntime does only
        so). Else it is signed; but unsigned around 128 if it `is_added`, because a sum on integers needs one type.
        (Not as the input of a product: processors without VNNI add pairs of u8 * s8 in 16 bits, which 127 * 127 fits,
        but 255 * 127 does not.) Two layers that round the same value share the pair.
        """
        if (value, scale) not in self._rounded:
            may_be_negative = value not in self._not_negative
            kind = np.int8 if may_be_negative and not is_added else np.uint8
            zero = np.array(128 if may_be_negative and is_added else 0, kind)
            arguments = (
                self.constant(f"scale.{scale!r}", np.array(scale, np.float32)),
                self.constant(f"zero.{zero.dtype}.{zero}", zero),
            )
            integers = self.add("QuantizeLinear", (value, *arguments), f"{name}.integers")
            self._rounded[value, scale] = self.add("DequantizeLinear", (integers, *arguments), f"{name}.rounded")
        return self._rounded[value, scale]
