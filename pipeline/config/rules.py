"""What a schema cannot say about an experiment file, as far as the file alone tells.

Each rule takes values and yields findings; the tables at the end list them. What needs the models and datasets by name
is in pipeline.config.names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from pipeline.config.competition import competition_findings
from pipeline.config.conditions import condition_findings
from pipeline.config.finding import Finding, clipped, nearest
from pipeline.config.frameworks import alone_findings, case_findings
from pipeline.config.paths import Path
from pipeline.config.schema import keys_at, node_at, step_names
from pipeline.config.sweeps import SWEEP_RULES
from pipeline.config.texts import text_goal_findings
from pipeline.config.variables import malformed, mentions, uses
from pipeline.core.experiment import JSON

__all__ = ["DOCUMENT_RULES", "INERT", "Inert", "NEEDED", "VALUE_RULES"]


class Inert(NamedTuple):
    """A key that does something only where another key of the same mapping has one of some values.

    Where a key has several entries, one of them is enough. Only a value other than the default is a problem: the
    default is what a file without the key says.
    """

    section: Path  # the path of a mapping; under `optimize` without the index
    key: str
    needs: str
    values: tuple[JSON, ...]


INERT: tuple[Inert, ...] = (
    Inert(("model", "train"), "momentum", "optimizer", ("sgd",)),
    Inert(("optimize", "finetune"), "momentum", "optimizer", ("sgd",)),
    Inert(("optimize", "prune"), "steps", "ramp", ("cubic", "linear")),
    Inert(("optimize", "prune"), "epochs", "ramp", ("cubic", "linear")),
    Inert(("optimize", "prune"), "lr", "ramp", ("cubic", "linear")),
    Inert(("optimize", "prune"), "batch_size", "ramp", ("cubic", "linear")),
    Inert(("optimize", "prune"), "schedule", "ramp", ("cubic", "linear")),
    Inert(("optimize", "prune"), "importance", "method", ("block", "structured")),
    Inert(("optimize", "budget"), "method", "use", ("prune",)),
    Inert(("optimize", "distill"), "momentum", "optimizer", ("sgd",)),
    Inert(("optimize", "quantize"), "group_size", "weights", ("per_group",)),
    Inert(("optimize", "quantize"), "calibration", "activations", ("static",)),
    Inert(("optimize", "quantize"), "percentile", "calibration", ("percentile",)),
    Inert(("optimize", "quantize"), "calibration_samples", "activations", ("static",)),
    Inert(("optimize", "quantize"), "calibration_samples", "method", ("gptq",)),
    Inert(("optimize", "quantize"), "epochs", "method", ("qat",)),
    Inert(("optimize", "quantize"), "lr", "method", ("qat",)),
    Inert(("optimize", "quantize"), "batch_size", "method", ("qat",)),
    Inert(("optimize", "quantize"), "schedule", "method", ("qat",)),
    Inert(("benchmark",), "latency_limit_ms", "scenario", ("server",)),
    Inert(("benchmark",), "rate_per_s", "scenario", ("server",)),
    Inert(("benchmark",), "prompt_tokens", "scenario", ("generate",)),
    Inert(("benchmark",), "new_tokens", "scenario", ("generate",)),
    Inert(("benchmark",), "kv_cache", "scenario", ("generate",)),
)

# The same mapping the other way round: where the other key has one of the values, this one must be given.
NEEDED: tuple[Inert, ...] = (Inert(("benchmark",), "latency_limit_ms", "scenario", ("server",)),)


def _steps(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Every step has one name; ids are unique."""
    ids: dict[str, int] = {}
    for index, step in enumerate(_list(data.get("optimize"))):
        if not isinstance(step, dict):
            continue
        names = [name for name in step_names() if name in step]
        if not names and not set(step) - {"id", "when"}:
            yield Finding("E117", ("optimize", index), f"a step needs one of {', '.join(step_names())}")
        if len(names) > 1:
            message = f"a step has one name, not {len(names)}; write {' and '.join(names)} as items of their own"
            yield Finding("E117", ("optimize", index, names[1]), message, at_key=True)
        yield from _budget(index, step.get("budget"))
        name = step.get("id")
        if isinstance(name, str):
            if name in ids:
                yield Finding("E127", ("optimize", index, "id"), f'step {ids[name]} has the id "{name}" already')
            ids.setdefault(name, index)


def _budget(index: int, settings: JSON) -> Iterator[Finding]:
    """A budget has exactly one target, which what is done can reach, and values of what is done."""
    target = settings.get("target") if isinstance(settings, dict) else None
    if isinstance(target, dict) and set(target) <= {"size_bytes", "speedup"}:
        given = [goal for goal, wanted in target.items() if wanted is not None]
        if len(given) != 1:
            message = f"a target is one of size_bytes and speedup, not {' and '.join(given) or 'nothing'}"
            yield Finding("E117", ("optimize", index, "budget", "target"), message)
        elif given == ["speedup"] and _is(settings, "use", "prune") and settings.get("method") == "magnitude":
            message = "single weights that are removed are still multiplied, so method: magnitude gives no speedup"
            yield Finding("E114", ("optimize", index, "budget", "target", "speedup"), message, at_key=True)
    yield from _budget_values(index, settings if isinstance(settings, dict) else {})


def _budget_values(index: int, settings: Mapping[str, JSON]) -> Iterator[Finding]:
    """What a layer may get are bits where a budget quantizes, and sparsities where it prunes."""
    for place, value in enumerate(_list(settings.get("values"))):
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        path: Path = ("optimize", index, "budget", "values", place)
        if _is(settings, "use", "prune") and value >= 1:
            yield Finding(
                "E114", path, f"must be a sparsity, above 0 and below 1, not {value:g}", "use: quantize has bits"
            )
        elif settings.get("use") == "quantize" and value not in (8, 4):
            yield Finding("E114", path, f"must be 8 or 4 bits, not {value:g}", "use: prune has sparsities")


def _is(settings: Mapping[str, JSON], key: str, default: str) -> bool:
    return bool(settings.get(key, default) == default)


# Limits on a change against the baseline -> the metric that they are for.
_CHANGES = {"max_drop": "accuracy", "max_increase": "perplexity"}
_BOUNDS = ("at_least", "at_most", *_CHANGES)


def _goals(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Every goal has one of the three forms, and no metric is to be minimized or maximized twice."""
    wishes: dict[str, int] = {}
    for index, goal in enumerate(_list(data.get("goals"))):
        if not isinstance(goal, dict) or any(key not in keys_at(("goals", 0)) for key in goal):
            continue
        given = [key for key in keys_at(("goals", 0)) if goal.get(key) is not None]
        kinds = [key for key in given if key in ("metric", "minimize", "maximize")]
        bounds = [key for key in given if key in _BOUNDS]
        path: Path = ("goals", index)
        if len(kinds) != 1:
            yield Finding("E118", path, "a goal has exactly one of metric, minimize and maximize")
        elif kinds == ["metric"]:
            yield from _bounded_goal(goal, bounds, path)
        elif bounds:
            message = f"{bounds[0]} bounds a metric; it means nothing beside {kinds[0]}"
            yield Finding("E118", (*path, bounds[0]), message, f"write two goals, one with metric: {goal[kinds[0]]}")
        wish = goal.get("minimize") or goal.get("maximize")
        if len(kinds) == 1 and isinstance(wish, str):
            if wish in wishes:
                yield Finding("E118", path, f"goals[{wishes[wish]}] says this already")
            wishes.setdefault(wish, index)


def _possible_bound(metric: JSON, bound: JSON, path: Path) -> Iterator[Finding]:
    """A bound that no result can keep, or every result keeps, is a slip: 95 for 0.95, or a sign."""
    if isinstance(bound, bool) or not isinstance(bound, int | float):
        return
    if metric == "accuracy" and not 0 <= bound <= 1:
        share = f"; write {bound / 100:g} for {bound:g} %" if 1 < bound <= 100 else ""
        yield Finding("E118", path, f"accuracy is a share from 0 to 1, not {bound:g}{share}")
    elif metric == "perplexity" and bound < 1:
        yield Finding("E118", path, f"a perplexity is never below 1, so a bound of {bound:g} decides nothing")
    elif metric != "accuracy" and bound <= 0:
        yield Finding("E118", path, f"{metric} is always above 0, so a bound of {bound:g} decides nothing")


def _bounded_goal(goal: Mapping[str, JSON], bounds: list[str], path: Path) -> Iterator[Finding]:
    if not bounds:
        yield Finding("E118", path, f"this goal needs a bound: {', '.join(_BOUNDS[:-1])} or {_BOUNDS[-1]}")
    metrics = (node_at((*path[:1], 0, "metric")) or {}).get("enum", ())
    for bound, metric in _CHANGES.items():
        if bound in bounds and goal["metric"] != metric and goal["metric"] in metrics:
            message = f"{bound} is for {metric}; bound {goal['metric']} by at_least or at_most"
            yield Finding("E118", (*path, bound), message)
    for key in ("at_least", "at_most"):
        yield from _possible_bound(goal["metric"], goal.get(key), (*path, key))
    low, high = goal.get("at_least"), goal.get("at_most")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        yield Finding("E118", (*path, "at_most"), f"no value is at least {low:g} and at most {high:g}")


def _references(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Every `${name}` is a whole value and names a variable."""
    variables = _mapping(data.get("vars"))
    for path, name in uses(data):
        if name not in variables:
            hint = f"vars has {', '.join(variables)}" if variables else f"add vars: {{{name}: ...}}"
            yield Finding("E121", path, f'no variable is called "{clipped(name)}"{nearest(name, variables)}', hint)
    for path, reference in malformed(data):
        message = f"{reference} must be the whole value: a variable is not put into a text"
        yield Finding("E122", path, message, "give the variable the whole text")
    for section in ("vars", "sweep"):
        for path, _ in _plain_references(data.get(section), (section,)):
            yield Finding("E122", path, f"values below {section} are plain; they cannot refer to variables")


def _plain_references(value: JSON, path: Path) -> Iterator[tuple[Path, str]]:
    yield from uses(value, path)
    yield from malformed(value, path)


def _variables(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Every variable is used, and is not called like a section."""
    used = {name for _, name in mentions(data)}
    variables = _mapping(data.get("vars"))
    is_misspelt = not used <= set(variables)  # a reference is, and is the likely cause of an unused variable
    for name in variables:
        if name in keys_at(()):
            yield Finding(
                "E123", ("vars", name), f'a variable cannot be called "{name}": that is a section', at_key=True
            )
        elif name not in used and not is_misspelt and name.isascii() and name.isidentifier():
            # What is no name is reported as such.
            message = f'nothing uses the variable "{clipped(name)}"'
            yield Finding("E123", ("vars", name), message, f'write "${{{name}}}" where its value belongs', at_key=True)


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def _mapping(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


# Rules for the document as written, and for its values once variables are replaced.
DOCUMENT_RULES: tuple[Callable[[Mapping[str, JSON]], Iterator[Finding]], ...] = (
    *SWEEP_RULES,
    alone_findings,
    condition_findings,
    _references,
    _variables,
)
VALUE_RULES: tuple[Callable[[Mapping[str, JSON]], Iterator[Finding]], ...] = (
    case_findings,
    competition_findings,
    text_goal_findings,
    _goals,
    _steps,
)
