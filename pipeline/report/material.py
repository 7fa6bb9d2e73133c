"""What the charts of a submission draw: rows of plain JSON values under the names that the charts refer to.

Every number is finite, and where an axis is logarithmic positive, whatever a valid submission holds. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.report.distribution import Samples, distribution
from pipeline.report.front import on_front, stairs
from pipeline.report.gains import gains
from pipeline.report.generate import generate_rows
from pipeline.report.health import health_rows
from pipeline.report.text import printable
from pipeline.submission.quantities import quantity, with_interval

__all__ = ["Material", "make_material"]

Document = Mapping[str, Any]
Row = dict[str, Any]

_MOST_LAYERS = 60  # rows of a chart that can still be read; the table has all
_MOST_EPOCHS = 400  # of one training; of a longer one, so many evenly spaced
_MOST_AXES = 7  # swept parameters that get an axis of their own
_MOST_TICKS = 6  # of an axis that has one for each value
_LOG_FROM = 8.0  # a range that spans more than this factor gets a logarithmic axis
_LEAST, _MOST = 1e-9, 1e18  # what a chart can hold; no real figure lies outside


@dataclass(frozen=True)
class Material:
    """The tables by name, and what is said of those that are empty: `reasons` by the name of the chart."""

    tables: Mapping[str, Sequence[Row]]
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Sequence[Row]:
        return self.tables[name]


def make_material(
    submission: Document, samples: Samples | None, reason: str = "", ablation: Document | None = None
) -> Material:
    """Return what the charts of a valid submission of version 2 draw.

    `samples` are the raw ones of the evidence; where there are none, `reason` says why. `ablation`
    is that of its point, if there is one.
    """
    points = _points(submission)
    axes = _axes(submission, points)
    latencies = distribution(samples) if samples else []
    stages = _stages(submission["effects"])
    tables = {
        "points": points,
        "axes": axes,
        "latency": latencies,
        "ratios": _ratios(submission),
        "steps": _steps(submission),
        "layers": _layers(submission),
        "maps": stages,
        "epochs": _epochs(submission.get("training", ())),
        "gains": gains(ablation),
        "health": health_rows(submission),
        "texts": generate_rows(submission),
    }
    return Material(
        {name: [_readable(row) for row in rows] for name, rows in tables.items()},
        {} if latencies else {"latency": reason or "there are no raw samples beside the submission"},
    )


def _readable(row: Row) -> Row:
    """Replace in every text what must not reach a terminal, a page or a picture: the library that draws would end."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in row.items()}


def _points(submission: Document) -> list[Row]:
    """Return a row for each point, then the baseline; `front` says whether no other point is better in all three."""
    selection = submission["selection"]
    baseline, validation = submission["size"]["baseline"], submission["accuracy"]["baseline"]["validation"]
    rows = [_point(i, point, selection["chosen"]) for i, point in enumerate(selection["points"])]
    rows.append(
        {
            "i": -1,
            "label": "baseline",
            "kind": "baseline",
            "acc": validation["accuracy"],
            "acc_low": validation["interval"][0],
            "acc_high": validation["interval"][1],
            "size": _shown(baseline["stored_bytes"]),
            "ratio": 1.0,
            "ratio_low": 1.0,
            "ratio_high": 1.0,
            "t_acc": with_interval(validation["accuracy"], validation["interval"], "share"),
            "t_test": quantity(submission["accuracy"]["baseline"]["test"]["accuracy"], "share"),
            "t_size": quantity(baseline["stored_bytes"], "B"),
            "t_ratio": "1",
        }
    )
    front = on_front([(row["acc"], -row["size"], row["ratio"]) for row in rows])
    by_size, by_speed = (stairs([(row["acc"], worth(row)) for row in rows]) for worth in (_smallness, _speed))
    for i, row in enumerate(rows):
        row |= {"front": i in front, "by_size": i in by_size, "by_speed": i in by_speed}
    return rows


def _smallness(row: Row) -> float:
    return -float(row["size"])


def _speed(row: Row) -> float:
    return float(row["ratio"])


def _point(i: int, point: Document, chosen: int) -> Row:
    accuracy, speedup = point["accuracy"]["validation"], point["speedup"]
    low, high = speedup["interval"]
    return {
        "i": i,
        "label": point["label"] or "the only point",
        "kind": "submitted" if point["index"] == chosen else "other",
        "acc": accuracy["accuracy"],
        "acc_low": accuracy["interval"][0],
        "acc_high": accuracy["interval"][1],
        "size": _shown(point["stored_bytes"]),
        "ratio": _shown(speedup["estimate"]),
        "ratio_low": _shown(low),
        "ratio_high": _shown(high),
        "t_acc": with_interval(accuracy["accuracy"], accuracy["interval"], "share"),
        "t_test": quantity(point["accuracy"]["test"]["accuracy"], "share"),
        "t_size": quantity(point["stored_bytes"], "B"),
        "t_ratio": f"{with_interval(speedup['estimate'], speedup['interval'], 'ratio')} {point['verdict']}",
    }


def _axes(submission: Document, rows: list[Row]) -> list[Row]:
    """Give each point its height on every axis (n0, n1, …), and return the ticks of the axes."""
    points = submission["selection"]["points"]
    if len(points) < 2:
        return []
    names = list(dict.fromkeys(name for point in points for name in point["point"]))
    columns = {name: [point["point"].get(name) for point in points] for name in names}
    varied = {name: values for name, values in columns.items() if len(set(map(_text, values))) > 1}
    axes = [(name, *_scaled(values)) for name, values in list(varied.items())[:_MOST_AXES]]
    shown = rows[: len(points)]
    for name, key, unit in (
        ("size", "size", "B"),
        ("accuracy", "acc", "share"),
        ("speed-up", "ratio", "ratio"),
    ):
        axes.append((name, *_scaled([row[key] for row in shown], unit)))
    for k, (_, heights, _) in enumerate(axes):
        for row, height in zip(shown, heights, strict=True):
            row[f"n{k}"] = round(height, 4)
    return [
        {"axis": k, "name": name, "height": round(height, 4), "text": text, "is_first": n == 0}
        for k, (name, _, ticks) in enumerate(axes)
        for n, (text, height) in enumerate(ticks)
    ]


def _scaled(values: Sequence[Any], unit: str = "") -> tuple[list[float], list[tuple[str, float]]]:
    """Return heights from 0 to 1 and ticks; numbers are in proportion or as powers, all else in order of appearance."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        texts = list(dict.fromkeys(map(_text, values)))
        place = {text: (i + 0.5) / len(texts) for i, text in enumerate(texts)}
        step = max(1, len(texts) // 12)
        return [place[_text(value)] for value in values], [(text[:16], place[text]) for text in texts[::step]]
    numbers = [min(max(float(value), -_MOST), _MOST) for value in values]
    low, high = min(numbers), max(numbers)
    is_log = low > 0 and high / low > _LOG_FROM

    def height(number: float) -> float:
        if high == low:
            return 0.5
        if is_log:
            return math.log(number / low) / math.log(high / low)
        return (number - low) / (high - low)

    distinct = sorted(set(numbers))
    if unit or len(distinct) > _MOST_TICKS:
        distinct = [_between(low, high, share, is_log) for share in (0, 0.25, 0.5, 0.75, 1)]
    ticks = [(quantity(tick, unit) if unit else f"{tick:.4g}", height(tick)) for tick in distinct]
    return [height(number) for number in numbers], ticks


def _between(low: float, high: float, share: float, is_log: bool) -> float:
    return float(low * (high / low) ** share) if is_log else low + (high - low) * share


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _ratios(submission: Document) -> list[Row]:
    """Return speed-up and control with their intervals, and each with what single processes came to."""
    speed, rows = submission["comparisons"]["speed"], []
    for name, key in (("speed-up", "speedup"), ("same code twice", "control")):
        record = speed[key]
        low, high = record["interval"]
        common = {"what": name, "text": with_interval(record["estimate"], record["interval"], "ratio")}
        rows.append(
            {**common, "kind": "all", "ratio": _shown(record["estimate"]), "low": _shown(low), "high": _shown(high)}
        )
        rows += [
            {
                "what": name,
                "kind": "one",
                "ratio": _shown(ratio),
                "text": f"process {i + 1}: {quantity(ratio, 'ratio')}",
            }
            for i, ratio in enumerate(record.get("per_process") or ())
        ]
    return rows


# what a step may change: name, key of the effect, unit, and whether less is better
_CHANGES = (("stored size", "stored_bytes", "B"), ("work (MACs)", "macs", "count"))


def _steps(submission: Document) -> list[Row]:
    """Return for the baseline and each step what it left of bytes and work, and of the accuracy on the test split."""
    effects, rows = submission["effects"], []
    sizes = submission["size"]["baseline"]
    for name, key, unit in _CHANGES:
        rows.append(_start(name, sizes[key], quantity(sizes[key], unit), quantity(sizes[key], unit)))
        for k, effect in enumerate(effects):
            before, after = effect[f"{key}_before"], effect[f"{key}_after"]
            rows.append(
                {
                    "what": name,
                    "step": _step_name(k, effect),
                    "before": _shown(before),
                    "after": _shown(after),
                    "tone": "same" if before == after else "better" if after < before else "worse",
                    "text": _factor(before, after),
                    "tip": f"{quantity(before, unit)} → {quantity(after, unit)}; {_touched(effect)}",
                }
            )
    return rows + _accuracy_steps(submission)


def _accuracy_steps(submission: Document) -> list[Row]:
    effects = submission["effects"]
    if not effects or not all("accuracy" in effect for effect in effects):
        return []
    test = submission["accuracy"]["baseline"]["test"]
    shown = with_interval(test["accuracy"], test["interval"], "share")
    start = _start("accuracy (test)", test["accuracy"], quantity(test["accuracy"], "share"), shown)
    rows, before = [start | {"low": test["interval"][0], "high": test["interval"][1]}], test["accuracy"]
    for k, effect in enumerate(effects):
        found = effect["accuracy"]["test"]
        is_sure = found["p_value"] < 0.05
        change = with_interval(found["change"], found["change_interval"], "points")
        rows.append(
            {
                "what": "accuracy (test)",
                "step": _step_name(k, effect),
                "before": before,
                "after": found["accuracy"],
                "low": found["interval"][0],
                "high": found["interval"][1],
                "tone": "same" if not is_sure else "better" if found["change"] > 0 else "worse",
                "text": quantity(found["change"], "points").removesuffix(" points"),
                "tip": f"{with_interval(found['accuracy'], found['interval'], 'share')}; changed by {change}",
            }
        )
        before = found["accuracy"]
    return rows


def _start(what: str, value: float, text: str, tip: str) -> Row:
    at = value if what.startswith("accuracy") else _shown(value)
    return {"what": what, "step": "baseline", "before": at, "after": at, "tone": "start", "text": text, "tip": tip}


def _step_name(place: int, effect: Document) -> str:
    return f"{place + 1} {effect['id']}"


def _factor(before: float, after: float) -> str:
    if before == after:
        return "same"
    if not before or not after:
        return "to 0" if before else "from 0"
    return f"÷{_three(before / after)}" if after < before else f"×{_three(after / before)}"


def _three(ratio: float) -> str:
    return quantity(ratio, "ratio").removesuffix("x")


def _touched(effect: Document) -> str:
    count = len(effect["layers"])
    return f"{count} layer{'' if count == 1 else 's'} changed or matched"


def _layers(submission: Document) -> list[Row]:
    """Return the time of each layer within a call, before and after; none where it was not measured."""
    arms = submission["benchmark"]["comparisons"][0]["arms"]
    sessions = {side: (arms[side].get("session") or {}).get("layers", ()) for side in ("baseline", "optimized")}
    if not all(layers and all("time_ns" in layer for layer in layers) for layers in sessions.values()):
        return []
    slowest: dict[str, float] = {}
    for layers in sessions.values():
        for layer in layers:
            slowest[layer["name"]] = max(slowest.get(layer["name"], 0), layer["time_ns"])
    kept = set(sorted(slowest, key=lambda name: -slowest[name])[:_MOST_LAYERS])
    rows = []
    for side, layers in sessions.items():
        total = sum(layer["time_ns"] for layer in layers) or 1
        rows += [
            {
                "layer": layer["name"],
                "side": side,
                "ns": min(layer["time_ns"], _MOST),
                "text": f"{quantity(layer['time_ns'], 'ns')}, {quantity(layer['time_ns'] / total, 'share')}",
                "tip": f"{quantity(layer['time_ns'], 'ns')} by {layer['computed_by']}",
            }
            for layer in layers
            if layer["name"] in kept
        ]
    return rows


def _stages(effects: Sequence[Document]) -> list[Row]:
    """Return for each layer that a step touched how sparse it is and how wide its weights are, from step to step."""
    first: dict[str, Document] = {}
    for effect in effects:
        for layer in effect["layers"]:
            first.setdefault(layer["name"], layer)
    shown = dict(list(first.items())[:_MOST_LAYERS])
    now = {name: (layer["nonzero_before"], layer["bits_before"]) for name, layer in shown.items()}
    rows = [_cell(name, "baseline", layer, *now[name]) for name, layer in shown.items()]
    for k, effect in enumerate(effects):
        for layer in effect["layers"]:
            if layer["name"] in shown:
                now[layer["name"]] = layer["nonzero_after"], layer["bits_after"]
        rows += [_cell(name, _step_name(k, effect), layer, *now[name]) for name, layer in shown.items()]
    return rows


def _cell(name: str, stage: str, layer: Document, nonzero: int, bits: int) -> Row:
    total = layer["parameters_before"]
    gone = min(max(1 - nonzero / total, 0.0), 1.0) if total else 0.0
    return {
        "layer": name,
        "stage": stage,
        "gone": round(gone, 4),
        "bits": bits,
        "t_gone": f"{100 * gone:.0f}%",
        "t_bits": str(bits),
        "tip": f"{nonzero:,} of {total:,} weights are not zero, {bits} bits each",
    }


def _epochs(training: Iterable[Document]) -> list[Row]:
    """Return loss and accuracy by epoch, counted through all trainings one after the other."""
    rows: list[Row] = []
    offset = 0
    for number, record in enumerate(training):
        epochs = record["epochs"]
        step = max(1, math.ceil(len(epochs) / _MOST_EPOCHS))
        for i, epoch in enumerate(epochs):
            if i % step == 0 or i == len(epochs) - 1:
                rows += _of_epoch(f"{number + 1} {record['id']}", offset + i + 1, epoch)
        offset += len(epochs)
    return rows


def _of_epoch(training: str, epoch: int, figures: Document) -> list[Row]:
    found = (("training loss", figures.get("train_loss")), ("validation accuracy", figures.get("validation_accuracy")))
    return [
        {"training": training, "epoch": epoch, "what": what, "value": float(f"{min(max(value, -_MOST), _MOST):.5g}")}
        for what, value in found
        if value is not None
    ]


def _shown(value: float) -> float:
    """Return a positive number as a logarithmic axis can show it."""
    return min(max(value, _LEAST), _MOST)
