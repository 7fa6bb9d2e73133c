"""What steps did to the model adds up, and the sizes that are stated are those that the steps left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["broken_account"]

Broken = tuple[str, tuple[str | int, ...], str]

_TOTALS = ("macs", "nonzero", "parameters")  # of layers and of steps
_SIZES = {"macs": "macs", "nonzero": "nonzero_parameters", "parameters": "parameters", "stored_bytes": "stored_bytes"}


def broken_account(document: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield (rule, path, message) for every sum and every link between steps that does not hold."""
    size, effects = document["size"], document["effects"]
    left = {name: size["baseline"][key] for name, key in _SIZES.items()}
    for i, effect in enumerate(effects):
        for name, value in left.items():
            if effect[f"{name}_before"] != value:
                where = ("effects", i, f"{name}_before")
                yield "R033", where, f"found {effect[f'{name}_before']}, expected {value}, which was left before"
        left = {name: effect[f"{name}_after"] for name in left}
        yield from _layers(effect, ("effects", i))
    for name, value in left.items():
        if size["optimized"][_SIZES[name]] != value:
            place = ("size", "optimized", _SIZES[name])
            yield "R033", place, f"found {size['optimized'][_SIZES[name]]}, expected {value}, which the steps left"
    for side, record in size.items():
        bits = 8 * record["weight_bytes"] / record["parameters"] if record["parameters"] else 0.0
        if not math.isclose(record["bits_per_weight"], bits, rel_tol=1e-9):
            place = ("size", side, "bits_per_weight")
            yield "R032", place, f"found {record['bits_per_weight']}, expected {bits}: 8 weight_bytes / parameters"
        if record["nonzero_parameters"] > record["parameters"]:
            yield "R032", ("size", side, "nonzero_parameters"), "expected at most as many as there are parameters"


def _layers(effect: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[Broken]:
    for name in (f"{total}_{when}" for total in _TOTALS for when in ("before", "after")):
        total = sum(layer[name] for layer in effect["layers"])
        if effect["layers"] and total > effect[name]:
            yield "R033", (*path, name), f"found {effect[name]}, expected at least {total}, the sum of its layers"
