"""Judge a whole training: what was seen of one batch before it and after some of its epochs, and its losses.

Pure and standard library only: a report says anew what an old submission's training looked like. The facts are those
of `tinytorch.core.inspection.TrainingProbe` with the settings of the training.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinytorch.core.facts import Activation, Gradient, Inspection
from tinytorch.perf.findings import Finding, findings_of, rate_findings, update_ratio

__all__ = ["course_findings", "inspections_of", "is_learning", "rate_advice", "total_gradient", "training_findings"]

Facts = Mapping[str, Any]

# The last loss as a share of the loss before the training.
DIVERGING, FLAT, SLOW = 1.1, 0.95, 0.75
LATE = 0.5  # a slow training still falls, at the end, by so much of what it fell by in an epoch on the average
RESTLESS = 0.25  # by how much the loss rises when it rises, as a share of itself, in the second half
RESTLESS_FROM = 0.1  # of the first loss: below, what is left of it moves as it likes
LEAST_EPOCHS = 8  # to call a course restless
OFTEN = 0.5  # of the looks: what was seen as often is told although it has passed


def inspections_of(facts: Facts) -> list[tuple[int, Inspection]]:
    """Return what was seen after which epochs; what was not finite is NaN."""
    return [(point["epoch"], _inspection(facts, point)) for point in facts["points"]]


def training_findings(facts: Facts, epochs: Sequence[Facts]) -> list[Finding]:
    """Return what hindered a training, of the batch that was looked at and of its epochs' losses.

    What is still there at the end comes with the epoch since when it is, and what was there at half of all looks, too.
    """
    looks = inspections_of(facts)
    if not looks:
        return []
    found: dict[tuple[str, str], list[tuple[int, Finding]]] = {}
    for epoch, seen in looks:
        for finding in findings_of(seen):
            found.setdefault((finding.kind, finding.where), []).append((epoch, finding))
    last = looks[-1][0]
    kept = [
        _dated(times)
        for times in found.values()
        if times[-1][0] == last or (len(times) >= 2 and len(times) >= OFTEN * len(looks))
    ]
    return [*course_findings(facts, epochs), *_rate_findings(facts, [seen for _, seen in looks]), *kept]


def course_findings(facts: Facts, epochs: Sequence[Facts]) -> list[Finding]:
    """Return what the losses of the epochs say, against that of the batch before the training."""
    start = facts["points"][0]["loss"] if facts["points"] else None
    losses = [epoch["train_loss"] for epoch in epochs if epoch.get("train_loss") is not None]
    if not start or not losses:
        return []
    end, advice = losses[-1], rate_advice(facts)
    where = f"epochs 1 to {len(losses)}"
    course = f"the loss was {start:.4g} before the training and {end:.4g} in its last epoch"
    if end > DIVERGING * start:
        return [Finding("diverging", where, course, advice or f"Divide the learning rate (now {facts['lr']:g}) by 10.")]
    if end > FLAT * start:
        word = "Try another learning rate"
        return [Finding("flat", where, course, advice or f"{word}: now {facts['lr']:g}, and no other did better.")]
    if _is_slow(start, losses):
        suggestion = f"Train for more epochs, or with a higher learning rate than {facts['lr']:g}."
        return [Finding("slow", where, f"{course}, and it still falls", suggestion)]
    if _is_restless(start, losses):
        suggestion = f"Divide the learning rate (now {facts['lr']:g}) by 3, let it fall (schedule), or enlarge batches."
        return [Finding("restless", where, "the loss jumps up again and again in the second half", suggestion)]
    return []


def is_learning(start: float, losses: Sequence[float]) -> bool:
    """Say whether the loss of the last epoch is below that before the training; NaN is not."""
    return bool(losses) and losses[-1] <= FLAT * start


def rate_advice(facts: Facts) -> str:
    """Return the suggestion that a test of learning rates gave, "" where none was made or none was better."""
    test = facts.get("rate_test")
    if not test or test["suggested"] is None:
        return ""
    return f"Try lr={test['suggested']:.1g} (now {facts['lr']:g}): the loss fell most around it when rates were tried."


def total_gradient(seen: Inspection) -> float:
    """Return the norm of all gradients together; NaN where one is not finite."""
    return math.hypot(*(g.norm for g in seen.gradients if g.norm is not None))


def _rate_findings(facts: Facts, looks: Sequence[Inspection]) -> list[Finding]:
    """Say that the rate is too high if it is at the first step or at half of all looks, too low only if at all."""
    found = []
    for point, seen in zip(facts["points"], looks, strict=True):
        told = {"is_adam": facts["optimizer"] != "sgd", "momentum": facts["momentum"]}
        if update_ratio(seen.gradients, point["lr"], **told) is not None:
            found.append(rate_findings(seen.gradients, point["lr"], **told))
    high = [told[0] for told in found if told and told[0].kind == "rate_too_high"]
    low = [told[0] for told in found if told and told[0].kind == "rate_too_low"]
    if high and (found[0] == [high[0]] or len(high) >= OFTEN * len(found)):
        return [replace(high[0], suggestion=rate_advice(facts) or high[0].suggestion)]
    return low[:1] if len(low) == len(found) else []


def _is_slow(start: float, losses: Sequence[float]) -> bool:
    if len(losses) < 2 or losses[-1] <= SLOW * start or losses[-1] > min(losses):
        return False
    return losses[-2] - losses[-1] >= LATE * (start - losses[-1]) / len(losses)


def _is_restless(start: float, losses: Sequence[float]) -> bool:
    if len(losses) < LEAST_EPOCHS or losses[-1] < RESTLESS_FROM * start:
        return False
    late = losses[len(losses) // 2 :]
    rises = [after - before for before, after in itertools.pairwise(late)]
    up = [rise for rise in rises if rise > 0]
    return len(up) >= 2 and sum(up) / len(up) > RESTLESS * late[-1]


def _dated(times: Sequence[tuple[int, Finding]]) -> Finding:
    epoch, finding = times[0][0], times[-1][1]
    since = "before the training already" if epoch == 0 else f"since epoch {epoch} at the latest"
    return Finding(finding.kind, finding.where, f"{finding.message}, {since}", finding.suggestion)


def _inspection(facts: Facts, point: Facts) -> Inspection:
    activations = tuple(_activations(facts["layers"], point))
    columns = zip(facts["parameters"], point["gradient"], point["weight"], strict=False)
    gradients = tuple(
        Gradient(parameter["name"], gradient, _number(weight), parameter["size"])
        for parameter, gradient, weight in columns
    )
    return Inspection(_number(point["loss"]), activations, gradients)


def _activations(layers: Sequence[Facts], point: Facts) -> Iterator[Activation]:
    names = ("mean", "std", "zeros", "dead", "saturated")
    for layer, *values in zip(layers, *(point[name] for name in names), strict=False):
        mean, std, zeros, dead, saturated = values
        mean, std = _number(mean), _number(std)
        yield Activation(
            layer=layer["name"],
            kind=layer["kind"],
            shape=(),
            mean=mean,
            std=std,
            largest=mean + std,  # of which only matters whether it is finite
            zeros=_number(zeros),
            units=layer["units"],
            dead_units=dead,
            saturated=saturated,
        )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
