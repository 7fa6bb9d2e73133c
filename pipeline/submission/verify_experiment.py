"""From the experiment that a submission embeds to runs that can be executed again, as little as possible believed.

The document goes through the reader and the checks of any experiment file, so that it can name models, steps and data
sets, and nothing else. No path in it is followed: folders of data are those that whoever verifies has named.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.build import build
from pipeline.config.dump import dump
from pipeline.config.load import loads
from pipeline.config.runs import with_points
from pipeline.core.draw import could_be
from pipeline.core.errors import ConfigError, Problem, SubmissionInvalid, UserError
from pipeline.core.experiment import BenchmarkSpec, DataSpec, Experiment, Run, as_json
from pipeline.core.search import SearchSpec, search_of

__all__ = ["embedded_experiment", "unlike_listed"]

_PLACE = "experiment.document"
_MOST_POINTS = 5000  # as many as a submission can list
_CODE = "E521"


def embedded_experiment(document: Mapping[str, Any], roots: Mapping[str, Path]) -> Experiment:
    """Return the experiment of a valid submission, its data in the folders of `roots` (data set -> folder).

    The points of a search are those that the submission lists. What only other runtimes measure is left out. Raises
    SubmissionInvalid, with every problem, for an experiment that could not be run, and UserError for a data set whose
    folder is not named.
    """
    try:
        experiment = build(loads(dump(_with_weights(_bounded(document["experiment"]["document"]), roots)), _PLACE))
    except ConfigError as error:
        raise SubmissionInvalid(f"{_PLACE}: {error.message}", code=_CODE, problems=error.problems) from None
    if spec := search_of(experiment.document):
        experiment = with_points(experiment, _searched(document, experiment, spec))
    return experiment._replace(runs=tuple(_allowed(run, roots) for run in experiment.runs))


def _bounded(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with a sweep that is refused, not expanded, if it has more points than can be listed."""
    sweep = document.get("sweep")
    if not isinstance(sweep, dict):
        return dict(document)
    most = sweep.get("max_points")
    is_small = isinstance(most, int) and most <= _MOST_POINTS
    return {**document, "sweep": {**sweep, "max_points": most if is_small else _MOST_POINTS}}


def _with_weights(document: dict[str, Any], roots: Mapping[str, Path]) -> dict[str, Any]:
    """Return the document with the file of weights where whoever verifies has it; its folder is not looked at."""
    model: Any = document.get("model")
    sweep = json.dumps(document.get("sweep"))
    is_swept = not isinstance(model, dict) or '"model": ' in sweep or '"model.weights' in sweep
    if not is_swept and not model.get("weights"):
        return document
    weights = {} if is_swept or not isinstance(model["weights"], dict) else model["weights"]
    file = weights.get("file")
    if not isinstance(file, str) or "$" in file:
        message = "found a file of weights that is not written out, expected one file: a submission chooses no files"
        problem = Problem(_CODE, _PLACE, "model.weights", message)
        raise SubmissionInvalid(f"{_PLACE}: {message}", code=_CODE, problems=[problem])
    name = file.replace("\\", "/").rpartition("/")[2]
    if "weights" not in roots:
        raise UserError(
            f"the model begins with the weights of {name[:80]!r}, and which folder of yours that is in was not said",
            hint="--root weights=DIR names it; the folder in the submission is not looked at",
        )
    return {**document, "model": {**model, "weights": {**weights, "file": str(roots["weights"] / name)}}}


def _allowed(run: Run, roots: Mapping[str, Path]) -> Run:
    """Return the run with its data where whoever verifies has them, timed by our own harness and nothing else."""
    benchmark = run.benchmark._replace(harness=BenchmarkSpec().harness, peers=())
    return run._replace(data=_allowed_data(run.data, roots), benchmark=benchmark)


def _allowed_data(data: DataSpec, roots: Mapping[str, Path]) -> DataSpec:
    for name, value in data.args.items():
        if isinstance(value, str) and ("/" in value or "\\" in value or value.startswith(".")):
            message = f"found {value[:80]!r}, expected no path: a submission names no files"
            raise SubmissionInvalid(
                f"{_PLACE}: {message}", code=_CODE, problems=[Problem(_CODE, _PLACE, f"data.args.{name[:80]}", message)]
            )
    if data.root is None:
        return data
    if data.name not in roots:
        raise UserError(
            f"the data set {data.name} is read from a folder or file, and which of yours it is was not said",
            hint=f"--root {data.name}=PATH names it; the place in the submission is not looked at",
        )
    return data._replace(root=str(roots[data.name]))


def _searched(document: Mapping[str, Any], experiment: Experiment, spec: SearchSpec) -> Iterator[dict[str, Any]]:
    """Yield the points of a search in their order, each of values that the search could have drawn."""
    listed = sorted(_listed(document).items())
    for index, entry in itertools.islice(listed, 0, None, len(experiment.document["seeds"])):
        point = {name: entry["point"].get(name) for name in spec.axes}
        if spec.resource:
            point[spec.resource.axis] = entry["point"].get(spec.resource.axis)
        for name, value in point.items():
            if not _could_draw(spec, name, value):
                message = f"point {index} has {str(value)[:80]!r}, which the search never draws"
                where = f"sweep.search.axes.{name[:80]}"
                problem = Problem(_CODE, _PLACE, where, message)
                raise SubmissionInvalid(f"{_PLACE}: {where}: {message}", code=_CODE, problems=[problem])
        yield point


def _could_draw(spec: SearchSpec, name: str, value: Any) -> bool:
    if spec.resource and name == spec.resource.axis:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and spec.resource.min <= value <= spec.resource.max
    return could_be(spec.axes[name], value)


def unlike_listed(document: Mapping[str, Any], experiment: Experiment) -> Iterator[tuple[str, str, str]]:
    """Yield (place, found, expected) wherever the points listed are not those that the experiment has."""
    listed, places = _listed(document), _places(document)
    for run in experiment.runs:
        if run.index not in listed:
            yield "selection.points", "no such point", f"point {run.index}, {run.label or 'the only one'}"
            continue
        entry, place = listed[run.index], places[run.index]
        for key, expected in (("label", run.label), ("seed", run.seed), ("point", as_json(run.point))):
            if entry[key] != expected:
                yield f"{place}.{key}", str(entry[key])[:200], str(expected)[:200]
    known = {run.index for run in experiment.runs}
    for index in sorted(listed.keys() - known):
        yield places[index], f"point {index}", "no such point: the experiment does not ask for it"


def _listed(document: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return index -> entry of every point listed, those that failed among them."""
    selection = document["selection"]
    return {entry["index"]: entry for entry in (*selection.get("failed", ()), *selection["points"])}


def _places(document: Mapping[str, Any]) -> dict[int, str]:
    selection = document["selection"]
    kinds = ("failed", "points")
    return {
        entry["index"]: f"selection.{kind}[{i}]" for kind in kinds for i, entry in enumerate(selection.get(kind, ()))
    }
