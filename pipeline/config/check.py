"""Check an experiment file: the schema, and what a schema cannot say; every problem at once, in the order of the file.

The only place of the configuration that imports jsonschema. A sweep's values are checked one by one against the schema
(not every combination, whose number explodes), and every point by the rules about names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from pipeline.config.axes import AxisValue, drawn_values, written_values
from pipeline.config.conditions import asked, idle_findings, presence, swept_condition, without_broken
from pipeline.config.document import Document, Mark
from pipeline.config.finding import Finding
from pipeline.config.names import (
    STAND_INS,
    Layers,
    Samples,
    data_findings,
    data_samples,
    layers_after,
    model_layers,
    step_findings,
)
from pipeline.config.overrides import override
from pipeline.config.paths import Path, format_path, get_or_none, replaced
from pipeline.config.rules import DOCUMENT_RULES, INERT, NEEDED, VALUE_RULES, Inert
from pipeline.config.schema import about, fill, node_at, root, step_names
from pipeline.config.sweeps import point_problems
from pipeline.config.tasks import task_findings
from pipeline.config.template import SWEEPABLE, Template, make_template, per_point, reaches, resolve
from pipeline.config.wording import in_words
from pipeline.core.errors import Problem
from pipeline.core.experiment import JSON
from pipeline.core.sweep import Point
from pipeline.core.value import canonical, text_of
from pipeline.schemas import fits

__all__ = ["check"]

Origins = Mapping[Path, Path]

_READ_FIRST = ("vars", "sweep")  # the rest of the file is read through them, so that they cannot be references
_MOST_DRAWN = 20  # values of a random axis that are checked: no list of choices is longer


def check(document: Document, set_: Sequence[str] = (), sweep: Sequence[str] = ()) -> list[Problem]:
    """Return all problems of a document under the command line's overrides, sorted by position; [] if it is valid."""
    document = override(document, set_, sweep)
    report = _Report(document)
    if not isinstance(document.data, dict):
        return report.sorted()
    for key in _READ_FIRST:
        report.add(_schema_findings(document.data.get(key, {}), key))
    data = {key: value for key, value in document.data.items() if key not in _READ_FIRST or isinstance(value, dict)}
    for rule in DOCUMENT_RULES:
        report.add(rule(data))
    template = make_template(without_broken(_without_broken_sweep(data, report), report.is_clean))
    wrong = _check_values(template, report)
    if "frameworks" in data:  # it has neither points nor layers
        return report.sorted()
    points: tuple[Point, ...] = (template.base,)
    if report.is_clean("sweep") and report.is_clean("seeds"):
        seeds, most = resolve(template, (), {}).get("seeds", [0]), fill(data.get("sweep", {}), ("sweep",))["max_points"]
        report.add(point_problems(template, len(seeds), most))
        points = template.examples if report.is_clean("sweep") else points
        if report.is_clean("sweep"):
            report.add(each for each in idle_findings(template, points) if each.path not in wrong)
    _check_names(template, points, report)
    _check_tasks(template, points, report)
    _check_inert(template, points, report)
    _check_needed(template, points, report)
    return report.sorted()


def _without_broken_sweep(data: Mapping[str, JSON], report: _Report) -> Mapping[str, JSON]:
    """Return the document with only those parts of its sweep that nothing was found in."""
    if report.is_clean("sweep") or "sweep" not in data:
        return data
    grid = data["sweep"].get("grid")
    axes = grid if isinstance(grid, dict) else {}
    kept: dict[str, JSON] = {
        "grid": {name: values for name, values in axes.items() if report.is_clean("sweep", "grid", name)}
    }
    kept |= {key: data["sweep"].get(key) for key in ("zip", "random") if report.is_clean("sweep", key)}
    if "random" not in kept and isinstance(random := data["sweep"].get("random"), dict):
        drawn = random.get("axes")
        names = drawn if isinstance(drawn, dict) else {}
        axes = {name: how for name, how in names.items() if report.is_clean("sweep", "random", "axes", name)}
        kept |= {"random": {"axes": axes}} if axes else {}
    if report.is_clean("sweep", "search"):
        kept |= {"search": data["sweep"].get("search")}
    return {**data, "sweep": kept}


class _Report:
    """The problems found so far, each once, and which parts of the document have some."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems: dict[tuple[str, str, str], Problem] = {}
        self._broken: set[Path] = set()
        for problem in document.problems:
            self._enter(problem)
        # Values the reader has refused stand as null in the document; that they are null is no second problem.
        refused = {problem.yaml_path for problem in document.problems if problem.code in ("E105", "E106")}
        self._refused = {path for path in document.positions if refused and format_path(path) in refused}
        self._broken.update(self._refused)

    def add(self, findings: Iterable[Finding], origins: Origins | None = None) -> None:
        """Enter findings; `origins` says where values that are written elsewhere come from."""
        for finding in findings:
            if finding.path in self._refused and not finding.at_key:
                continue
            self._broken.update({finding.path, finding.meant or finding.path})
            at = self._mark(finding, origins or {})
            self._enter(self._document.problem(finding.code, finding.path, finding.message, hint=finding.hint, at=at))

    def is_clean(self, *path: str | int) -> bool:
        """Return whether nothing was found at a path, below it, or in what contains it."""
        return not any(broken[: len(path)] == path or path[: len(broken)] == broken for broken in self._broken)

    def sorted(self) -> list[Problem]:
        """Return the problems in the order of the file, those of the command line last."""
        return sorted(self._problems.values(), key=lambda problem: (not problem.line, problem.line, problem.column))

    def _enter(self, problem: Problem) -> None:
        self._problems.setdefault((problem.path, problem.yaml_path, problem.message), problem)

    def _mark(self, finding: Finding, origins: Origins) -> Mark:
        path, is_key = finding.path, finding.at_key
        for _ in range(2):  # to a variable, and from there to the axis that sweeps it
            prefix = next((path[:length] for length in range(len(path), 0, -1) if path[:length] in origins), None)
            if prefix is not None:
                is_key = is_key and path != prefix
                path = origins[prefix] + path[len(prefix) :]
        return self._document.mark(path, key=is_key)


def _schema_findings(value: JSON, section: str | None = None) -> Iterator[Finding]:
    """Yield what the schema says about a document, or about one of its top-level sections."""
    prefix: Path = () if section is None else (section,)
    node = root()["properties"].get(section, {})
    findings: list[Finding] = []
    validator = _validator() if section is None else _validator().evolve(schema=node)
    for error in validator.iter_errors(value):
        is_read_first = section in _READ_FIRST and not error.absolute_path
        if isinstance(error.instance, str) and "${" in error.instance and not is_read_first:
            continue  # a reference that leads nowhere, which the rules report
        findings += in_words(error, prefix)
    meant = {finding.meant for finding in findings}
    yield from (finding for finding in findings if finding.code != "E112" or finding.path not in meant)


@cache
def _validator() -> Any:
    strict: Any = validators
    return strict.extend(Draft202012Validator, {"pattern": _pattern})(root())


def _pattern(validator: Any, pattern: str, instance: JSON, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not fits(pattern, instance):
        yield ValidationError("")


def _check_values(template: Template, report: _Report) -> set[Path]:
    """Check the file's own values, and then those of every axis and condition; return where wrong ones are listed."""
    origins: dict[Path, Path] = {}
    values = resolve(template, (), {}, origins)
    report.add(_schema_findings(values), origins)
    for rule in VALUE_RULES:
        report.add(rule(values), origins)
    wrong: set[Path] = set()
    for value in (*written_values(template), *asked(template.data)):
        report.add(swept_condition(value))
        if _check_value(template, value, report):
            wrong |= {value.written[:length] for length in range(1, len(value.written) + 1)}
    for drawn in drawn_values(template):
        if drawn[0].written not in wrong:
            # What lies between good bounds can only be no whole number, or none of a few choices; one is enough.
            any(_check_value(template, value, report) for value in drawn[:_MOST_DRAWN])
    return wrong


def _check_value(template: Template, value: AxisValue, report: _Report) -> bool:
    """Check the sections that an axis reaches with one of its values there, and return whether the value is wrong."""
    axis, item, written = value
    if axis.path not in {known.path for known in template.axes}:  # what a condition asks for need not be swept
        template = replace(template, axes=(*template.axes, axis))
    name = next(known.name for known in template.axes if known.path == axis.path)
    if item is None:  # which would be passed over where the file says nothing
        template = replace(template, data=replaced(template.data, axis.path, None))
    is_wrong = False
    for key in SWEEPABLE:
        if key == "vars" or not reaches(template, axis.path, (key,)):
            continue
        origins = {axis.path: written}
        section = resolve(template, (key,), {name: item}, origins)
        findings = [*_schema_findings(section, key), *(each for rule in VALUE_RULES for each in rule({key: section}))]
        places = {path for path, origin in origins.items() if axis.path in (path, origin)}
        is_wrong |= any(finding.path[:end] in places for finding in findings for end in range(len(finding.path) + 1))
        report.add(findings, origins)
    return is_wrong


def _check_names(template: Template, points: Sequence[Point], report: _Report) -> None:
    """Check datasets, architectures, arguments and layer globs, once for each combination that the points have."""
    indexes = [index for index in range(len(_steps(template))) if _has_clean_globs(template, index, report)]
    data_at = per_point(template, ("data",), _same)
    model_at = per_point(template, ("model",), _same)
    steps_at = [per_point(template, ("optimize", index), _same) for index in indexes]
    has_data = report.is_clean("data", "name") and report.is_clean("data", "args")
    parts = (("arch",), ("args",), ("weights", "file"), ("weights", "layout"))
    has_model = all(report.is_clean("model", *part) for part in parts)
    is_whole = report.is_clean("data")  # a misspelt `root` is reported already, and is no missing one
    samples: dict[int, Sequence[Samples]] = {}
    layers: dict[tuple[int, int], Layers | None] = {}
    seen: set[tuple[int, ...]] = set()
    present_at = presence(template)
    for point in points:
        data, model, steps = data_at(point), model_at(point), [step_at(point) for step_at in steps_at]
        origins = _LazyOrigins(template, point)
        if id(data) not in samples:
            samples[id(data)], findings = _samples(data) if has_data else (STAND_INS, [])
            findings = [finding for finding in findings if is_whole or finding.path != ("data",)]
            report.add(findings, origins.of(findings))
        if not has_model:
            continue
        pair = (id(data), id(model))
        if pair not in layers:
            layers[pair], findings = model_layers(samples[id(data)], model)
            report.add(findings, origins.of(findings))
        known = layers[pair]
        present = present_at(point)
        key = (*pair, *map(id, steps), *present)
        if known is None or key in seen:
            continue
        seen.add(key)
        done: dict[str, str] = {}
        for index, step in zip(indexes, steps, strict=True):
            if present[index]:
                findings = list(step_findings(index, step, known, done))
                report.add(findings, origins.of(findings))
                known = layers_after(step, known)


def _check_tasks(template: Template, points: Sequence[Point], report: _Report) -> None:
    """Check that the parts of each point go together, where each of them is right by itself."""
    if not all(report.is_clean(section) for section in ("data", "model", "optimize", "benchmark", "goals")):
        return
    sections = [per_point(template, (section,), _same) for section in ("data", "model", "benchmark")]
    steps_at = [per_point(template, ("optimize", index), _same) for index in range(len(_steps(template)))]
    goals, present_at, seen = fill(template.data.get("goals", []), ("goals",)), presence(template), set()
    for point in points:
        data, model, benchmark = (section(point) for section in sections)
        steps = [(index, at(point)) for index, at in enumerate(steps_at) if present_at(point)[index]]
        key = (id(data), id(model), id(benchmark), *((index, id(step)) for index, step in steps))
        if key not in seen:
            seen.add(key)
            findings = list(task_findings(data, model, steps, benchmark, goals))
            report.add(findings, _LazyOrigins(template, point).of(findings))


def _samples(data: Mapping[str, JSON]) -> tuple[Sequence[Samples], list[Finding]]:
    """Return what a model's samples may look like, and what is wrong with the dataset: it must not hide the model."""
    findings = list(data_findings(data))
    is_known = not any(finding.path[1:2] in (("name",), ("args",)) for finding in findings)
    return data_samples(data) if is_known else STAND_INS, findings


def _steps(template: Template) -> list[JSON]:
    steps = template.data.get("optimize")
    return steps if isinstance(steps, list) else []


def _has_clean_globs(template: Template, index: int, report: _Report) -> bool:
    """Return whether a step is whole enough to ask which layers it means."""
    step = _steps(template)[index]
    use = next((name for name in step_names() if isinstance(step, dict) and name in step), None)
    keys = ("activations", "args", "bits", "except", "method", "name", "per_layer", "targets")
    is_clean = all(report.is_clean("optimize", index, use or "", key) for key in keys)
    return use is not None and is_clean and report.is_clean("optimize", index, "when")


class _LazyOrigins:
    """Where the values of one point are written; worked out only for points with a finding."""

    def __init__(self, template: Template, point: Point) -> None:
        self._template = template
        self._point = point

    def of(self, findings: Sequence[Finding]) -> Origins:
        """Return the origins needed to place findings, {} if there are none."""
        if not findings:
            return {}
        origins: dict[Path, Path] = {}
        resolve(self._template, (), self._point, origins)
        drawn = (value for values in drawn_values(self._template) for value in values)
        for axis, value, written in (*written_values(self._template), *drawn):
            if axis.name in self._point and text_of(canonical(value)) == text_of(self._point[axis.name]):
                origins.setdefault(axis.path, written)
        return origins


def _check_inert(template: Template, points: Sequence[Point], report: _Report) -> None:
    """Report keys that are given and have an effect at no point, because another key has the wrong value."""
    present_at = presence(template)
    for (section, key), entries in _by_key(INERT).items():
        for prefix in _places(template, section):
            path = (*prefix, key)
            given, default = get_or_none(template.data, path), (node_at(path) or {}).get("default")
            if given in (None, default) and not any(axis.path == path for axis in template.axes):
                continue
            if not all(
                report.is_clean(*prefix, name) for name in (key, *(inert.needs for inert in entries), "per_layer")
            ):
                continue
            at = per_point(template, prefix, _same)
            is_step = prefix[0] == "optimize"
            here = [point for point in points if not is_step or present_at(point)[int(prefix[1])]]
            if not here or any(_is_at_work(inert, at(point)) for point in here for inert in entries):
                continue
            wanted = ", or ".join(f"{inert.needs}: {' or '.join(map(str, inert.values))}" for inert in entries)
            message = f"{key} has no effect here: it is for {wanted}"
            report.add([Finding("E119", path, message, at_key=True)])


def _by_key(entries: Iterable[Inert]) -> dict[tuple[Path, str], list[Inert]]:
    found: dict[tuple[Path, str], list[Inert]] = {}
    for inert in entries:
        found.setdefault((inert.section, inert.key), []).append(inert)
    return found


def _check_needed(template: Template, points: Sequence[Point], report: _Report) -> None:
    """Report keys that are missing at some point, because another key's value asks for them there."""
    for needed in NEEDED:
        section = needed.section
        if not all(report.is_clean(*section, key) for key in (needed.key, needed.needs)):
            continue
        at = per_point(template, section, _same)
        for point in points:
            value = at(point).get(needed.needs)
            if value in needed.values and at(point).get(needed.key) is None:
                message = f"{needed.needs}: {value} needs {needed.key} beside it"
                about_it = str(about((*section, needed.key)).get("description", ""))
                findings = [Finding("E128", (*section, needed.needs), message, f"{needed.key}: {about_it}")]
                report.add(findings, _LazyOrigins(template, point).of(findings))
                break


def _places(template: Template, section: Path) -> Iterator[Path]:
    """Yield the paths of a section: itself, or the steps of that name."""
    if section[0] != "optimize":
        yield section
        return
    for index, step in enumerate(_steps(template)):
        if isinstance(step, dict) and section[1] in step:
            yield ("optimize", index, section[1])


def _is_at_work(inert: Inert, values: Mapping[str, JSON]) -> bool:
    layers = values.get("per_layer", {}).values()
    return any(item.get(inert.needs) in inert.values for item in (values, *layers))


def _same(value: JSON) -> JSON:
    return value
