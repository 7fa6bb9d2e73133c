"""Look into a model that does not learn: activations, gradients, updates, and what they say, with a suggestion.

`diagnose` runs one batch forward and backward and leaves the model as it was; `diagnose_losses` reads the losses of a
training that has been; `learning_rate_range` tries rates out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tinytorch.core.facts import Activation, Gradient
from tinytorch.core.inspection import activation_statistics, gradient_norms, inspect_batch
from tinytorch.core.optimizers import SGD, Adam, Optimizer
from tinytorch.core.rate_test import learning_rate_range
from tinytorch.core.tensor import Tensor
from tinytorch.perf.findings import Finding, findings_of, loss_findings, rate_findings
from tinytorch.perf.structure import parameters_of

__all__ = [
    "Activation",
    "Diagnosis",
    "Finding",
    "Gradient",
    "activation_statistics",
    "diagnose",
    "diagnose_losses",
    "gradient_norms",
    "learning_rate_range",
]


@dataclass(frozen=True)
class Diagnosis:
    """All that one batch showed; no findings mean that nothing was found, not that the model will learn."""

    loss: float
    activations: tuple[Activation, ...]
    gradients: tuple[Gradient, ...]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values; numbers that are not finite as None."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    def __str__(self) -> str:
        names = ["parameter", *(a.layer for a in self.activations), *(g.parameter for g in self.gradients)]
        wide = max(map(len, names)) + 1
        lines = [f"loss {self.loss:.6g}", "", f"{'layer':<{wide}}{'mean':>11}{'std':>11}{'zeros':>7}{'dead':>9}"]
        for a in self.activations:
            dead = "" if a.dead_units is None else f"{a.dead_units}/{a.units}"
            lines.append(f"{a.layer:<{wide}}{a.mean:>11.3g}{a.std:>11.3g}{a.zeros:>7.0%}{dead:>9}".rstrip())
        lines += ["", f"{'parameter':<{wide}}{'|gradient|':>11}{'|weight|':>11}"]
        for g in self.gradients:
            norm = "none" if g.norm is None else f"{g.norm:.3g}"
            lines.append(f"{g.parameter:<{wide}}{norm:>11}{g.weight_norm:>11.3g}")
        return "\n".join([*lines, "", *(map(str, self.findings) if self.findings else ["nothing found"])])


def diagnose(
    model: Any, x: Tensor, targets: Any, loss_fn: Callable[[Any, Any], Tensor], optimizer: Optimizer | None = None
) -> Diagnosis:
    """Run a batch forward and backward and say what hinders learning; with `optimizer`, whether its rate fits.

    Weights, gradients, batch-norm statistics and random generators are put back. Raises TypeError for an object
    without parameters().
    """
    parameters_of(model)
    seen = inspect_batch(model, x, targets, loss_fn)
    findings = findings_of(seen)
    is_broken = any(finding.kind == "not_finite" for finding in findings)
    if optimizer is not None and not is_broken:
        momentum = optimizer.momentum if isinstance(optimizer, SGD) else 0.0
        is_adam = isinstance(optimizer, Adam)
        findings += rate_findings(seen.gradients, optimizer.lr, is_adam=is_adam, momentum=momentum)
    return Diagnosis(seen.loss, seen.activations, seen.gradients, tuple(findings))


def diagnose_losses(losses: Sequence[float], lr: float | None = None) -> list[Finding]:
    """Return what the losses of a training, in order, say about its learning rate; needs eight of them.

    Raises ValueError for fewer.
    """
    return loss_findings([float(loss) for loss in losses], lr)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
