"""The target dvc: metrics, params and plots as files that DVC reads, in a folder to commit to a repository.

`dvc metrics diff`, `dvc params diff` and `dvc plots diff` then compare results between commits. Written again with
--replace; nothing of DVC is needed to write them.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.export.target import Exported, Source

__all__ = ["configure", "export"]

_POINTS, _TRAINING = "plots/points.csv", "plots/training.csv"
_POINT_COLUMNS = (
    "optimized/accuracy",
    "optimized/accuracy_validation",
    "optimized/size_bytes",
    "optimized/latency_median_ns",
    "change/compression",
    "change/speedup",
    "change/speedup_low",
    "change/speedup_high",
)
_TRAINING_COLUMNS = ("train_loss", "validation_accuracy", "lr")

# id -> what DVC draws
_POINT_PLOTS = {
    "accuracy against size": ("size_bytes", "accuracy", "stored size in bytes", "accuracy (test)", "scatter"),
    "speed-up by point": ("speedup", "label", "speed-up", "point", "bar_horizontal"),
}
_TRAINING_PLOTS = {
    "training loss": ("epoch", "train_loss", "epoch of all steps", "loss", "simple"),
    "validation accuracy": ("epoch", "validation_accuracy", "epoch of all steps", "accuracy", "simple"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments: none beside the run and the folder."""


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Write dvc.yaml, metrics.json, params.yaml, missing.json and plots to the empty folder `out`."""
    import yaml

    from pipeline.export.curves import Curves
    from pipeline.export.figures import figures

    submission = source.submission
    found = figures(submission)
    (out / "plots").mkdir()
    _write(out / "metrics.json", json.dumps(_nested(found.values), indent=2) + "\n")
    _write(out / "missing.json", json.dumps(_nested(found.missing), indent=2, ensure_ascii=False) + "\n")
    _write(out / "params.yaml", yaml.safe_dump(_params(submission), sort_keys=False, allow_unicode=True))
    _write(out / _POINTS, _table(("point", "label", "chosen", *map(_last, _POINT_COLUMNS)), _points(submission)))
    plots = [_plot(name, _POINTS, *drawn) for name, drawn in _POINT_PLOTS.items()]
    curves = Curves(source)
    rows = list(_training(curves, submission["provenance"]["weights"]["optimized"]))
    if rows:
        _write(out / _TRAINING, _table(("epoch", "step", *_TRAINING_COLUMNS), rows))
        plots += [_plot(name, _TRAINING, *drawn) for name, drawn in _TRAINING_PLOTS.items()]
    project = {"params": ["params.yaml"], "metrics": ["metrics.json"], "plots": plots}
    _write(out / "dvc.yaml", yaml.safe_dump(project, sort_keys=False, allow_unicode=True))
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    reason = "" if rows else f"\nno training curves: {curves.reason or 'nothing was trained for them'}"
    text = "\n".join(str(out / name) for name in files)
    return Exported(f"{text}{reason}\n\ndvc metrics show; dvc plots show", {"files": files, "epochs": len(rows)})


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"optimized/accuracy": 0.9} as {"optimized": {"accuracy": 0.9}}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        first, _, rest = name.partition("/")
        found.setdefault(first, {})[rest] = value
    return found


def _params(submission: Mapping[str, Any]) -> dict[str, Any]:
    """Return the experiment as it was written, and the values of the chosen point."""
    chosen = submission["selection"]["points"][submission["selection"]["chosen"]]
    point = {**chosen["point"], "seed": chosen["seed"]}
    return {"experiment": submission["experiment"]["document"], "point": point}


def _points(submission: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    from pipeline.export.figures import point_figures

    selection = submission["selection"]
    for place, point in enumerate(selection["points"]):
        values = point_figures(point)
        is_chosen = "yes" if place == selection["chosen"] else "no"
        yield (point["index"], point["label"], is_chosen, *(values.get(name, "") for name in _POINT_COLUMNS))


def _training(curves: Any, weights: str) -> Iterator[Sequence[Any]]:
    """Yield a row for each epoch behind the submitted network, numbered through all of its steps."""
    from pipeline.export.curves import numbered

    for number, label, epoch in numbered(curves.behind(weights)):
        yield (number, label, *(epoch.get(name, "") for name in _TRAINING_COLUMNS))


def _plot(name: str, file: str, x: str, y: str, x_label: str, y_label: str, template: str) -> dict[str, Any]:
    drawn = {"template": template, "x": x, "y": {file: y}, "x_label": x_label, "y_label": y_label, "title": name}
    return {name: drawn}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _table(header: Sequence[str], rows: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
