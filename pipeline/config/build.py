"""A checked document to an Experiment: overrides applied, variables replaced, defaults filled, the sweep expanded.

Fast and light on purpose: a run with nothing to do comes through here, so neither jsonschema nor NumPy is imported.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Sequence

from pipeline.config.document import Document
from pipeline.config.overrides import override
from pipeline.config.runs import all_runs
from pipeline.config.schema import fill
from pipeline.config.template import Template, make_template, reaches, resolve
from pipeline.core.errors import ConfigError
from pipeline.core.experiment import JSON, Experiment, Goal, Outputs, SourceInfo
from pipeline.core.frameworks import frameworks_from_json
from pipeline.core.sweep import canonical

__all__ = ["build"]

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
    frameworks = frameworks_from_json(whole.get("frameworks"))
    resolved_document = _normalized(template)
    return Experiment(
        name=whole["name"],
        description=whole["description"],
        version=whole["version"],
        runs=() if frameworks else all_runs(template, whole["seeds"]),
        goals=tuple(Goal(**goal) for goal in whole["goals"]),
        competition=whole.get("competition"),
        outputs=Outputs(report=tuple(whole["outputs"]["report"]), submission=whole["outputs"]["submission"]),
        source=SourceInfo(document.path, _digest(json.dumps(resolved_document, sort_keys=True))),
        document=resolved_document,
        ablate=bool(whole.get("ablate")),
        frameworks=frameworks,
    )


def _normalized(template: Template) -> JSON:
    """Return a document that says the same as the template in the one way that layout and notation cannot change."""
    is_swept = any(reaches(template, axis.path, _PRESET) for axis in template.axes)
    filled = fill(template.data, presets=not is_swept)  # what a preset decides must not be written out for all points
    if "frameworks" in filled:  # of an experiment with a model it has nothing but what says who it is
        return {key: filled[key] for key in ("version", "name", "description", "seeds", "frameworks", "outputs")}
    steps = [{**step, "when": canonical(step["when"])} if "when" in step else step for step in filled["optimize"]]
    known = {"optimize": steps, **{key: canonical(filled[key]) for key in ("sweep", "vars")}}
    return {key: known.get(key, value) for key, value in filled.items()}


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
