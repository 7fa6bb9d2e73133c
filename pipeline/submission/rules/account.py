"""What steps did to the model adds up, and the sizes that are stated are those that the steps left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.stats.accuracy import accuracy_record
from pipeline.submission.rules.agree import disagreements, shown

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
    yield from _accuracies(document)
    yield from _ids(document)
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
            message = f"found {record['nonzero_parameters']}, expected at most {record['parameters']}, all parameters"
            yield "R032", ("size", side, "nonzero_parameters"), message


def _layers(effect: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[Broken]:
    for name in (f"{total}_{when}" for total in _TOTALS for when in ("before", "after")):
        total = sum(layer[name] for layer in effect["layers"])
        if effect["layers"] and total > effect[name]:
            yield "R033", (*path, name), f"found {effect[name]}, expected at least {total}, the sum of its layers"


def _accuracies(document: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield accuracies after a step that are no number of right answers, or no link from the baseline to the model."""
    counts, effects = document["provenance"]["data"]["counts"], document["effects"]
    for split in ("validation", "test"):
        before = document["accuracy"]["baseline"][split]["accuracy"]
        for i, effect in enumerate(effects):
            if "accuracy" not in effect or not counts[split]:
                break
            found, where = effect["accuracy"][split], ("effects", i, "accuracy", split)
            right = round(found["accuracy"] * counts[split])
            record = accuracy_record(min(right, counts[split]), counts[split])
            if i == len(effects) - 1:
                record = document["accuracy"]["optimized"][split]
            wanted = {key: record[key] for key in ("accuracy", "interval")} | {"change": record["accuracy"] - before}
            for path, message in disagreements({key: found[key] for key in wanted}, wanted):
                yield "R035", (*where, *path), message
            low, high = found["change_interval"]
            if not low <= found["change"] <= high:
                yield "R035", (*where, "change_interval"), f"found {[low, high]}, expected one that holds the change"
            before = record["accuracy"]


def _ids(document: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield ids of steps that stand twice, and trainings of what is no step."""
    steps = [effect["id"] for effect in document["effects"]]
    trained = [record["id"] for record in document.get("training", ())]
    for name, ids in (("effects", steps), ("training", trained)):
        for i, found in enumerate(ids):
            if found in ids[:i]:
                yield "R036", (name, i, "id"), f"found {shown(found)} again, expected an id of its own"
    for i, found in enumerate(trained):
        if found not in ("train", *steps):
            expected = shown(", ".join(["train", *steps]))
            yield "R036", ("training", i, "id"), f"found {shown(found)}, expected one of {expected}"
