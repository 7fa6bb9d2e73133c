"""What the passes that prune share: their settings, what these ask of each layer, and the error if nothing came of it.

What is ranked and removed, weights, blocks of them or units, is the pass's own business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tinytorch.arguments import choice
from tinytorch.errors import NoEffectError
from tinytorch.models.network import Network
from tinytorch.passes import KINDS
from tinytorch.passes.selection import select
from tinytorch.passes.settings import check_targets

__all__ = ["NORMS", "NormSettings", "PruneSettings", "Task", "emptied"]

NORMS = {"l1": 1, "l2": 2}
_SCOPES = ("layer", "global")
Value = TypeVar("Value")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class PruneSettings:
    """What share goes, ranked within a layer or across all, and from which layers; a pass derives its Settings.

    `per_layer` maps names or globs to a sparsity of their own. Raises ValueError for values out of range.
    """

    sparsity: float = 0.5
    scope: str = "layer"
    targets: tuple[str, ...] = ("*",)
    except_: tuple[str, ...] = ()
    per_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    allow_no_effect: bool = False

    def __post_init__(self) -> None:
        _check_sparsity(self.sparsity)
        choice("scope", self.scope, _SCOPES)
        check_targets(self, {"sparsity": _check_sparsity})


@dataclass(frozen=True)
class NormSettings(PruneSettings):
    """PruneSettings, and the norm by which several weights together are ranked."""

    importance: str = "l1"

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("importance", self.importance, tuple(NORMS))


@dataclass(frozen=True)
class Task:
    """What the settings of a pass ask of a network.

    `sparsity` is the share that each chosen layer is to lose, in execution order; `own` are the layers that have one of
    their own (`per_layer`), and are not ranked together with others.
    """

    technique: str
    settings: PruneSettings
    sparsity: Mapping[str, float]
    own: frozenset[str]

    @classmethod
    def of(cls, technique: str, model: Network, settings: PruneSettings, advice: str) -> Task:
        """Choose the layers; raises what `select` raises, with this `advice` for layers that cannot be pruned now."""
        chosen = select(model, settings, KINDS[technique], "pruned", advice)
        sparsity = {name: overrides.get("sparsity", settings.sparsity) for name, overrides in chosen.items()}
        return cls(technique, settings, sparsity, frozenset(name for name, overrides in chosen.items() if overrides))

    def is_pooled(self, name: str) -> bool:
        """Say whether a layer is ranked together with others."""
        return self.settings.scope == "global" and name not in self.own

    def ranked(
        self,
        values: Mapping[str, Value],
        alone: Callable[[Value, float], Outcome],
        together: Callable[[Mapping[str, Value], float], Mapping[str, Outcome]],
    ) -> dict[str, Outcome]:
        """Return what becomes of each layer's `values` under its sparsity, `alone` or `together` with the others."""
        pooled = together({name: values[name] for name in values if self.is_pooled(name)}, self.settings.sparsity)
        return {
            name: pooled[name] if name in pooled else alone(value, self.sparsity[name])
            for name, value in values.items()
        }

    def check_effect(self, is_changed: bool, unit: str, why: str) -> None:
        """Raise NoEffectError if something was to go but no `unit` did; `why` is the reason if layers were chosen."""
        sparsity = self.settings.sparsity
        is_asked = any(self.sparsity.values()) if self.sparsity else sparsity > 0
        if is_asked and not is_changed and not self.settings.allow_no_effect:
            reason = why if self.sparsity else f"no layer was chosen (of the types {', '.join(KINDS[self.technique])})"
            raise NoEffectError(f"{self.technique} with sparsity {sparsity} removed no {unit}: {reason}")


def emptied(masks: Mapping[str, Any]) -> list[str]:
    """Return a warning if the mask of some layer, by name, keeps nothing; otherwise nothing."""
    names = [name for name, mask in masks.items() if not mask.any()]
    if not names:
        return []
    return [f"{', '.join(names)}: every weight was removed, so the outputs do not depend on the inputs"]


def _check_sparsity(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"sparsity must be at least 0 and below 1, not {value!r} (the share to remove)")
