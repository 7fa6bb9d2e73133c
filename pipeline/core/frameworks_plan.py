"""The plan of a comparison of frameworks: a node for each piece of work, what gathers them, and the report. Pure."""

from __future__ import annotations

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.experiment import Experiment, as_json
from pipeline.core.frameworks import FrameworksSpec, case_title
from pipeline.core.plan import Catalog, Draft, Plan, Ref

__all__ = ["plan_frameworks"]


def plan_frameworks(experiment: Experiment, asked: FrameworksSpec, catalog: Catalog) -> Plan:
    """Lay out the comparison. A PyTorch that is not installed is null: then ours is timed alone, and it is said why."""
    draft, (seed, *_) = Draft(catalog), experiment.document["seeds"]
    timing = {name: getattr(asked, name) for name in ("threads", "processes", "target_ci", "budget_s", "threshold")}
    torch = _torch(catalog)
    titles, rows = [], {}
    for number, (op, args) in enumerate(asked.cases):
        spec = {"op": op, "args": as_json(args), "torch": torch, **timing, "seed": seed}
        titles.append(case_title(op, args))
        node = draft.add("framework", titles[-1], spec, {}, local={"wait_s": asked.wait_s})
        rows[f"row.{number}"] = Ref(node, "row")
    head = {
        "name": experiment.name,
        "description": experiment.description,
        "document": as_json(experiment.document),
        "cases": [{"op": op, "args": as_json(args)} for op, args in asked.cases],
        "titles": titles,
        "torch": torch,
        **timing,
    }
    gathered = draft.add("frameworks", "", head, rows)
    formats = experiment.outputs.report
    result = {"frameworks": Ref(gathered, "frameworks")}
    report = draft.add("report", "", {"formats": list(formats)}, result, outputs=formats)
    return Plan(tuple(draft.nodes.values()), (), "", report, frameworks=gathered)


def _torch(catalog: Catalog) -> str | None:
    try:
        return catalog.package_version("torch", "peers")
    except EnvironmentProblem:
        return None
