"""Many submissions in the order of their measurement: where accuracy, speed-up or size changed its level.

Only what is comparable makes a series: the same experiment, and for each metric the same test items or the same work.
Takes valid submissions of version 2.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.stats.distributions import normal_quantile
from pipeline.stats.steps import LEAST_VALUES, Step, find_steps
from pipeline.submission.change import work_of

__all__ = ["LevelChange", "METRICS", "Metric", "Series", "history", "level_changes"]

Document = Mapping[str, Any]
Named = tuple[str, Document]

_LEAST_ACCURACY = 0.005  # half a point: less is of no practical meaning


@dataclass(frozen=True)
class Metric:
    """How a metric becomes a series: documents with equal `key` are comparable, `usable` ones of them count.

    Steps are searched in `value`, which is the logarithm for ratios (`is_log`); of exact values every change is one.
    `least` is the smallest step that matters, `noise` the standard deviation of a value as far as it is known.
    """

    unit: str
    key: Callable[[Document], Hashable]
    value: Callable[[Document], float]
    usable: Callable[[Sequence[Named]], list[Named]] = list
    is_exact: bool = False
    is_log: bool = False
    least: Callable[[Sequence[Document]], float] = lambda documents: 0.0
    noise: Callable[[Sequence[Document]], float] = lambda documents: 0.0


@dataclass(frozen=True)
class Series:
    """One metric of one experiment over time; `left_out` counts submissions that are noisy or repeat a measurement."""

    experiment: str
    metric: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    least: float
    noise: float
    left_out: int

    @property
    def gap(self) -> str:
        """Why no step can be found in the series, "" if one can."""
        if METRICS[self.metric].is_exact or len(self.values) >= LEAST_VALUES:
            return ""
        count = len(self.values)
        return f"has {count} comparable measurement{'' if count == 1 else 's'}, a step needs {LEAST_VALUES}"


@dataclass(frozen=True)
class LevelChange:
    """Between two submissions, the `last` one before and the `first` one after, a level went from `before` to `after`.

    Levels are medians in the unit of the metric; `lasted` counts the measurements on the new one.
    """

    experiment: str
    metric: str
    last: str
    first: str
    before: float
    after: float
    lasted: int

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return asdict(self)


def history(named: Sequence[Named]) -> list[Series]:
    """Return the series of submissions, given with their names in any order: by experiment and metric, then by time.

    A metric has a new series wherever it ceases to be comparable: the test items, the work or the baseline changed.
    """
    ordered = sorted(named, key=lambda pair: (pair[1]["measurement"]["measured_at"], pair[0]))
    found = []
    for experiment in dict.fromkeys(document["experiment"]["name"] for _, document in ordered):
        group = [pair for pair in ordered if pair[1]["experiment"]["name"] == experiment]
        for name, metric in METRICS.items():
            parts = itertools.groupby(group, key=lambda pair, key=metric.key: key(pair[1]))  # type: ignore[misc]
            found += [_series(experiment, name, list(part)) for _, part in parts]
    return found


def level_changes(series: Series) -> list[LevelChange]:
    """Return where the level of a series changed, in its order."""
    metric = METRICS[series.metric]
    values = series.values
    steps = _every_change(values) if metric.is_exact else find_steps(values, series.least, series.noise)
    ends = [step.at for step in steps[1:]] + [len(values)] * bool(steps)
    unit = math.exp if metric.is_log else float
    return [
        LevelChange(
            series.experiment,
            series.metric,
            series.names[step.at - 1],
            series.names[step.at],
            unit(step.before),
            unit(step.after),
            end - step.at,
        )
        for step, end in zip(steps, ends, strict=True)
    ]


def _series(experiment: str, name: str, group: Sequence[Named]) -> Series:
    metric = METRICS[name]
    kept = metric.usable(group)
    documents = [document for _, document in kept]
    return Series(
        experiment,
        name,
        tuple(label for label, _ in kept),
        tuple(map(metric.value, documents)),
        metric.least(documents),
        metric.noise(documents),
        len(group) - len(kept),
    )


def _every_change(values: Sequence[float]) -> list[Step]:
    pairs = enumerate(itertools.pairwise(values), start=1)
    return [Step(at, before, after) for at, (before, after) in pairs if before != after]


def _test_items(document: Document) -> Hashable:
    data = document["provenance"]["data"]
    return data["name"], data["roles"]["test"]


def _accuracy(document: Document) -> float:
    return float(document["accuracy"]["optimized"]["test"]["accuracy"])


def _speed(document: Document) -> Document:
    record: Document = document["comparisons"]["speed"]
    return record


def _log_speedup(document: Document) -> float:
    return math.log(_speed(document)["speedup"]["estimate"])


def _measured_once(group: Sequence[Named]) -> list[Named]:
    """Return what is not noisy and has samples of its own: a measurement that was found again says nothing new."""
    first = {document["provenance"]["samples"]: name for name, document in reversed(group)}
    return [
        (name, document)
        for name, document in group
        if not _speed(document)["noisy"] and first[document["provenance"]["samples"]] == name
    ]


def _largest_threshold(documents: Sequence[Document]) -> float:
    """Return the largest threshold as a logarithm; half a per cent where none asks for more."""
    return math.log1p(max([0.005, *(_speed(document)["threshold"] for document in documents)]))


def _speed_noise(documents: Sequence[Document]) -> float:
    """Return the standard deviation that the median interval of the speed-ups stands for."""
    deviations = [
        math.log(high / low) / 2 / normal_quantile(0.5 + record["confidence"] / 2)
        for record in (_speed(document)["speedup"] for document in documents)
        for low, high in [record["interval"]]
        if 0 < low < high < low * 1e9 and 0 < record["confidence"] < 1
    ]
    return statistics.median(deviations) if deviations else 0.0


METRICS: dict[str, Metric] = {
    "accuracy (test)": Metric("share", _test_items, _accuracy, least=lambda documents: _LEAST_ACCURACY),
    "speed-up": Metric(
        "ratio", work_of, _log_speedup, _measured_once, is_log=True, least=_largest_threshold, noise=_speed_noise
    ),
    "stored size": Metric(
        "B", lambda document: None, lambda document: document["size"]["optimized"]["stored_bytes"], is_exact=True
    ),
}
