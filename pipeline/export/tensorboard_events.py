"""Event files for TensorBoard: scalars, training curves, the sweep for its HParams tab. Needs the extra [tensorboard].

A run, to TensorBoard, is a folder: here "baseline", and one for each point. The same tags in all of them, so that they
are drawn together: figures, which are one value each, and training. Values become float32, as everything that
TensorBoard shows. Equal results give equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from tensorboard.compat.proto import event_pb2
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams  # its api and its summary import TensorFlow
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from pipeline.export.curves import Curve, Curves, numbered
from pipeline.export.figures import facts, figures, point_figures
from pipeline.export.markdown_text import code, escaped, table
from pipeline.export.target import Source

__all__ = ["write_runs"]

Scalar: TypeAlias = tuple[str, float, int]  # tag, value, step

_UNFIT = re.compile(r"[^\w.=+-]+")
_LONGEST_NAME = 120
_VERSION = "brain.Event:2"  # of the format; what every reader looks for first
# tag -> what the HParams tab calls it
_METRICS = {
    "figures/accuracy": "accuracy (test)",
    "figures/size_bytes": "stored size in bytes",
    "figures/speedup": "speed-up",
    "figures/latency_median_ns": "latency, median, ns",
}


def write_runs(source: Source, out: Path) -> dict[str, int]:
    """Write the folders of all runs; return how many values each has, by its name."""
    submission, curves = source.submission, Curves(source)
    when = datetime.fromisoformat(submission["measurement"]["measured_at"]).timestamp()
    points = submission["selection"]["points"]
    shown = [hparams.Metric(tag, display_name=name) for tag, name in _METRICS.items()]
    config = hparams.hparams_config_pb(_parameters(points), shown, time_created_secs=when)
    _write(out, when, [(config, 0), (text_pb("summary", _summary(submission)), 0)])
    baseline = [*_baseline(submission), *_training(curves.behind(submission["provenance"]["weights"]["baseline"]))]
    _write(out / "baseline", when, _summaries(baseline))
    runs = {"baseline": len(baseline)}
    for point in points:
        trainings = [curve for curve in curves.behind(point["weights"]) if curve.place]  # the baseline's are above
        scalars = [*_point(point), *_training(trainings)]
        name = _folder(point)
        values = {key: _plain(value) for key, value in point["point"].items()}
        started = hparams.hparams_pb(values, trial_id=f"{point['index']} {point['label']}", start_time_secs=when)
        _write(out / name, when, [(started, 0), *_summaries(scalars), (_ended(when), 0)])
        runs[name] = len(scalars)
    return runs


def _parameters(points: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return what differs between points, with its values where they are of one type."""
    names = sorted({name for point in points for name in point["point"]})
    found = []
    for name in names:
        values = {_plain(point["point"][name]) for point in points if name in point["point"]}
        one_type = len({type(value) for value in values}) == 1
        found.append(hparams.HParam(name, hparams.Discrete(values) if one_type else None))
    return found


def _plain(value: Any) -> bool | float | str:
    """Return a value of a type that the HParams tab has."""
    if isinstance(value, bool | str):
        return value
    return float(value) if isinstance(value, int | float) else json.dumps(value, sort_keys=True)


def _folder(point: Mapping[str, Any]) -> str:
    """Return the name of a point's run: its place, then its label as far as a folder's name takes it."""
    label = _UNFIT.sub("_", point["label"]).strip("._")[:_LONGEST_NAME]
    return f"point_{point['index']:03d}_{label}".rstrip("_")


def _baseline(submission: Mapping[str, Any]) -> Iterator[Scalar]:
    values = figures(submission).values
    tags = ("accuracy", "accuracy_validation", "size_bytes", "latency_median_ns")
    yield from ((f"figures/{tag}", values[f"baseline/{tag}"], 0) for tag in tags if f"baseline/{tag}" in values)
    yield from (("figures/compression", 1.0, 0), ("figures/speedup", 1.0, 0))


def _point(point: Mapping[str, Any]) -> Iterator[Scalar]:
    yield from ((f"figures/{name.rpartition('/')[2]}", value, 0) for name, value in point_figures(point).items())


def _training(curves: Iterable[Curve]) -> Iterator[Scalar]:
    """Yield every epoch, numbered through all trainings."""
    for step, _, epoch in numbered(curves):
        yield from ((f"training/{name}", value, step) for name, value in epoch.items())


def _summaries(scalars: Iterable[Scalar]) -> Iterator[tuple[Any, int]]:
    return ((scalar_pb(tag, value), step) for tag, value, step in scalars)


def _ended(when: float) -> Any:
    """Return what ends a session of the HParams tab: without it, one is shown as running."""
    ended = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=when)
    data = plugin_data_pb2.HParamsPluginData(session_end_info=ended, version=metadata.PLUGIN_DATA_VERSION)
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString())
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=SummaryMetadata(plugin_data=plugin),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])


def _summary(submission: Mapping[str, Any]) -> str:
    """Return what is known in words, as Markdown, which TensorBoard shows."""
    lines = [f"# {escaped(submission['experiment']['name'])}", ""]
    rows = ((escaped(name), code(text)) for name, text in facts(submission).items())
    return "\n".join([*lines, *table(("", ""), rows)])


def _write(folder: Path, when: float, summaries: Iterable[tuple[Any, int]]) -> None:
    """Write one event file; every event at the time of the measurement, not at that of the export."""
    folder.mkdir(exist_ok=True)
    with open(folder / f"events.out.tfevents.{int(when)}.tinytorch", "wb") as file:
        records = RecordWriter(file)
        records.write(event_pb2.Event(wall_time=when, file_version=_VERSION).SerializeToString())
        for summary, step in summaries:
            event = event_pb2.Event(wall_time=when, step=step, summary=summary)
            records.write(event.SerializeToString(deterministic=True))
