"""What a pass did, in numbers: per layer and for the whole network, before and after.

Every size is that of bytes that are stored: a network's is its serialized length, a layer's that of its state arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tinytorch.core.layer import Layer
from tinytorch.models.network import Network
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear
from tinytorch.serialization import stored_bytes

__all__ = ["Effect", "LayerEffect", "measure_effect"]


@dataclass(frozen=True)
class LayerEffect:
    """One layer before and after a pass.

    `kind` is its type before, `bytes` the size of its stored arrays, `bits` the width of a stored weight, `macs` the
    multiply-accumulates executed for one sample.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    parameters_before: int
    parameters_after: int
    nonzero_before: int
    nonzero_after: int
    bytes_before: int
    bytes_after: int
    macs_before: int
    macs_after: int
    bits_before: int
    bits_after: int


@dataclass(frozen=True)
class Effect:
    """A whole pass. `simulated` says that what it removed is not skipped when the network runs, so it gains no speed.

    `layers` are those the pass matched or changed, in execution order; `warnings` are sentences with their numbers.
    """

    technique: str
    settings: Mapping[str, Any]
    layers: tuple[LayerEffect, ...]
    stored_bytes_before: int
    stored_bytes_after: int
    macs_before: int
    macs_after: int
    parameters_before: int
    parameters_after: int
    nonzero_before: int
    nonzero_after: int
    simulated: bool
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the effect as plain JSON values."""
        plain = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def measure_effect(
    technique: str,
    settings: Mapping[str, Any],
    before: Network,
    after: Network,
    matched: Mapping[str, Mapping[str, Any]],
    simulated: bool = False,
    warnings: Sequence[str] = (),
) -> Effect:
    """Compare two networks by the names of the layers before; `matched` gives the settings each was treated with.

    A layer that became several, whose names continue its own, is their sum; one that is gone counts as nothing. Layers
    that were not matched but changed all the same (narrowed because their input was) are listed too.
    """
    old, parts = _facts(before), _facts(after)
    new = {name: _together(name, parts, facts["bits"]) for name, facts in old.items()}
    layers = tuple(
        LayerEffect(name, type(layer).__name__, matched.get(name, {}), **_changes(old[name], new[name]))
        for name, layer in before.named_layers()
        if name in matched or old[name] != new[name]
    )
    return Effect(
        technique,
        settings,
        layers,
        stored_bytes_before=stored_bytes(before),
        stored_bytes_after=stored_bytes(after),
        macs_before=before.macs(),
        macs_after=after.macs(),
        parameters_before=before.parameter_count(),
        parameters_after=after.parameter_count(),
        nonzero_before=before.nonzero_count(),
        nonzero_after=after.nonzero_count(),
        simulated=simulated,
        warnings=tuple(warnings),
    )


def _facts(model: Network) -> dict[str, dict[str, int]]:
    return {
        name: {
            "parameters": layer.parameter_count(),
            "nonzero": layer.nonzero_count(),
            "bytes": sum(array.nbytes for array in layer.state().values()),
            "macs": layer.macs(shape),
            "bits": _bits(layer),
        }
        for name, layer, shape, _ in model.named_shapes()
    }


def _together(name: str, parts: Mapping[str, Mapping[str, int]], bits: int) -> dict[str, int]:
    """Return the facts of a layer, or of those that took its place; the `bits` are those before where none is left."""
    inside = [facts for part, facts in parts.items() if part == name or part.startswith(f"{name}.")]
    sums = {fact: sum(facts[fact] for facts in inside) for fact in ("parameters", "nonzero", "bytes", "macs")}
    return {**sums, "bits": max((facts["bits"] for facts in inside), default=bits)}


def _bits(layer: Layer) -> int:
    return layer.scheme.bits if isinstance(layer, QuantizedLinear | QuantizedConv2d) else 32


def _changes(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, int]:
    return {f"{fact}_{when}": values[fact] for fact in old for when, values in (("before", old), ("after", new))}
