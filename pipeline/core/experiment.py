"""What an experiment is, as frozen values: the checked file, its defaults filled, expanded into runs.

Leaves out how it is read (pipeline.config) and what is executed for it (pipeline.core.plan). Mappings are plain dicts
of JSON values and are treated as read-only, so that specs can be shared between runs, hashed and embedded. Named tuples
rather than dataclasses: to define those takes a good part of the time of a run with nothing to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.core.frameworks import FrameworksSpec, frameworks_from_json

__all__ = [
    "BenchmarkSpec",
    "DataSpec",
    "Experiment",
    "Goal",
    "JSON",
    "ModelSpec",
    "Outputs",
    "Run",
    "SourceInfo",
    "Step",
    "TrainSpec",
    "WeightsSpec",
    "as_json",
    "experiment_from_json",
]

JSON = Any  # None, bool, int, float, str, list of JSON, dict of str to JSON

_NOTHING: Mapping[str, JSON] = {}


class DataSpec(NamedTuple):
    """Name a dataset: `root` is the folder its files are in, or its one file (None for datasets that need none)."""

    name: str
    root: str | None = None
    args: Mapping[str, JSON] = _NOTHING


class TrainSpec(NamedTuple):
    """Say how a model is fitted: the fields of tinytorch.core.fitting.FitSettings, the last two of TextSettings."""

    epochs: int = 20
    lr: float = 1e-3
    optimizer: str = "adam"
    batch_size: int = 64
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = "constant"
    label_smoothing: float = 0.0
    grad_clip: float | None = None
    augment: Mapping[str, JSON] | None = None
    workers: int = 1
    warmup: int | None = None
    accumulation: int | None = None


class WeightsSpec(NamedTuple):
    """Name a safetensors file, and how its arrays are laid out: "tinytorch" or "pytorch"."""

    file: str
    layout: str = "tinytorch"


class ModelSpec(NamedTuple):
    """Name an architecture, its arguments, how the baseline is trained, and the file of weights it begins with."""

    arch: str
    args: Mapping[str, JSON] = _NOTHING
    train: TrainSpec = TrainSpec()
    weights: WeightsSpec | None = None


class Step(NamedTuple):
    """One optimization step: `use` is the step's name in the file, `params` its settings with defaults filled."""

    id: str
    use: str
    params: Mapping[str, JSON] = _NOTHING


class BenchmarkSpec(NamedTuple):
    """Say what is timed and how precisely; the first batch size and thread count are the primary comparison.

    `wait_s` is how long a busy machine is waited for: it says nothing about the result and is in no key. `harness` is
    "loadgen" where MLPerf's LoadGen measures, too: a stage of its own, which our comparison knows nothing of. So
    are `peers`, the other runtimes that run the same networks.
    """

    scenario: str = "single_stream"
    latency_limit_ms: float | None = None
    rate_per_s: float | None = None
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    kv_cache: str | None = None
    batch_sizes: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1,)
    processes: int = 6
    target_ci: float = 0.01
    budget_s: float = 20.0
    wait_s: float = 30.0
    threshold: float = 0.02
    harness: str = "own"
    peers: tuple[str, ...] = ()


class Goal(NamedTuple):
    """One wish: a bound on a metric (`metric` with a limit), or a metric to optimize."""

    metric: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    max_drop: float | None = None
    max_increase: float | None = None
    minimize: str | None = None
    maximize: str | None = None


class Outputs(NamedTuple):
    """Say what is written: report formats, and whether the best point becomes a submission ("best" or "none")."""

    report: tuple[str, ...] = ("html", "md")
    submission: str = "best"


class Run(NamedTuple):
    """One point of the sweep under one seed, fully resolved; `label` is "" when there is only one run."""

    index: int  # type: ignore[assignment]  # a tuple has a method of this name
    label: str
    seed: int
    point: Mapping[str, JSON]
    data: DataSpec
    model: ModelSpec
    steps: tuple[Step, ...]
    benchmark: BenchmarkSpec


class SourceInfo(NamedTuple):
    """Where an experiment came from: the file's path as given, and the sha256 of its resolved content."""

    path: str
    digest: str


class Experiment(NamedTuple):
    """A validated experiment: what is asked for (goals, outputs) and the runs that answer it.

    `document` is the file as JSON with overrides applied and defaults filled; building it again gives equal runs.
    `ablate` asks what each step of the submitted point contributes. With `frameworks` there are no runs: the pieces of
    work that it names are done here and elsewhere.
    """

    name: str
    description: str
    version: int
    runs: tuple[Run, ...]
    goals: tuple[Goal, ...]
    competition: str | None
    outputs: Outputs
    source: SourceInfo
    document: Mapping[str, JSON]
    ablate: bool = False
    frameworks: FrameworksSpec | None = None


def experiment_from_json(data: Mapping[str, JSON], path: str) -> Experiment:
    """Rebuild an experiment from what `as_json` gave; `path` is where its file lies now."""
    return Experiment(
        **{
            **data,
            "runs": tuple(_run_from_json(run) for run in data["runs"]),
            "goals": tuple(Goal(**goal) for goal in data["goals"]),
            "outputs": Outputs(tuple(data["outputs"]["report"]), data["outputs"]["submission"]),
            "source": SourceInfo(path, data["source"]["digest"]),
            "frameworks": frameworks_from_json(data["frameworks"]),
        }
    )


def _run_from_json(run: Mapping[str, JSON]) -> Run:
    model, benchmark = run["model"], run["benchmark"]
    lists = {name: tuple(benchmark[name]) for name in ("batch_sizes", "threads", "peers")}
    return Run(
        **{
            **run,
            "data": DataSpec(**run["data"]),
            "model": ModelSpec(model["arch"], model["args"], TrainSpec(**model["train"]), _weights(model)),
            "steps": tuple(Step(**step) for step in run["steps"]),
            "benchmark": BenchmarkSpec(**{**benchmark, **lists}),
        }
    )


def _weights(model: Mapping[str, JSON]) -> WeightsSpec | None:
    return WeightsSpec(**model["weights"]) if model.get("weights") else None


def as_json(value: Any) -> JSON:
    """Return a spec as new plain JSON values: specs and mappings become dicts, tuples become lists.

    Raises TypeError for anything that JSON cannot hold.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple) and (names := getattr(value, "_fields", None)):
        return {name: as_json(item) for name, item in zip(names, value, strict=True)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not a JSON value")
