"""A checked document to an Experiment: overrides applied, variables replaced, defaults filled, the sweep expanded.

Fast and light on purpose: a run with nothing to do comes through here, so neither jsonschema nor NumPy is imported.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.config.conditions import presence
from pipeline.config.document import Document
from pipeline.config.overrides import override
from pipeline.config.schema import fill, step_names
from pipeline.config.template import Template, make_template, per_point, reaches, resolve
from pipeline.core.errors import ConfigError
from pipeline.core.experiment import (
    JSON,
    BenchmarkSpec,
    DataSpec,
    Experiment,
    Goal,
    ModelSpec,
    Outputs,
    Run,
    SourceInfo,
    Step,
    TrainSpec,
)
from pipeline.core.sweep import Point, canonical, label, short_names

__all__ = ["build", "with_points"]

_LONGEST_LABEL = 200  # characters; a label is shown in tables, and a value may be a whole step

_PRESET = ("benchmark", "preset")  # chooses defaults and is nothing by itself


def build(document: Document, set_: Sequence[str] = (), sweep: Sequence[str] = (), checked: bool = False) -> Experiment:
    """Return the experiment that a document describes, under the command line's overrides.

    `checked` says that `check` found no problem in the document with these overrides; otherwise it is checked here.
    Raises ConfigError with all problems.
    """
    if not checked:
        # By name: the checker imports jsonschema and builds models, and needs this package itself.
        if problems := importlib.import_module("pipeline.config.check").check(document, set_, sweep):
            raise ConfigError(problems)
    elif document.problems:
        raise ConfigError(document.problems)
    data = override(document, set_, sweep).data
    template = make_template(data)
    whole = fill(resolve(template, (), {}))
    resolved_document = _normalized(template)
    return Experiment(
        name=whole["name"],
        description=whole["description"],
        version=whole["version"],
        runs=_runs(template, template.points(), whole["seeds"], _varying(template, template.points())),
        goals=tuple(Goal(**goal) for goal in whole["goals"]),
        competition=None,
        outputs=Outputs(report=tuple(whole["outputs"]["report"]), submission=whole["outputs"]["submission"]),
        source=SourceInfo(document.path, _digest(json.dumps(resolved_document, sort_keys=True))),
        document=resolved_document,
    )


def with_points(experiment: Experiment, points: Iterable[Point]) -> Experiment:
    """Return the experiment of a search with these points as its runs.

    A point names the axes of the search; labels show all of these, so that one does not depend on the other points.
    """
    template = make_template(experiment.document)
    complete = tuple({**template.base, **point} for point in points)
    seeds = experiment.document["seeds"]
    return replace(experiment, runs=_runs(template, complete, seeds, [axis.name for axis in template.axes]))


def _varying(template: Template, points: Sequence[Point]) -> list[str]:
    return [axis.name for axis in template.axes if len({json.dumps(point[axis.name]) for point in points}) > 1]


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
        named.append(replace(step, id=identifier))
    return tuple(named)


def _step(value: Mapping[str, JSON]) -> Step:
    use = next(name for name in step_names() if name in value)
    return Step(value.get("id", ""), use, value[use])


def _data_spec(value: Mapping[str, JSON]) -> DataSpec:
    return DataSpec(value["name"], value.get("root"), value["args"])


def _model_spec(value: Mapping[str, JSON]) -> ModelSpec:
    return ModelSpec(value["arch"], value["args"], TrainSpec(**value["train"]))


def _benchmark_spec(value: Mapping[str, JSON]) -> BenchmarkSpec:
    lists = {name: tuple(value[name]) for name in ("batch_sizes", "threads", "peers")}
    return BenchmarkSpec(**{name: each for name, each in {**value, **lists}.items() if name != "preset"})


def _normalized(template: Template) -> JSON:
    """Return a document that says the same as the template in the one way that layout and notation cannot change."""
    is_swept = any(reaches(template, axis.path, _PRESET) for axis in template.axes)
    filled = fill(template.data, presets=not is_swept)  # what a preset decides must not be written out for all points
    steps = [{**step, "when": canonical(step["when"])} if "when" in step else step for step in filled["optimize"]]
    known = {"optimize": steps, **{key: canonical(filled[key]) for key in ("sweep", "vars")}}
    return {key: known.get(key, value) for key, value in filled.items()}


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
