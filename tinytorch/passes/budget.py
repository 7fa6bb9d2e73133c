"""Prune or quantize every layer as much as a budget asks, and each as little as it minds.

Each layer is changed alone, to each of the given values, and judged by the rise of the cross-entropy on the validation
split (`tinytorch.passes.sensitivity`). The choice with the least sum of rises that keeps the budget is made for all
layers together (`tinytorch.passes.knapsack`) and checked on the network that results; where savings of neighbours
overlap, it is made again under a tighter budget.

`size_bytes` is that of the stored file and holds exactly. `speedup` over the baseline is predicted: a layer's measured
time (the profile's) times the share of its work that is left, multiply-accumulates times bytes a weight. That is how
it would be if nothing but arithmetic and weights took time; what it becomes is for the benchmark to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Self

from tinytorch.arguments import choice, integer, number
from tinytorch.core.layer import Layer
from tinytorch.data.split import Split
from tinytorch.errors import NoEffectError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import KINDS, PROFILE, block_prune, magnitude_prune, quantize, structured_prune
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.knapsack import Option, choose
from tinytorch.passes.selection import quantized_names
from tinytorch.passes.sensitivity import quality
from tinytorch.passes.settings import from_params, to_params
from tinytorch.passes.targets import match
from tinytorch.serialization import clone, stored_bytes

__all__ = ["GOALS", "NEEDS", "Settings", "apply"]

NEEDS = frozenset({PROFILE, "validation"})
GOALS = ("size_bytes", "speedup")
_TIGHTER = 30  # times the budget is tightened before it is given up
_METHODS: dict[str, ModuleType] = {"block": block_prune, "magnitude": magnitude_prune, "structured": structured_prune}
_USES = ("prune", "quantize")
Value = float | int
Cost = Callable[[Network], float]
_Leaf = tuple[Layer, tuple[int, ...], tuple[int, ...]]  # a layer, and the shapes of a sample before and after it


@dataclass(frozen=True)
class Settings:
    """The budget, what may be done (`use`, for prune by `method`), the values a layer may get, and the layers.

    `values` are sparsities in (0, 1) or bits (8, 4); each layer may also stay as it is. Raises ValueError for anything
    else.
    """

    target: Mapping[str, float] = field(default_factory=dict)
    use: str = "prune"
    method: str = "structured"
    values: tuple[Value, ...] | None = None
    targets: tuple[str, ...] = ("*",)
    except_: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        choice("use", self.use, _USES)
        choice("method", self.method, sorted(_METHODS))
        if not isinstance(self.target, Mapping) or len(self.target) > 1 or not self.target.keys() <= set(GOALS):
            raise ValueError(f"target must be one of {', '.join(GOALS)} with a number, not {self.target!r}")
        if "size_bytes" in self.target:
            integer("target.size_bytes", self.target["size_bytes"], 1, 2**53)
        if "speedup" in self.target:
            number("target.speedup", self.target["speedup"], 1, 1000)
            if (self.use, self.method) == ("prune", "magnitude"):
                raise ValueError("single weights that are pruned (method: magnitude) are still multiplied: no speedup")
        if self.values is not None:
            self._check_values(self.values)

    def _check_values(self, values: Any) -> None:
        if not isinstance(values, tuple) or not 1 <= len(values) <= 16 or len({*values}) < len(values):
            raise ValueError(f"values must be a list of 1 to 16 different numbers, not {values!r}")
        for value in values:
            if self.use == "quantize" and value not in (8, 4):
                raise ValueError(f"values must be bits (8, 4) to quantize, not {value!r}")
            if self.use == "prune" and number("values", value, 0, 1, below_high=True) == 0:
                raise ValueError(f"values must be sparsities above 0 to prune, not {value!r}")

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        target = params.get("target")
        if isinstance(target, Mapping):
            params = {**params, "target": {goal: wanted for goal, wanted in target.items() if wanted is not None}}
        return from_params(cls, "budget", params)

    @property
    def choices(self) -> tuple[Value, ...]:
        """The values, or the usual ones."""
        return self.values or ((8, 4) if self.use == "quantize" else (0.25, 0.5, 0.75))

    @property
    def technique(self) -> ModuleType:
        """The pass that is applied."""
        return quantize if self.use == "quantize" else _METHODS[self.method]

    @property
    def setting(self) -> str:
        """What its values are called."""
        return "bits" if self.use == "quantize" else "sparsity"


def apply(
    model: Network, settings: Settings, data: Mapping[str, Any], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network with its layers changed, and the effect, whose layers say what each got and what it lost.

    A network that keeps the budget stays as it is. `data["profile"]` is the record of the profile stage, for `speedup`.
    Raises TargetError for a glob that matches nothing, NoEffectError if no layer can be changed, and TinyTorchError if
    no choice keeps the budget, with the nearest that was found.
    """
    if not settings.target:
        raise TinyTorchError(f"budget: target is missing: one of {', '.join(GOALS)}")
    cost, limit = _budget(settings, data.get(PROFILE))
    if cost(model) <= limit:
        warnings = [f"nothing was changed: the network keeps the budget of {_told(settings)} as it is"]
        return clone(model), measure_effect("budget", to_params(settings), model, model, {}, warnings=warnings), None
    tried = _tried(model, settings, data, seed, cost)
    result, chosen, reached = _solved(model, settings, data, seed, (cost, limit), tried)
    matched = {
        name: {settings.setting: value, "loss_rise": tried[name][value].loss}
        for name, value in zip(tried, chosen, strict=True)
        if value is not None
    }
    warnings = []
    if "speedup" in settings.target:
        speedup = settings.target["speedup"] * limit / reached
        warnings.append(f"{speedup:.2f}x the baseline's speed is predicted from its profile; the benchmark measures it")
    is_simulated = settings.technique is magnitude_prune and not magnitude_prune.skips(result)
    effect = measure_effect("budget", to_params(settings), model, result, matched, is_simulated, warnings)
    return result, effect, None


def _budget(settings: Settings, profile: Mapping[str, Any] | None) -> tuple[Cost, float]:
    """Return what a network costs, and the most it may."""
    if "size_bytes" in settings.target:
        return stored_bytes, float(settings.target["size_bytes"])
    if profile is None:
        raise TinyTorchError("budget: a speedup needs the profile of the baseline's layers")
    entries, batch = profile["layers"], profile["batch_size"]

    def predicted_ns(model: Network) -> float:
        leaves = {leaf[0]: leaf[1:] for leaf in model.named_shapes()}
        return sum(float(entry["time_ns"]) * _share(entry, leaves, batch) for entry in entries)

    return predicted_ns, sum(entry["time_ns"] for entry in entries) / settings.target["speedup"]


def _share(entry: Mapping[str, Any], leaves: Mapping[str, _Leaf], batch: int) -> float:
    """Return the share that is left of the work of an entry of the profile: of one layer, or of some that are fused."""
    if entry["name"] not in leaves:
        raise TinyTorchError(f"budget: {entry['name']} of the baseline's profile is not a layer any more")
    layers = [leaves[name] for name in entry["names"] if name in leaves]  # a batch norm may have been folded
    if not entry["macs"]:
        values = math.prod(layers[0][1]) + math.prod(layers[-1][2])
        return 4 * batch * values / float(entry["activation_bytes"])
    macs = sum(layer.macs(before) for layer, before, _ in layers)
    size = sum(array.nbytes for layer, _, _ in layers for array in layer.state().values())
    bytes_a_value = size / sum(layer.parameter_count() for layer, _, _ in layers)
    return macs * bytes_a_value / float(entry["macs"] * entry["weight_bytes"] / entry["parameters"])


def _tried(
    model: Network, settings: Settings, data: Mapping[str, Any], seed: int, cost: Cost
) -> dict[str, dict[Value | None, Option]]:
    """Return for each layer what every value would save and lose, compared with the network as it is."""
    kinds, quantized = KINDS[settings.technique.__name__.rpartition(".")[2]], quantized_names(model)
    matched = match([name for name, _ in model.named_layers()], settings.targets, settings.except_)
    base, base_cost = quality(model, data["validation"]).loss, cost(model)
    tried: dict[str, dict[Value | None, Option]] = {}
    for name, layer in model.named_layers():
        if name not in matched or type(layer).__name__ not in kinds or name in quantized:
            continue
        options: dict[Value | None, Option] = {None: Option(0.0, 0.0)}
        for value in settings.choices:
            changed = _changed(model, settings, {name: value}, data, seed)
            if changed is not None:
                rise = max(0.0, quality(changed, data["validation"]).loss - base)
                options[value] = Option(cost(changed) - base_cost, rise)
        tried[name] = options
    if not any(len(options) > 1 for options in tried.values()):
        raise NoEffectError("budget found no layer that can be changed")
    return tried


def _solved(
    model: Network,
    settings: Settings,
    data: Mapping[str, Split],
    seed: int,
    budget: tuple[Cost, float],
    tried: Mapping[str, Mapping[Value | None, Option]],
) -> tuple[Network, tuple[Value | None, ...], float]:
    """Return the network that keeps the budget, the value of each layer, and what it costs."""
    cost, limit = budget
    room, nearest = limit - cost(model), math.inf
    for _ in range(_TIGHTER):
        places = choose([list(options.values()) for options in tried.values()], room)
        if places is None:
            break
        values = tuple(list(options)[place] for options, place in zip(tried.values(), places, strict=True))
        wanted = {name: value for name, value in zip(tried, values, strict=True) if value is not None}
        changed = _changed(model, settings, wanted, data, seed)
        if changed is None:
            break
        reached = cost(changed)
        if reached <= limit:
            return changed, values, reached
        nearest, room = min(nearest, reached), room - (reached - limit)
    strong = min if settings.use == "quantize" else max
    most = {name: strong((v for v in options if v is not None), default=None) for name, options in tried.items()}
    wanted = {name: value for name, value in most.items() if value is not None}
    strongest = _changed(model, settings, wanted, data, seed)
    if strongest is not None and cost(strongest) <= limit:
        return strongest, tuple(most.values()), cost(strongest)
    nearest = min(nearest, cost(strongest) if strongest is not None else math.inf)
    least = f"{nearest:,.0f} bytes"
    if "speedup" in settings.target:
        least = f"a speedup of {settings.target['speedup'] * limit / nearest:.2f}"
    raise TinyTorchError(
        f"no choice among {', '.join(map(str, settings.choices))} keeps the budget of {_told(settings)}; the nearest "
        f"found is {least}: give stronger values, or more targets"
    )


def _changed(
    model: Network, settings: Settings, wanted: Mapping[str, Value], data: Mapping[str, Any], seed: int
) -> Network | None:
    """Return the network with these layers changed; None where that changes nothing or cannot be."""
    per_layer = {name: {settings.setting: value} for name, value in wanted.items()}
    params = {settings.setting: next(iter(wanted.values())), "targets": list(wanted), "per_layer": per_layer}
    technique = settings.technique
    splits = {role: value for role, value in data.items() if isinstance(value, Split)}
    try:
        changed: Network = technique.apply(model, technique.Settings.from_params(params), splits, seed)[0]
    except NoEffectError:
        return None
    return changed


def _told(settings: Settings) -> str:
    goal, wanted = next(iter(settings.target.items()))
    return f"{wanted:,} bytes" if goal == "size_bytes" else f"a speedup of {wanted:g}"
