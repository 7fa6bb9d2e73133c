"""The plan of an ablation: each step alone, after those before it, and left out of all, compared as the whole is. Pure.

It extends the plan of an experiment by what one of its points needs; nodes that the plan has are shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.core.experiment import BenchmarkSpec, Run, Step, as_json
from pipeline.core.plan import Catalog, Draft, Plan, Ref, RunNodes, plan_benchmark, plan_evaluation, plan_step

__all__ = ["ASPECTS", "with_ablation"]

# How a step's contribution is looked at: what it does to the baseline, to the result of the steps before it, and what
# it adds to all the others.
ASPECTS = ("alone", "in_order", "left_out")
_TIMED = ("alone", "left_out")


class _Recipe(NamedTuple):
    """The nodes of a recipe that takes some of the steps; `effects` are those of its steps, by their ids."""

    steps: tuple[str, ...]
    model: Ref
    evaluation: str
    effects: Mapping[str, Ref]


class _Comparison(NamedTuple):
    """What a step is judged by: two recipes of which only the second has it, and their benchmark if they are timed.

    `steps` is that step alone, and empty where all that was done is compared with nothing done.
    """

    steps: tuple[Step, ...]
    before: _Recipe
    after: _Recipe
    benchmark: str | None = None


def with_ablation(plan: Plan, run: int, catalog: Catalog, lost: Mapping[str, str]) -> Plan:
    """Return the plan with the ablation of the point whose index is `run`, which its report then shows.

    `lost` has the nodes of steps that failed where others are left out, and why: what needs them is not compared.
    A point without steps has no ablation.
    """
    nodes = next(nodes for nodes in plan.runs if nodes.run.index == run)
    if not nodes.steps:
        return plan
    draft = Draft(catalog, [node for node in plan.nodes if node.id != plan.report])
    ablation = _Ablation(draft, nodes, lost).plan()
    report = plan.node(plan.report)
    inputs = {**report.inputs, "ablation": Ref(ablation, "ablation")}
    last = draft.add(
        "report", report.title, report.spec, inputs, report.code_roots[1:], report.local, tuple(report.outputs)
    )
    return plan._replace(nodes=tuple(draft.nodes.values()), report=last, ablation=ablation)


class _Ablation:
    """Adds what the ablation of a point needs to a draft."""

    def __init__(self, draft: Draft, nodes: RunNodes, lost: Mapping[str, str]) -> None:
        self._draft = draft
        self._nodes = nodes
        self._lost = lost
        self._comparisons: dict[tuple[tuple[str, ...], tuple[str, ...]], _Comparison] = {}

    def plan(self) -> str:
        """Add all comparisons, then the node that gathers them; return its id."""
        run = self._nodes.run
        found = [{"id": step.id, "use": step.use, **self._contribution(step, run.steps)} for step in run.steps]
        whole = (), _ids(run.steps)
        ends = self._recipe(()), self._recipe(run.steps)
        self._comparisons.setdefault(whole, _Comparison((), *ends, self._nodes.benchmark))
        places = {key: place for place, key in enumerate(self._comparisons)}
        for record in found:
            for aspect in ASPECTS:
                record[aspect] = places.get(record[aspect])
        comparisons = list(self._comparisons.values())
        inputs: dict[str, Ref] = {}
        for place, comparison in enumerate(comparisons):
            inputs |= self._roles(comparison, place)
        spec = {
            "point": {name: value for name, value in _described(run).items() if name != "arch"},
            "whole": places[whole],
            "steps": found,
            "runs": [
                {**_described(run), "index": place, "steps": _steps(comparison), "recipes": _recipes(comparison)}
                for place, comparison in enumerate(comparisons)
            ],
        }
        return self._draft.add("ablation", run.label, spec, inputs)

    def _contribution(self, step: Step, steps: tuple[Step, ...]) -> dict[str, Any]:
        """Return for each aspect the recipes that are compared, or None with the reason."""
        place = steps.index(step)
        without = (*steps[:place], *steps[place + 1 :])
        pairs = {"alone": ((), (step,)), "in_order": (steps[:place], steps[: place + 1]), "left_out": (without, steps)}
        found: dict[str, Any] = {}
        reasons = {}
        titles = {"alone": f"{step.id} alone", "in_order": step.id, "left_out": f"without {step.id}"}
        for aspect, (before, after) in pairs.items():
            found[aspect] = key = (_ids(before), _ids(after))
            if reason := self._reason(before) or self._reason(after):
                found[aspect], reasons[aspect] = None, reason
            else:
                self._compare(key, step, before, after, titles[aspect], is_timed=aspect in _TIMED)
        return {**found, "reasons": reasons}

    def _compare(
        self,
        key: tuple[tuple[str, ...], tuple[str, ...]],
        step: Step,
        before: Sequence[Step],
        after: Sequence[Step],
        title: str,
        *,
        is_timed: bool,
    ) -> None:
        """Add the comparison of two recipes that can be made."""
        first, second = self._recipe(before), self._recipe(after)
        known = self._comparisons.get(key) or _Comparison((step,), first, second)
        if is_timed and known.benchmark is None:
            run = self._nodes.run
            arms = {"baseline": first.model, "optimized": second.model, "sample": Ref(self._nodes.data, "test")}
            timed = plan_benchmark(self._draft, title, _primary(run.benchmark), run.seed, arms)
            known = known._replace(benchmark=timed)
        self._comparisons[key] = known

    def _reason(self, steps: Sequence[Step]) -> str:
        """Return why a recipe cannot be made, "" if nothing is known against it."""
        return next((self._lost[node] for node in self._chain(steps) if node in self._lost), "")

    def _recipe(self, steps: Sequence[Step]) -> _Recipe:
        chain = self._chain(steps)
        model = Ref(chain[-1] if chain else self._nodes.train, "model")
        evaluation = plan_evaluation(self._draft, " + ".join(_ids(steps)) or "baseline", model, self._nodes.data)
        effects = {step.id: Ref(node, "effect") for step, node in zip(steps, chain, strict=True)}
        return _Recipe(_ids(steps), model, evaluation, effects)

    def _chain(self, steps: Sequence[Step]) -> list[str]:
        """Add the steps one after the other up to the first that is lost, which is not added; return their nodes."""
        nodes, draft = self._nodes, self._draft
        chain: list[str] = []
        for step in steps:
            model = Ref(chain[-1] if chain else nodes.train, "model")
            chain.append(plan_step(draft, step, nodes.run.seed, model, (nodes.data, nodes.train, nodes.profile)))
            if chain[-1] in self._lost:
                draft.nodes.pop(chain[-1], None)
                break
        return chain

    def _roles(self, comparison: _Comparison, i: int) -> dict[str, Ref]:
        """Return what was found out about two recipes, by the roles that a point and its baseline have."""
        found = {
            **{f"data.{role}.{i}": Ref(self._nodes.data, role) for role in ("train", "validation", "test", "info")},
            **{f"effect.{i}.0": comparison.after.effects[step.id] for step in comparison.steps},
        }
        for side, recipe in (("baseline", comparison.before), ("optimized", comparison.after)):
            found[f"{side}.{i}"] = recipe.model
            found |= {f"{role}.{side}.{i}": Ref(recipe.evaluation, role) for role in ("metrics", "predictions")}
        if comparison.benchmark:
            found |= {f"{role}.{i}": Ref(comparison.benchmark, role) for role in ("benchmark", "samples")}
        return found


def _primary(benchmark: BenchmarkSpec) -> BenchmarkSpec:
    """Return a benchmark with the first batch size and thread count only, at which verdicts are made."""
    return benchmark._replace(batch_sizes=benchmark.batch_sizes[:1], threads=benchmark.threads[:1])


def _ids(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(step.id for step in steps)


def _steps(comparison: _Comparison) -> list[dict[str, Any]]:
    return [{"id": step.id, "use": step.use, "params": as_json(step.params)} for step in comparison.steps]


def _recipes(comparison: _Comparison) -> list[list[str]]:
    return [list(comparison.before.steps), list(comparison.after.steps)]


def _described(run: Run) -> dict[str, Any]:
    return {
        "index": run.index,
        "label": run.label,
        "seed": run.seed,
        "point": as_json(run.point),
        "arch": run.model.arch,
    }
