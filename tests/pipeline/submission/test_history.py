"""Histories of submissions: series of what is comparable, and where their level changed."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.submission.history import LevelChange, Series, history, level_changes

Document = dict[str, Any]


def measured(document: Document, day: int, **changes: Any) -> tuple[str, Document]:
    """The submission as it was measured on a day: its name, and with another speed, accuracy or size."""
    made = copy.deepcopy(document)
    made["measurement"]["measured_at"] = f"2026-03-{day:02}T00:00:00Z"
    made["provenance"]["samples"] = f"{day:064x}"
    speed, record = made["comparisons"]["speed"], made["accuracy"]["optimized"]["test"]
    estimate = changes.get("speed", 2.0)
    speed["speedup"] |= {"estimate": estimate, "interval": [estimate * 0.99, estimate * 1.01]}
    speed["noisy"] = changes.get("noisy", False)
    record["accuracy"] = changes.get("accuracy", 0.9)
    made["size"]["optimized"]["stored_bytes"] = changes.get("stored_bytes", 1000)
    return f"day {day}", made


def only(found: Sequence[Series], metric: str) -> Series:
    (series,) = (series for series in found if series.metric == metric)
    return series


def test_a_slower_level_is_found_between_two_submissions(submission: Document) -> None:
    """In whichever order they come, and on the scale of the metric."""
    rng = random.Random(1)
    days = [measured(submission, day, speed=rng.gauss(2.0 if day < 15 else 1.8, 0.01)) for day in range(1, 19)]
    rng.shuffle(days)
    (change,) = level_changes(only(history(days), "speed-up"))
    assert (change.last, change.first, change.lasted) == ("day 14", "day 15", 4)
    assert [change.before, change.after] == pytest.approx([2.0, 1.8], rel=0.01)


def test_noise_has_no_changes(submission: Document) -> None:
    """Not in speed, accuracy or size."""
    rng = random.Random(2)
    days = [measured(submission, day, speed=rng.gauss(2.0, 0.02)) for day in range(1, 19)]
    assert [change for series in history(days) for change in level_changes(series)] == []


def test_of_exact_sizes_every_change_is_told(submission: Document) -> None:
    """Two submissions are enough."""
    days = [measured(submission, day, stored_bytes=size) for day, size in enumerate((1000, 1000, 999, 1000), start=1)]
    found = level_changes(only(history(days), "stored size"))
    assert found[0] == LevelChange("sample", "stored size", "day 2", "day 3", 1000, 999, 1)
    assert [change.after for change in found] == [999, 1000]


def test_half_a_point_of_accuracy_is_the_least_change(submission: Document) -> None:
    """Equal answers have no noise: three submissions on a lower level show it."""
    days = [measured(submission, day, accuracy=0.9 if day < 8 else 0.89) for day in range(1, 11)]
    (change,) = level_changes(only(history(days), "accuracy (test)"))
    assert change.first == "day 8"
    less = [measured(submission, day, accuracy=0.9 if day < 8 else 0.897) for day in range(1, 11)]
    assert level_changes(only(history(less), "accuracy (test)")) == []


def test_noisy_and_repeated_measurements_are_left_out(submission: Document) -> None:
    """And counted; few are said to be too few."""
    days = [measured(submission, day, noisy=day == 3) for day in range(1, 6)]
    days.append(("again", days[0][1]))
    series = only(history(days), "speed-up")
    assert (len(series.values), series.left_out) == (4, 2)
    assert series.gap == "has 4 comparable measurements, a step needs 6"


def test_what_is_not_comparable_begins_a_new_series(submission: Document) -> None:
    """Other work cuts the series of speed, other test items that of accuracy, and neither that of size."""
    days = [measured(submission, day) for day in range(1, 7)]
    for _, document in days[3:]:
        document["comparisons"]["speed"]["batch_size"] = 64
    for _, document in days[4:]:
        document["provenance"]["data"]["roles"]["test"] = "0" * 64
    lengths = {(series.metric, len(series.values)) for series in history(days)}
    assert lengths == {("accuracy (test)", 4), ("accuracy (test)", 2), ("speed-up", 3), ("stored size", 6)}


def test_experiments_are_kept_apart(submission: Document) -> None:
    """Each has its own series."""
    days = [measured(submission, day) for day in range(1, 5)]
    for _, document in days[::2]:
        document["experiment"]["name"] = "other"
    assert {(series.experiment, len(series.values)) for series in history(days)} == {("sample", 2), ("other", 2)}


def test_known_noise_comes_from_the_intervals(submission: Document) -> None:
    """1 % of half width at 95 % is a standard deviation of about half a per cent."""
    assert only(history([measured(submission, 1)]), "speed-up").noise == pytest.approx(0.0051, abs=1e-4)
