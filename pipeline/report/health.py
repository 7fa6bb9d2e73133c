"""How a training went from inside, for the reports: what hinders learning, and activations and gradients by layer.

The submission holds what was seen of one batch; what it means is judged here, so that an old submission is judged as a
new one is. Standard library only, as all that a finished run's result is printed with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.submission.quantities import MISSING
from tinytorch.core.facts import Activation, Gradient, Inspection
from tinytorch.perf.findings import weights_of
from tinytorch.perf.training_findings import inspections_of, total_gradient, training_findings

__all__ = ["ACTIVITY_HEADER", "GRADIENT_HEADER", "Health", "Obstacle", "health_of", "health_rows"]

Document = Mapping[str, Any]
Row = dict[str, Any]

ACTIVITY_HEADER = ("layer", "kind", "mean", "deviation", "dead units", "saturated")
GRADIENT_HEADER = ("parameter", "values", "gradient per value", "of the weights")
_MOST_ROWS = 60  # of layers in a table or a chart
_MOST, _LEAST = 1e15, 1e-15  # what a logarithmic axis shows
# what the judgement calls it -> how it is called here, and how bad it is
_WORDS = {
    "dead_units": ("dead units", "warn"),
    "diverging": ("diverging", "bad"),
    "exploding_gradients": ("exploding gradients", "bad"),
    "flat": ("nothing learned", "bad"),
    "no_gradient": ("no gradient", "bad"),
    "not_finite": ("not finite", "bad"),
    "rate_too_high": ("learning rate too high", "warn"),
    "rate_too_low": ("learning rate too low", "warn"),
    "restless": ("restless", "warn"),
    "saturated": ("saturated", "warn"),
    "slow": ("unfinished", ""),
    "vanishing_gradients": ("vanishing gradients", "bad"),
}


@dataclass(frozen=True)
class Obstacle:
    """Something that hinders learning, and what to do."""

    what: str
    where: str
    message: str
    suggestion: str
    tone: str

    @property
    def text(self) -> str:
        """All of it as one line."""
        where = "" if self.where == "all" else f", {self.where}"
        return f"{self.what}{where}: {self.message}. {self.suggestion}"


@dataclass(frozen=True)
class Health:
    """A training seen from inside: when it was looked at, what hindered it, and both tables, first look to last."""

    training: str
    looked: str
    obstacles: tuple[Obstacle, ...]
    activity: tuple[tuple[str, ...], ...]
    gradients: tuple[tuple[str, ...], ...]


def health_of(submission: Document) -> tuple[Health, ...]:
    """Return it for each training of a valid submission that was looked into."""
    return tuple(_health(record) for record in _inspected(submission))


def health_rows(submission: Document) -> list[Row]:
    """Return for charts, of the baseline's training, a row for each look at a layer or at the gradient of a weight."""
    rows: list[Row] = []
    for record in _inspected(submission):
        if record["id"] == "train":
            for place, (epoch, seen) in enumerate(inspections_of(record["inspection"])):
                look = {"look": place, "after": _after(epoch)}
                rows += [{**look, **row} for row in (*_gradient_rows(seen), *_activity_rows(seen))]
    return rows


def _inspected(submission: Document) -> Iterator[Document]:
    for record in submission.get("training", ()):
        if record.get("inspection") and record["inspection"]["points"]:
            yield record


def _health(record: Document) -> Health:
    facts = record["inspection"]
    looks = inspections_of(facts)
    obstacles = (
        Obstacle(*(_WORDS[f.kind][:1]), f.where, f.message, f.suggestion, _WORDS[f.kind][1])
        for f in training_findings(facts, record["epochs"])
    )
    (_, first), (_, last) = looks[0], looks[-1]
    return Health(
        training=record["id"],
        looked=_looked(facts, [epoch for epoch, _ in looks], (first, last)),
        obstacles=tuple(obstacles),
        activity=tuple(_activity(a, b) for a, b in _pairs(first.activations, last.activations)),
        gradients=tuple(_gradient(a, b) for a, b in _pairs(first.gradients, last.gradients)),
    )


def _looked(facts: Document, epochs: Sequence[int], ends: tuple[Inspection, Inspection]) -> str:
    later = [str(epoch) for epoch in epochs if epoch]
    after = f" and after epoch{'s' if len(later) > 1 else ''} {', '.join(later)}" if later else ""
    norms = _course(*(total_gradient(seen) for seen in ends))
    losses = _course(*(seen.loss for seen in ends))
    seen = f"{facts['items']} training items, the same each time, before the training{after}"
    return f"{seen}: loss {losses}, norm of the gradient {norms}"


def _pairs(first: Sequence[Any], last: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(first, last, strict=False))[:_MOST_ROWS]


def _activity(first: Activation, last: Activation) -> tuple[str, ...]:
    dead, saturated = MISSING, MISSING
    if first.dead_units is not None and last.dead_units is not None:
        dead = f"{_change(str(first.dead_units), str(last.dead_units))} of {last.units}"
    if first.saturated is not None and last.saturated is not None:
        saturated = _change(f"{100 * first.saturated:.0f} %", f"{100 * last.saturated:.0f} %")
    return last.layer, last.kind, _course(first.mean, last.mean), _course(first.std, last.std), dead, saturated


def _gradient(first: Gradient, last: Gradient) -> tuple[str, ...]:
    """Return root mean squares: norms grow with the number of values, these can be compared."""
    shares = (g.norm / g.weight_norm if g.norm is not None and g.weight_norm else None for g in (first, last))
    return last.parameter, f"{last.size:,}", _course(_per_value(first), _per_value(last)), _course(*shares)


def _per_value(gradient: Gradient) -> float | None:
    return None if gradient.norm is None else gradient.norm / math.sqrt(gradient.size)


def _course(first: float | None, last: float | None) -> str:
    return _change(_number(first), _number(last))


def _change(first: str, last: str) -> str:
    return first if first == last else f"{first} → {last}"


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3g}" if math.isfinite(value) else "not finite"


def _gradient_rows(seen: Inspection) -> Iterator[Row]:
    for place, gradient in enumerate(weights_of(seen.gradients)[:_MOST_ROWS]):
        value = _per_value(gradient)
        if value is not None and math.isfinite(value) and value > 0:
            name = gradient.parameter.removesuffix(".weight")
            yield {"what": "gradient", "layer": name, "place": place, "value": _shown(value), "text": f"{value:.3g}"}


def _activity_rows(seen: Inspection) -> Iterator[Row]:
    for a in seen.activations[:_MOST_ROWS]:
        if a.dead_units is not None and a.units:
            share = min(a.dead_units / a.units, 1.0)
            text = f"{a.dead_units} of {a.units} units give 0 for all items"
        elif a.saturated is not None and math.isfinite(a.saturated):
            share, text = a.saturated, f"{100 * a.saturated:.0f} % of the outputs are at the flat ends"
        else:
            continue
        yield {"what": "idle", "layer": a.layer, "value": round(share, 4), "text": text, "short": f"{100 * share:.0f}%"}


def _after(epoch: int) -> str:
    return "start" if epoch == 0 else f"epoch {epoch}"


def _shown(value: float) -> float:
    return float(f"{min(max(value, _LEAST), _MOST):.4g}")
