"""How both models ran: instruction set, threads, working set and the cache it fits, and the kernel of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.report.row import Figure, Value
from pipeline.submission.quantities import quantity

__all__ = ["EXECUTION_HEADER", "Executed", "Execution", "execution", "execution_rows"]

Document = Mapping[str, Any]
Sides = tuple[Document, Document]

# Kernels that read weights in a smaller form than dense float32, and those that do not.
_COMPRESSED = ("linear_bs16", "linear_i4", "linear_i8", "linear_w8")
_PLAIN = ("linear_f32", "numpy")
_DECODER = "decoder"  # computes all layers of a language model, token by token

EXECUTION_HEADER = ("model", "layer", "time", "with", "computed by", "weights", "time of each candidate")


@dataclass(frozen=True)
class Executed:
    """One layer of a model as it ran, with what is fused into it; `candidates` are kernels with their times.

    `share` is that of its model's time, None where it was not measured.
    """

    side: str
    layer: str
    time: str
    fused: str
    kernel: str
    size: str
    candidates: str
    share: float | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The cells of its row."""
        return (self.side, self.layer, self.time, self.fused, self.kernel, self.size, self.candidates)


@dataclass(frozen=True)
class Execution:
    """A sentence for each model, and a row for each of its layers; empty where a submission does not say."""

    sentences: tuple[str, ...] = ()
    layers: tuple[Executed, ...] = field(default=())


def execution(comparison: Document) -> Execution:
    """Return how the models of a comparison ran."""
    sessions = {side: _session(comparison["arms"][side]) for side in ("baseline", "optimized")}
    known = {side: session for side, session in sessions.items() if session is not None}
    return Execution(
        sentences=(
            *(_sentence(side, session) for side, session in known.items()),
            *(
                _without_gain(side, layer)
                for side, session in known.items()
                for layer in session["layers"]
                if _is_plain(layer)
            ),
        ),
        layers=tuple(
            _executed(side, layer, _total_ns(session)) for side, session in known.items() for layer in session["layers"]
        ),
    )


def execution_rows(sides: Sides) -> list[Figure]:
    """Return the rows of kernels and working set for two arms; none where they do not say."""
    before, after = (_session(arm) for arm in sides)
    if before is None or after is None:
        return []
    same = before["instruction_set"] == after["instruction_set"] and before["threads"] == after["threads"]
    ratio = before["working_set_bytes"] / max(after["working_set_bytes"], 1)
    change = "same" if ratio == 1 else f"{quantity(max(ratio, 1 / max(ratio, 1e-9)), 'ratio')} {_smaller(ratio)}"
    return [
        Figure("kernels", Value(_kernels(before)), Value(_kernels(after)), _where(after) if same else Value("")),
        Figure("working set", _working_set(before), _working_set(after), Value(change)),
    ]


def _smaller(ratio: float) -> str:
    return "smaller" if ratio > 1 else "larger"


def _session(arm: Document) -> Document | None:
    found: Document | None = arm.get("session")
    return found


def _kernels(session: Document) -> str:
    """Return the kernels of the layers that have weights, in order; all of them if none has.

    What continues texts is not a chain of layers.
    """
    heavy = [layer for layer in session["layers"] if layer["size_bytes"]] or session["layers"]
    return ", ".join(dict.fromkeys(layer["computed_by"] for layer in heavy)) or _DECODER


def _where(session: Document) -> Value:
    """Return the instruction set and the threads; of a network that NumPy computes alone no instruction set."""
    threads, layers = session["threads"], session["layers"]
    is_native = not layers or any(layer["computed_by"] != "numpy" for layer in layers)
    name = session["instruction_set"] if is_native else "numpy"
    return Value(name, f"on {threads} thread{'s' if threads > 1 else ''}")


def _working_set(session: Document) -> Value:
    return Value(quantity(session["working_set_bytes"], "B"), f"({session['fits']})" if session["fits"] else "")


def _sentence(side: str, session: Document) -> str:
    why = f" ({session['reference_reason']})" if session["reference_reason"] else ""
    size = quantity(session["working_set_bytes"], "B")
    place = {None: "", "memory": ", more than any cache"}.get(session["fits"], f", which fits {session['fits']}")
    return f"{side}: {_where(session).full}{why}; a call touches {size}{place}"


def _is_plain(layer: Document) -> bool:
    """Say whether a layer whose weights could be read in a smaller form is computed faster without it."""
    return layer["computed_by"] in _PLAIN and any(kernel in _COMPRESSED for kernel in layer["candidates_ns"])


def _without_gain(side: str, layer: Document) -> str:
    kernel = layer["computed_by"]
    others = {name: ns for name, ns in layer["candidates_ns"].items() if name in _COMPRESSED}
    times = ", ".join(f"{name} {quantity(ns, 'ns')}" for name, ns in others.items())
    taken = quantity(layer["candidates_ns"][kernel], "ns")
    return f"{side}: {layer['name']} gains no time from a smaller form and runs as {kernel}: {taken}, {times}"


def _total_ns(session: Document) -> float:
    return float(sum(layer.get("time_ns", 0) for layer in session["layers"]))


def _executed(side: str, layer: Document, total_ns: float) -> Executed:
    times = layer["candidates_ns"].items()
    return Executed(
        side=side,
        layer=layer["name"],
        time=quantity(layer.get("time_ns"), "ns"),
        fused=", ".join(name for name in layer["names"] if name != layer["name"]),
        kernel=layer["computed_by"],
        size=quantity(layer["size_bytes"], "B"),
        candidates=", ".join(name if ns is None else f"{name} {quantity(ns, 'ns')}" for name, ns in times),
        share=layer["time_ns"] / total_ns if total_ns and "time_ns" in layer else None,
    )
