"""Prune a little more and train a little, several times, instead of everything at once.

After step t of n a layer's sparsity is s · (1 - (1 - t/n)³) with the ramp `cubic`, so that much goes while much is
redundant and little at the end [Zhu & Gupta, "To Prune, or Not to Prune", 2018, equation 1 with an initial sparsity of
0], and s · t/n with `linear`. What goes, and where, is up to the method and its settings, as at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Self

from tinytorch.arguments import choice, integer
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import block_prune, finetune, magnitude_prune, structured_prune
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.passes.settings import to_params

__all__ = ["METHODS", "NEEDS", "RAMPS", "Settings", "apply"]

NEEDS = frozenset({"train", "validation"})
METHODS: dict[str, ModuleType] = {"block": block_prune, "magnitude": magnitude_prune, "structured": structured_prune}

# ramp -> the share of the final sparsity after this share of the steps
RAMPS: dict[str, Callable[[float], float]] = {
    "cubic": lambda done: 1 - (1 - done) ** 3,
    "linear": lambda done: done,
}
_TRAINING = ("epochs", "lr", "batch_size", "schedule")


@dataclass(frozen=True)
class Settings:
    """The `prune` settings of a `method`, and in how many steps they are reached; training is that after each step.

    Raises ValueError for values out of range.
    """

    prune: Any = field(default_factory=structured_prune.Settings)
    method: str = "structured"
    ramp: str = "cubic"
    steps: int = 5
    epochs: int = 1
    lr: float = 5e-4
    batch_size: int = 64
    schedule: str = "constant"

    def __post_init__(self) -> None:
        choice("method", self.method, tuple(METHODS))
        choice("ramp", self.ramp, tuple(RAMPS))
        integer("steps", self.steps, 1, 1000)
        self.training()

    def training(self) -> finetune.Settings:
        """Return how to train after each step."""
        return finetune.Settings(**{name: getattr(self, name) for name in _TRAINING})

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the parameters of a step in an experiment file; raises TinyTorchError."""
        own = {name: value for name, value in params.items() if name in ("method", "ramp", "steps", *_TRAINING)}
        others = {name: value for name, value in params.items() if name not in own}
        method = own.get("method", cls.method)
        try:
            choice("method", method, tuple(METHODS))
            return cls(METHODS[method].Settings.from_params(others), **own)
        except TinyTorchError:
            raise
        except ValueError as error:
            raise TinyTorchError(f"gradual_prune: {error}") from error

    def to_params(self) -> dict[str, Any]:
        """Return the settings under the names a file uses; the inverse of `from_params`."""
        return {**to_params(self.prune), **{name: value for name, value in to_params(self).items() if name != "prune"}}


def apply(
    model: Network, settings: Settings, data: Mapping[str, Split], seed: int
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network after the last training, the effect of all steps together, and the history of all epochs.

    `data` has the splits train and, if accuracy is to be recorded, validation. Nothing is trained where no sparsity is
    asked for. Raises what the method raises for the same settings without a ramp.
    """
    method = METHODS[settings.method]
    pruned, at_once, _ = method.apply(model, settings.prune, data, seed)  # and finds what is wrong with the settings
    if not any(layer.settings.get("sparsity") for layer in at_once.layers):
        return pruned, replace(at_once, technique="gradual_prune", settings=settings.to_params()), []
    history: list[dict[str, Any]] = []
    result = model
    for now in _schedule(settings, at_once):
        result, last, _ = method.apply(result, now, data, seed)
        result, _, records = finetune.apply(result, settings.training(), data, seed + len(history))
        history += [{**record, "epoch": len(history) + index} for index, record in enumerate(records or [], 1)]
    reached = {layer.name: layer.settings for layer in last.layers}
    matched = {layer.name: _report(layer.settings, reached[layer.name]) for layer in at_once.layers if layer.settings}
    effect = measure_effect(
        "gradual_prune", settings.to_params(), model, result, matched, at_once.simulated, at_once.warnings
    )
    return result, effect, history


def _schedule(settings: Settings, at_once: Effect) -> list[Any]:
    """Return the settings of the method for each step; `at_once` is the effect of all of them together."""
    prune = settings.prune
    levels = [RAMPS[settings.ramp](step / settings.steps) for step in range(1, settings.steps + 1)]
    if settings.method != "structured":
        return [_part(prune, 0.0, level) for level in levels]  # what is gone already counts
    if prune.scope == "layer":
        return _by_units(prune, levels, at_once)
    return [_part(prune, done, level) for done, level in zip([0.0, *levels], levels, strict=False)]


def _part(prune: Any, done: float, level: float) -> Any:
    """Return settings that take every sparsity s from s · `done` to s · `level`, as a share of what is left."""

    def share(sparsity: float) -> float:
        return sparsity * (level - done) / (1 - sparsity * done)

    own = {
        glob: {name: value if value is None else share(value) for name, value in overrides.items()}
        for glob, overrides in prune.per_layer.items()
    }
    return replace(prune, sparsity=share(prune.sparsity), per_layer=own, allow_no_effect=True)


def _by_units(prune: Any, levels: list[float], at_once: Effect) -> list[Any]:
    """Return the settings of each step as shares of the units that are left then, so that whole units come out."""
    units = {layer.name: layer.settings["units_before"] for layer in at_once.layers if layer.settings}
    least = {layer.name: layer.settings["units_after"] for layer in at_once.layers if layer.settings}
    left, schedule = dict(units), []
    for level in levels:
        then = {name: units[name] - round(level * (units[name] - least[name])) for name in units}
        shares = {name: {"sparsity": (left[name] - then[name]) / left[name]} for name in units}
        schedule.append(replace(prune, sparsity=0.0, per_layer=shares, allow_no_effect=True))
        left = then
    return schedule


def _report(at_once: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a layer for all steps together: what was there before the first, and after the last."""
    report = {**last, "sparsity": at_once["sparsity"]}
    if "units_before" in at_once:
        report["units_before"] = at_once["units_before"]
        report["sparsity_reached"] = 1 - report["units_after"] / report["units_before"]
    return report
