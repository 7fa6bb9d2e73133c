"""What a plan writes into the specs of its nodes: of runs, of measurements, of a submission.

Pure functions from an experiment's values to plain dicts of JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.experiment import JSON, BenchmarkSpec, Experiment, Goal, Run, TrainSpec, as_json

__all__ = ["given", "of_training", "run_spec", "submit_spec", "timing"]

# Settings of training that came later, and what leaves it as it was before.
_CAME_LATER = {"augment": None, "workers": 1, "warmup": None, "accumulation": None}


def submit_spec(experiment: Experiment) -> dict[str, Any]:
    """Return what a submission says of the experiment, and the runs that it is chosen from."""
    return {
        "experiment": as_json(experiment.document),
        "name": experiment.name,
        "goals": [given(goal) for goal in experiment.goals],
        "runs": [run_spec(run, run.index, run.label) for run in experiment.runs],
    }


def run_spec(run: Run, index: int, label: str) -> dict[str, Any]:
    """Return a run as stages that gather results read it."""
    return {
        "index": index,
        "label": label,
        "arch": run.model.arch,
        "seed": run.seed,
        "point": as_json(run.point),
        "steps": [{"id": step.id, "use": step.use, "params": as_json(step.params)} for step in run.steps],
        "benchmark": timing(run.benchmark)[0],
    }


def timing(benchmark: BenchmarkSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a measurement is, and how patiently it is made, which is no part of any key."""
    spec = given(benchmark)
    del spec["harness"], spec["peers"]  # nodes of their own
    return spec, {"wait_s": spec.pop("wait_s")}


def given(spec: BenchmarkSpec | Goal) -> dict[str, Any]:
    """Return a spec without what is null: a new key of the file must not change the ids of those that lack it."""
    return {name: value for name, value in as_json(spec).items() if value is not None}


def of_training(settings: TrainSpec | Mapping[str, JSON]) -> dict[str, JSON]:
    """Return settings without those that came later and change nothing: they must not change the ids of old files."""
    plain = as_json(settings)
    return {name: value for name, value in plain.items() if name not in _CAME_LATER or value != _CAME_LATER[name]}
