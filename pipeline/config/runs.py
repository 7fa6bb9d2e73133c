"""Points to runs: every section resolved under a point, under every seed, with a label.

Light: a search whose results are all stored comes through here, and reads no YAML.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from pipeline.config.conditions import presence
from pipeline.config.schema import step_names
from pipeline.config.template import Template, make_template, per_point
from pipeline.core.experiment import (
    JSON,
    BenchmarkSpec,
    DataSpec,
    Experiment,
    ModelSpec,
    Run,
    Step,
    TrainSpec,
    WeightsSpec,
)
from pipeline.core.sweep import Point, label, short_names

__all__ = ["all_runs", "with_points"]

_LONGEST_LABEL = 200  # characters; a label is shown in tables, and a value may be a whole step


def all_runs(template: Template, seeds: Sequence[int]) -> tuple[Run, ...]:
    """Return the runs of all points that a file lists; labels show the axes in which these differ."""
    points = template.points()
    varying = [axis.name for axis in template.axes if len({json.dumps(point[axis.name]) for point in points}) > 1]
    return _runs(template, points, seeds, varying)


def with_points(experiment: Experiment, points: Iterable[Point]) -> Experiment:
    """Return the experiment of a search with these points as its runs.

    A point names the axes of the search; labels show all of these, so that one does not depend on the other points.
    """
    template = make_template(experiment.document)
    complete = tuple({**template.base, **point} for point in points)
    seeds = experiment.document["seeds"]
    return experiment._replace(runs=_runs(template, complete, seeds, [axis.name for axis in template.axes]))


def _runs(template: Template, points: Sequence[Point], seeds: Sequence[int], shown: Sequence[str]) -> tuple[Run, ...]:
    """Return every point under every seed, points in order and seeds fastest; labels show some of the axes."""
    names = short_names(shown)
    data_at = per_point(template, ("data",), _data_spec)
    model_at = per_point(template, ("model",), _model_spec)
    benchmark_at = per_point(template, ("benchmark",), _benchmark_spec)
    steps_at = _steps_per_point(template)
    runs: list[Run] = []
    for point in points:
        for seed in seeds:
            run = Run(
                index=len(runs),
                label=_label(point, names, seed if len(seeds) > 1 else None, len(runs) + 1),
                seed=seed,
                point=point,
                data=data_at(point),
                model=model_at(point),
                steps=steps_at(point),
                benchmark=benchmark_at(point),
            )
            runs.append(run)
    return tuple(runs)


def _label(point: Point, names: Mapping[str, str], seed: int | None, number: int) -> str:
    """Return the label of a run; where a value is very long it is cut, and the run's number tells it from others."""
    text = label(point, names, seed)
    return text if len(text) <= _LONGEST_LABEL else f"{text[:_LONGEST_LABEL]}... #{number}"


def _steps_per_point(template: Template) -> Callable[[Point], tuple[Step, ...]]:
    """Return a function from a point to its steps; points whose steps agree get the same tuple."""
    places = range(len(template.data["optimize"]))
    steps_at = [per_point(template, ("optimize", place), _step) for place in places]
    is_present = presence(template)
    made: dict[tuple[int | bool, ...], tuple[Step, ...]] = {}

    def at(point: Point) -> tuple[Step, ...]:
        steps, present = [step_at(point) for step_at in steps_at], is_present(point)
        key = (*map(id, steps), *present)  # every step stays alive inside its `per_point`
        if key not in made:  # a step's id does not depend on which others take place
            made[key] = tuple(itertools.compress(_with_ids(steps), present))
        return made[key]

    return at


def _with_ids(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps with an id each: their own, else their name, numbered from the second use on."""
    taken = {step.id for step in steps}
    named = []
    for step in steps:
        candidates = (step.use if number == 1 else f"{step.use}_{number}" for number in itertools.count(1))
        identifier = step.id or next(name for name in candidates if name not in taken)
        taken.add(identifier)
        named.append(step._replace(id=identifier))
    return tuple(named)


def _step(value: Mapping[str, JSON]) -> Step:
    use = next(name for name in step_names() if name in value)
    return Step(value.get("id", ""), use, value[use])


def _data_spec(value: Mapping[str, JSON]) -> DataSpec:
    return DataSpec(value["name"], value.get("path", value.get("root")), value["args"])


def _model_spec(value: Mapping[str, JSON]) -> ModelSpec:
    weights = WeightsSpec(**value["weights"]) if value.get("weights") else None
    return ModelSpec(value["arch"], value["args"], TrainSpec(**value["train"]), weights)


def _benchmark_spec(value: Mapping[str, JSON]) -> BenchmarkSpec:
    lists = {name: tuple(value[name]) for name in ("batch_sizes", "threads", "peers")}
    return BenchmarkSpec(**{name: each for name, each in {**value, **lists}.items() if name != "preset"})
