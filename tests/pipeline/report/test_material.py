"""What charts draw: finite whatever a valid submission holds, and the figures that the report says in words."""

from __future__ import annotations

import copy
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.report.distribution import distribution
from pipeline.report.material import make_material

ABLATION = json.loads((Path(__file__).parent / "ablation.json").read_text(encoding="utf-8"))


def test_the_baseline_and_every_point_are_rows_with_heights_on_all_axes(submission: dict[str, Any]) -> None:
    """The axes are the swept parameters, then size, accuracy and speed-up."""
    material = make_material(submission, None)
    *points, baseline = material["points"]
    assert [row["i"] for row in points] == [0, 1, 2, 3]
    assert baseline["kind"] == "baseline"
    assert [row["kind"] for row in points].count("submitted") == 1
    names = list(dict.fromkeys(row["name"] for row in material["axes"]))
    assert names[-3:] == ["size", "accuracy", "speed-up"]
    for row in points:
        assert all(0 <= row[f"n{k}"] <= 1 for k in range(len(names)))


def test_steps_go_on_where_the_one_before_ended(submission: dict[str, Any]) -> None:
    """A waterfall has no gap."""
    for what in ("stored size", "work (MACs)"):
        rows = [row for row in make_material(submission, None)["steps"] if row["what"] == what]
        assert rows[0]["step"] == "baseline"
        assert all(row["before"] == before["after"] for before, row in itertools.pairwise(rows))


def test_accuracy_after_each_step_is_drawn_where_it_is_known(submission: dict[str, Any]) -> None:
    """A change that chance explains has no colour."""
    assert not [row for row in make_material(submission, None)["steps"] if row["what"] == "accuracy (test)"]
    for effect, p_value in zip(submission["effects"], (0.001, 0.7, 0.7), strict=False):
        record = {"accuracy": 0.5, "interval": [0.4, 0.6], "change": -0.4, "change_interval": [-0.5, -0.3]}
        effect["accuracy"] = {split: {**record, "p_value": p_value} for split in ("validation", "test")}
    rows = [row for row in make_material(submission, None)["steps"] if row["what"] == "accuracy (test)"]
    assert [row["tone"] for row in rows][:3] == ["start", "worse", "same"]
    assert rows[1]["text"] == "-40.00"


def test_a_layer_that_no_step_touched_keeps_its_bits(submission: dict[str, Any]) -> None:
    """The map has a cell for every layer after every step."""
    rows = make_material(submission, None)["maps"]
    layers, stages = ({row[key] for row in rows} for key in ("layer", "stage"))
    assert len(rows) == len(layers) * len(stages)
    assert {row["bits"] for row in rows if row["stage"] == "baseline"} == {32}


def test_epochs_are_counted_through_all_trainings(submission: dict[str, Any]) -> None:
    """Long ones are thinned, and keep their last epoch."""
    epochs = [
        {"epoch": i + 1, "train_loss": 1 / (i + 1), "validation_accuracy": None if i else 0.5, "lr": 0.1}
        for i in range(1000)
    ]
    submission["training"] = [{"id": "train", "epochs": epochs}, {"id": "finetune", "epochs": epochs[:2]}]
    rows = make_material(submission, None)["epochs"]
    assert max(row["epoch"] for row in rows) == 1002
    assert len(rows) < 500
    assert {row["training"] for row in rows} == {"1 train", "2 finetune"}


def test_what_each_step_contributes_is_drawn_where_it_was_measured(submission: dict[str, Any]) -> None:
    """A row for each figure that is known, and none without an ablation."""
    assert make_material(submission, None)["gains"] == []
    rows = make_material(submission, None, ablation=ABLATION)["gains"]
    assert {row["aspect"] for row in rows} == {"alone", "in order", "left out"}
    sizes = {(row["step"], row["aspect"]): row["value"] for row in rows if row["what"] == "stored size"}
    first = ABLATION["steps"][0]
    assert sizes[first["id"], "alone"] == first["alone"]["size"]["ratio"]
    for row in rows:
        assert row["what"] == "stored size" or row["low"] <= row["value"] <= row["high"]


def test_the_reason_for_missing_curves_is_kept(submission: dict[str, Any]) -> None:
    """The page says it."""
    assert make_material(submission, None, "it is not there").reasons["latency"] == "it is not there"


def test_curves_rise_to_what_so_many_queries_can_tell() -> None:
    """Ten queries say nothing of a share of 99 %."""
    rng = np.random.default_rng(0)
    samples = {
        f"0.{arm}.{process}.tail_ns": rng.integers(900, 1100, 200, dtype=np.int64)
        for arm in ("baseline", "control", "optimized")
        for process in range(2)
    }
    rows = distribution(samples)
    for arm in ("baseline", "same code twice", "optimized"):
        curve = [(row["share"], row["ns"]) for row in rows if row["arm"] == arm]
        assert curve == sorted(curve)
        assert curve[-1][0] <= 1 - 1 / 400
    few = {name: array[:5] for name, array in samples.items()}
    assert max(row["share"] for row in distribution(few)) == 0.9


def test_samples_of_a_stranger_draw_nothing_that_is_no_time() -> None:
    """Negative times, other types, and one model only."""
    assert distribution({}) == []
    assert distribution({"0.baseline.0.tail_ns": np.array([5], np.int64)}) == []
    odd = {
        "0.baseline.0.tail_ns": np.array([-5, 0, 7], np.int64),
        "0.optimized.0.tail_ns": np.array([np.nan, 1.0]),
        "0.optimized.1.tail_ns": np.array([[3, 4]], np.int64),
    }
    rows = distribution(odd)
    assert {row["arm"] for row in rows} == {"baseline", "optimized"}
    assert all(math.isfinite(row["ns"]) and row["ns"] > 0 for row in rows)


def test_every_number_is_finite_whatever_the_figures(submission: dict[str, Any]) -> None:
    """And positive where an axis is logarithmic."""
    extreme = copy.deepcopy(submission)
    for point in extreme["selection"]["points"]:
        point["stored_bytes"] = 10**30
        point["speedup"] = {"estimate": 5e-324, "interval": [-1e308, 1e308]}
    material = make_material(extreme, None)
    json.dumps(dict(material.tables), allow_nan=False)
    for row in material["points"]:
        assert min(row["size"], row["ratio"], row["ratio_low"]) > 0
