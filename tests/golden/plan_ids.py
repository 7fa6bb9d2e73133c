"""The structural ids of all nodes of the shipped experiments: stage, version, parameters and wiring.

Code, environment and data files are left out, so that an id changes only when the meaning of an experiment does.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.config.build import build
from pipeline.config.load import load
from pipeline.core.frameworks_plan import plan_frameworks
from pipeline.core.plan import Catalog, make_plan
from pipeline.execute.catalog import codec_modules
from pipeline.stages import STAGES
from tinytorch.data import DATASETS
from tinytorch.models import MODELS
from tinytorch.passes import PASSES, needs, resolve

__all__ = ["FILE", "as_text", "plan_ids"]

FILE = Path(__file__).with_name("plan_ids.json")
_EXPERIMENTS = Path(__file__).parents[2] / "experiments"
_CATALOG = Catalog(
    stages=STAGES,
    model_module=MODELS.__getitem__,
    dataset_module=DATASETS.__getitem__,
    resolve_step=resolve,
    pass_module=PASSES.__getitem__,
    pass_needs=needs,
    data_files=lambda data: {},
    codec_modules=codec_modules,
    package_version=lambda module, extra: "1",
)


def plan_ids() -> dict[str, dict[str, str]]:
    """Return experiment -> "place label" -> the first 16 digits of the id, in plan order."""
    found = {}
    for path in sorted(_EXPERIMENTS.glob("*.yaml")):
        experiment = build(load(path))
        compared = experiment.frameworks
        plan = plan_frameworks(experiment, compared, _CATALOG) if compared else make_plan(experiment, _CATALOG)
        nodes = plan.nodes
        found[path.stem] = {f"{place:02} {node.label}": node.id[:16] for place, node in enumerate(nodes)}
    return found


def as_text(ids: dict[str, dict[str, str]]) -> str:
    """Return the content of the golden file."""
    return json.dumps(ids, indent=1) + "\n"
