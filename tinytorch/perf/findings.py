"""Say what hinders a model's learning: judge the activations, gradients and losses that were seen, with a suggestion.

Pure and standard library only. Limits are rules of thumb, their origin beside them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from tinytorch.core.facts import Activation, Gradient, Inspection

__all__ = ["Finding", "findings_of", "loss_findings", "rate_findings", "update_ratio", "weights_of"]

DEAD_SHARE = 0.4  # of a layer's units that give 0 for a whole batch; Lu et al., 2020, call networks of dead ones lost
SATURATED_SHARE = 0.5  # of outputs where the slope is below 0.02
# A layer's gradient as a multiple of the last layer's, each per weight (Glorot & Bengio, 2010, figure 7: factors of
# ten from layer to layer are where training stops).
VANISHING, EXPLODING = 1e-3, 1e3
LARGEST_NORM = 1e3  # of all gradients together
# |update| / |weights| of a first step. 1e-3 is healthy on the average of a training (A. Karpathy, lecture notes of
# CS231n, 2016), and the first steps are the largest: on the digits, MLPs learn best from 2e-3 to 7e-2, lose a third of
# their units at 0.2, and most of their accuracy from 2 on, with Adam as with SGD and momentum.
FASTEST_UPDATE, SLOWEST_UPDATE, HEALTHY_UPDATE = 0.1, 1e-6, 1e-2
DIVERGED = 1.1  # last quarter of the losses over the first
FLAT = 0.99
RESTLESS = 0.25  # how much the losses move from step to step, as a share of their mean
LEAST_LOSSES = 8


@dataclass(frozen=True)
class Finding:
    """Something that hinders learning: what it is, where it was seen, the figures, and what to do."""

    kind: str
    where: str
    message: str
    suggestion: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.where}): {self.message}. {self.suggestion}"


def findings_of(seen: Inspection) -> list[Finding]:
    """Return what one batch showed of activations and gradients; what is not finite is all that is said then."""
    broken = list(_not_finite(seen.loss, seen.activations))
    return broken or [*_activation_findings(seen.activations), *_gradient_findings(seen.gradients)]


def update_ratio(gradients: Sequence[Gradient], lr: float, *, is_adam: bool, momentum: float = 0.0) -> float | None:
    """Return by what share of itself a step changes a typical weight; None where nothing moves.

    Adam's first step is lr for each value, SGD's lr times the gradient; momentum adds steps in one direction up, to
    1 / (1 - momentum) of them.
    """
    moved = [g for g in weights_of(gradients) if g.norm and g.weight_norm]
    if not moved or not lr:
        return None
    steps = [math.sqrt(g.size) if is_adam else float(g.norm or 0) / (1 - momentum) for g in moved]
    return median(lr * step / g.weight_norm for g, step in zip(moved, steps, strict=True))


def rate_findings(gradients: Sequence[Gradient], lr: float, *, is_adam: bool, momentum: float = 0.0) -> list[Finding]:
    """Say whether a step changes the weights by too much or too little of themselves."""
    typical = update_ratio(gradients, lr, is_adam=is_adam, momentum=momentum)
    if typical is None or SLOWEST_UPDATE <= typical <= FASTEST_UPDATE:
        return []
    kind = "rate_too_high" if typical > FASTEST_UPDATE else "rate_too_low"
    share = f"{typical:.2g} times themselves" if typical >= 1 else f"{100 * typical:.2g} % of themselves"
    message = f"with lr={lr:g} a step changes weights by {share}"
    suggestion = f"Try lr={lr * HEALTHY_UPDATE / typical:.1g}: about {100 * HEALTHY_UPDATE:g} % is usual."
    return [Finding(kind, "all", message, suggestion)]


def loss_findings(losses: Sequence[float], lr: float | None = None) -> list[Finding]:
    """Return what the losses of a training, in order, say about its learning rate; needs eight of them.

    Raises ValueError for fewer.
    """
    if len(losses) < LEAST_LOSSES:
        raise ValueError(f"diagnose_losses() needs at least 8 losses to see a course, but got {len(losses)}.")
    now = f" (now {lr:g})" if lr else ""
    broken = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if broken is not None:
        message = f"the loss is {float(losses[broken])} from step {broken} on"
        suggestion = f"Divide the learning rate{now} by 10; clip gradients."
        return [Finding("diverged", f"step {broken}", message, suggestion)]
    quarter = len(losses) // 4
    start, end = fmean(losses[:quarter]), fmean(losses[-quarter:])
    where, course = f"steps 0 to {len(losses) - 1}", f"the mean loss went from {start:.4g} to {end:.4g}"
    if end > DIVERGED * start:
        return [Finding("diverging", where, course, f"Divide the learning rate{now} by 10.")]
    late = losses[-2 * quarter :]
    moves = fmean(abs(after - before) for before, after in itertools.pairwise(late))
    restless = moves / max(abs(end), 1e-12)
    if restless > RESTLESS:
        message = f"the loss moves by {restless:.0%} of itself from step to step"
        return [Finding("restless", where, message, f"Divide the learning rate{now} by 3, or enlarge the batch.")]
    if end > FLAT * start:
        suggestion = f"Multiply the learning rate{now} by 10; if that changes nothing, call diagnose() on a batch."
        return [Finding("flat", where, course, suggestion)]
    return []


def _not_finite(loss: float, seen: Sequence[Activation]) -> Iterator[Finding]:
    wrong = [a.layer for a in seen if not math.isfinite(a.largest)]
    if wrong:
        message = f"its output is {'NaN' if math.isnan(seen[-1].largest) else 'not finite'}, the first that is"
        yield Finding("not_finite", wrong[0], message, "Check its weights and its input; lower the learning rate.")
    elif not math.isfinite(loss):
        yield Finding("not_finite", "loss", f"the loss is {loss} for finite outputs", "Check the targets and the loss.")


def _activation_findings(seen: Iterable[Activation]) -> Iterator[Finding]:
    for a in seen:
        if a.dead_units is not None and a.dead_units > DEAD_SHARE * a.units:
            message = f"{a.dead_units} of {a.units} units give 0 for the whole batch and learn nothing"
            yield Finding("dead_units", a.layer, message, "Lower the learning rate, or use GELU instead of ReLU.")
        if a.saturated is not None and a.saturated > SATURATED_SHARE:
            message = f"{a.saturated:.0%} of the outputs of {a.kind} are at its flat ends"
            yield Finding("saturated", a.layer, message, "Normalize what goes in, or use ReLU or GELU.")


def _gradient_findings(gradients: Sequence[Gradient]) -> Iterator[Finding]:
    for g in gradients:
        if g.norm is None:
            message = "it got no gradient"
            yield Finding("no_gradient", g.parameter, message, "Is its layer used in forward(), outside of no_grad()?")
    known = [g for g in gradients if g.norm is not None]
    total = math.hypot(*(g.norm or 0.0 for g in known))
    if not math.isfinite(total) or total > LARGEST_NORM:
        message = f"the norm of all gradients is {total:.3g}"
        suggestion = "Clip it (clip_grad_norm, max_norm=1) and normalize inputs."
        yield Finding("exploding_gradients", "all", message, suggestion)
    weights = weights_of(known)
    if len(weights) < 2 or not (last := _per_value(weights[-1])):
        return
    factor = _per_value(weights[0]) / last
    for kind, found in _RATIOS.items():
        if found(factor):
            message = f"per weight its gradient is {factor:.2g} times that of {weights[-1].parameter}"
            yield Finding(kind, weights[0].parameter, message, REMEDIES[kind])


_RATIOS: dict[str, Callable[[float], bool]] = {
    "vanishing_gradients": lambda factor: factor < VANISHING,
    "exploding_gradients": lambda factor: factor > EXPLODING,
}
REMEDIES = {
    "exploding_gradients": "Clip gradients (clip_grad_norm), draw smaller weights, or normalize between layers.",
    "vanishing_gradients": "Use ReLU or GELU instead of sigmoid and tanh, normalize between layers, or add residuals.",
}


def weights_of(gradients: Iterable[Gradient]) -> list[Gradient]:
    """Return those of weights, or all where there are none: how large a bias or scale is says nothing."""
    found = list(gradients)
    return [g for g in found if not g.parameter.endswith(("bias", "beta", "gamma"))] or found


def _per_value(gradient: Gradient) -> float:
    return (gradient.norm or 0.0) / math.sqrt(gradient.size)
