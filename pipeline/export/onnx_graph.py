"""An ONNX graph in the making, as plain values: operations and constant arrays, not yet bytes.

Knows nothing of layers, and nothing of the onnx package, which turns the finished graph into a file (`onnx.py`).
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
_KEEPS_SIGN = frozenset({"AveragePool", "Flatten", "Identity", "MaxPool"})


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

    `scales` are calibrated scales of the inputs of layers, by the layer's dotted name.
    """

    scales: Mapping[str, float]
    operations: list[Operation] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    _rounded: dict[tuple[str, float], str] = field(default_factory=dict)
    _not_negative: set[str] = field(default_factory=set)

    def constant(self, name: str, array: Array) -> str:
        """Add a constant; return its name."""
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def add(self, kind: str, inputs: tuple[str, ...], name: str, **attributes: Any) -> str:
        """Add an operation whose one output is called `name`; return that."""
        self.operations.append(Operation(kind, inputs, name, attributes))
        if kind in _NEVER_NEGATIVE or (kind in _KEEPS_SIGN and inputs[0] in self._not_negative):
            self._not_negative.add(name)
        return name

    def rounded(self, value: str, scale: float, name: str) -> str:
        """Round a value to 8-bit integers times `scale` and back (a QuantizeLinear/DequantizeLinear pair).

        What cannot be negative becomes unsigned with zero point 0, else signed: the integers up to 127 are the same,
        and a runtime may then leave out a ReLU before the pair and run convolutions on integers (onnxruntime does only
        so). Two layers that round the same value share the pair.
        """
        if (value, scale) not in self._rounded:
            kind = np.uint8 if value in self._not_negative else np.int8
            arguments = (
                self.constant(f"{name}.input_scale", np.array(scale, np.float32)),
                self.constant(f"{name}.input_zero", np.array(0, kind)),
            )
            integers = self.add("QuantizeLinear", (value, *arguments), f"{name}.integers")
            self._rounded[value, scale] = self.add("DequantizeLinear", (integers, *arguments), f"{name}.rounded")
        return self._rounded[value, scale]
