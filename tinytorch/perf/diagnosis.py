"""Look into a model that does not learn: activations, gradients, updates, and what they say, with a suggestion.

`diagnose` runs one batch forward and backward and leaves the model as it was; `diagnose_losses` reads the losses of a
training that has been; `learning_rate_range` tries rates out. Limits are rules of thumb, their origin beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinytorch.core.activations import ReLU, Sigmoid, Tanh
from tinytorch.core.checkpoint import random_states, restore_random_states
from tinytorch.core.function import Array
from tinytorch.core.layer import Layer, named_leaves, walk
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.optimizers import Adam, Optimizer
from tinytorch.core.tensor import Tensor
from tinytorch.perf.structure import parameters_of, run

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

DEAD_SHARE = 0.4  # of a layer's units that give 0 for a whole batch; Lu et al., 2020, call networks of dead ones lost
SATURATED_SHARE = 0.5  # of outputs where the slope is below 0.02
SATURATION = 0.99
# A layer's gradient as a multiple of the last layer's, each per weight (Glorot & Bengio, 2010, figure 7: factors of
# ten from layer to layer are where training stops).
VANISHING, EXPLODING = 1e-3, 1e3
LARGEST_NORM = 1e3  # of all gradients together
# |update| / |weights| of a step: about 1e-3 is healthy (A. Karpathy, lecture notes of CS231n, 2016).
FASTEST_UPDATE, SLOWEST_UPDATE, HEALTHY_UPDATE = 3e-2, 1e-6, 1e-3
DIVERGED = 1.1  # last quarter of the losses over the first
FLAT = 0.99
RESTLESS = 0.25  # how much the losses move from step to step, as a share of their mean


@dataclass(frozen=True)
class Activation:
    """What a layer gave for a batch; a unit is a channel of an image, else a place of the last axis.

    `dead_units` gave 0 for every sample, and are counted after ReLU only; `saturated` is the share of outputs at the
    flat ends of a sigmoid or tanh, else None.
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float
    zeros: float
    units: int
    dead_units: int | None
    saturated: float | None


@dataclass(frozen=True)
class Gradient:
    """A parameter, the Euclidean norm of its gradient (None if it got none) and of itself, and its number of values."""

    parameter: str
    norm: float | None
    weight_norm: float
    size: int


@dataclass(frozen=True)
class Finding:
    """Something that hinders learning: what it is, where it was seen, the figures, and what to do."""

    kind: str
    where: str
    message: str
    suggestion: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.where}): {self.message}. {self.suggestion}"


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


def activation_statistics(model: Any, x: Tensor) -> list[Activation]:
    """Return what each layer that holds no others gives for the batch `x`, in order of execution.

    The model runs in the mode it is in, and learns nothing from it.
    """
    with _unchanged(model), _observed(model) as seen:
        run(model, x)
    return seen


def gradient_norms(model: Any) -> list[Gradient]:
    """Return the norms for each parameter, by the name of its layer; call it after `backward()`."""
    names = {id(p): f"parameter {i}" for i, p in enumerate(parameters_of(model))}
    for layer_name, layer in named_leaves(model):
        arrays = {id(array): name for name, array in layer.state().items()}
        names |= {id(p): f"{layer_name}.{arrays[id(p.data)]}" for p in layer.parameters() if id(p.data) in arrays}
    return [
        Gradient(names[id(p)], None if p.grad is None else _norm(p.grad), _norm(p.data), p.size)
        for p in parameters_of(model)
    ]


def diagnose(
    model: Any, x: Tensor, targets: Any, loss_fn: Callable[[Any, Any], Tensor], optimizer: Optimizer | None = None
) -> Diagnosis:
    """Run a batch forward and backward and say what hinders learning; with `optimizer`, whether its rate fits.

    Weights, gradients, batch-norm statistics and random generators are put back.
    """
    parameters = parameters_of(model)
    before = [p.grad for p in parameters]
    try:
        for p in parameters:
            p.grad = None
        with _unchanged(model), np.errstate(all="ignore"):
            with _observed(model) as seen:
                loss = loss_fn(run(model, x), targets)
            loss.backward()
        gradients = gradient_norms(model)
    finally:
        for p, grad in zip(parameters, before, strict=True):
            p.grad = grad
    findings = [*_not_finite(float(loss.data), seen)]
    if not findings:
        findings += [*_activation_findings(seen), *_gradient_findings(gradients)]
        findings += [] if optimizer is None else _rate_findings(gradients, optimizer)
    return Diagnosis(float(loss.data), tuple(seen), tuple(gradients), tuple(findings))


def diagnose_losses(losses: Sequence[float], lr: float | None = None) -> list[Finding]:
    """Return what the losses of a training, in order, say about its learning rate; needs eight of them.

    Raises ValueError for fewer.
    """
    if len(losses) < 8:
        raise ValueError(f"diagnose_losses() needs at least 8 losses to see a course, but got {len(losses)}.")
    values, now = np.asarray(losses, np.float64), f" (now {lr:g})" if lr else ""
    if not np.isfinite(values).all():
        first = int(np.argmin(np.isfinite(values)))
        message = f"the loss is {values[first]} from step {first} on"
        return [Finding("diverged", f"step {first}", message, f"Divide the learning rate{now} by 10; clip gradients.")]
    quarter = len(values) // 4
    start, end = values[:quarter].mean(), values[-quarter:].mean()
    where, course = f"steps 0 to {len(values) - 1}", f"the mean loss went from {start:.4g} to {end:.4g}"
    if end > DIVERGED * start:
        return [Finding("diverging", where, course, f"Divide the learning rate{now} by 10.")]
    restless = float(np.abs(np.diff(values[-2 * quarter :])).mean() / max(abs(end), 1e-12))
    if restless > RESTLESS:
        message = f"the loss moves by {restless:.0%} of itself from step to step"
        return [Finding("restless", where, message, f"Divide the learning rate{now} by 3, or enlarge the batch.")]
    if end > FLAT * start:
        suggestion = f"Multiply the learning rate{now} by 10; if that changes nothing, call diagnose() on a batch."
        return [Finding("flat", where, course, suggestion)]
    return []


def learning_rate_range(
    model: Any,
    batches: Iterable[tuple[Tensor, Any]],
    loss_fn: Callable[[Any, Any], Tensor],
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 60,
) -> tuple[float | None, list[tuple[float, float]]]:
    """Try Adam with rates from `low` to `high`, one batch each, and return the rate to use with all (rate, loss).

    The rate is a tenth of the one at which the smoothed loss was least, the usual reading of the range test [Smith,
    2017]; None where it did not fall by 1 %. Batches are used again from the first when they end. The model is put
    back. Raises ValueError without a batch and for a range that is none.
    """
    if not 0 < low < high or steps < 2:
        raise ValueError(f"learning_rate_range() needs 0 < low < high and 2 steps, but got {low}, {high} and {steps}.")
    pool = list(batches)
    if not pool:
        raise ValueError("learning_rate_range() got no batch.")
    parameters = parameters_of(model)
    kept = [(p.data.copy(), p.grad) for p in parameters]
    rates = np.geomspace(low, high, steps)
    tried: list[tuple[float, float]] = []
    try:
        with _unchanged(model), np.errstate(all="ignore"):
            optimizer = Adam(parameters, low)
            for i, rate in enumerate(rates):
                inputs, targets = pool[i % len(pool)]
                loss = loss_fn(run(model, inputs), targets)
                tried.append((float(rate), float(loss.data)))
                if not math.isfinite(tried[-1][1]) or tried[-1][1] > 4 * tried[0][1]:
                    break
                optimizer.zero_grad()
                loss.backward()
                optimizer.lr = float(rate)
                optimizer.step()
    finally:
        for p, (data, grad) in zip(parameters, kept, strict=True):
            p.data[...], p.grad = data, grad
    return _best_rate(tried), tried


def _best_rate(tried: list[tuple[float, float]]) -> float | None:
    losses = [loss for _, loss in tried if math.isfinite(loss)]
    smooth = [float(np.mean(losses[max(0, i - 2) : i + 3])) for i in range(len(losses))]
    best = int(np.argmin(smooth)) if smooth else 0
    return tried[best][0] / 10 if smooth and smooth[best] < FLAT * losses[0] else None


def _not_finite(loss: float, seen: Sequence[Activation]) -> Iterator[Finding]:
    wrong = [a.layer for a in seen if not math.isfinite(a.largest)]
    if wrong:
        message = f"its output is {'NaN' if math.isnan(seen[-1].largest) else 'not finite'}, the first that is"
        yield Finding("not_finite", wrong[0], message, "Check its weights and its input; lower the learning rate.")
    elif not math.isfinite(loss):
        yield Finding("not_finite", "loss", f"the loss is {loss} for finite outputs", "Check the targets and the loss.")


def _activation_findings(seen: Sequence[Activation]) -> Iterator[Finding]:
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
    total = math.sqrt(sum((g.norm or 0.0) ** 2 for g in known))
    if not math.isfinite(total) or total > LARGEST_NORM:
        message = f"the norm of all gradients is {total:.3g}"
        yield Finding(
            "exploding_gradients", "all", message, "Clip it (clip_grad_norm, max_norm=1) and normalize inputs."
        )
    weights = [g for g in known if not g.parameter.endswith(("bias", "beta", "gamma"))] or known
    if len(weights) < 2 or not (last := _per_value(weights[-1])):
        return
    for kind, ratio, limit in (
        ("vanishing_gradients", _per_value(weights[0]) / last, VANISHING),
        ("exploding_gradients", last / max(_per_value(weights[0]), 1e-300), 1 / EXPLODING),
    ):
        if ratio < limit:
            factor = _per_value(weights[0]) / last
            message = f"per weight its gradient is {factor:.2g} times that of {weights[-1].parameter}"
            yield Finding(kind, weights[0].parameter, message, REMEDIES[kind])


REMEDIES = {
    "exploding_gradients": "Clip gradients (clip_grad_norm), draw smaller weights, or normalize between layers.",
    "vanishing_gradients": "Use ReLU or GELU instead of sigmoid and tanh, normalize between layers, or add residuals.",
}


def _rate_findings(gradients: Sequence[Gradient], optimizer: Optimizer) -> list[Finding]:
    """Compare a step's update with the weights: Adam's first step is lr for each value, SGD's lr times the gradient."""
    moved = [g for g in gradients if g.norm and g.weight_norm]
    if not moved:
        return []
    is_adam = isinstance(optimizer, Adam)
    steps = [math.sqrt(g.size) if is_adam else float(g.norm or 0) for g in moved]
    ratios = [optimizer.lr * step / g.weight_norm for g, step in zip(moved, steps, strict=True)]
    typical = float(np.median(ratios))
    if SLOWEST_UPDATE <= typical <= FASTEST_UPDATE:
        return []
    kind = "rate_too_high" if typical > FASTEST_UPDATE else "rate_too_low"
    message = f"with lr={optimizer.lr:g} a step changes weights by {typical:.1e} of themselves"
    suggestion = f"Try lr={optimizer.lr * HEALTHY_UPDATE / typical:.1g}: about {HEALTHY_UPDATE:g} is usual."
    return [Finding(kind, "all", message, suggestion)]


def _per_value(gradient: Gradient) -> float:
    return (gradient.norm or 0.0) / math.sqrt(gradient.size)


def _norm(array: Array) -> float:
    return float(np.sqrt(np.square(array, dtype=np.float64).sum()))


def _activation(name: str, layer: Layer, out: Tensor) -> Activation:
    values = out.data
    by_unit = np.moveaxis(values, 1, -1) if values.ndim == 4 else values
    units = by_unit.shape[-1] if by_unit.ndim else 1
    is_dead = (by_unit.reshape(-1, units) == 0).all(axis=0)
    return Activation(
        layer=name,
        kind=type(layer).__name__,
        shape=values.shape,
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        largest=float(np.abs(values).max()),
        zeros=float((values == 0).mean()),
        units=units,
        dead_units=int(is_dead.sum()) if isinstance(layer, ReLU) else None,
        saturated=_saturated(layer, values),
    )


def _saturated(layer: Layer, values: Array) -> float | None:
    if isinstance(layer, Sigmoid):
        values = 2 * values - 1
    elif not isinstance(layer, Tanh):
        return None
    return float((np.abs(values) > SATURATION).mean())


@contextmanager
def _observed(model: Any) -> Iterator[list[Activation]]:
    """Record what each leaf gives while the block runs; a layer that runs twice is listed twice."""
    seen: list[Activation] = []
    watched = named_leaves(model)

    def watching(name: str, layer: Layer) -> Callable[..., Any]:
        forward = layer.forward

        def observed(*args: Any, **kwargs: Any) -> Any:
            out = forward(*args, **kwargs)
            if isinstance(out, Tensor) and out.size:
                seen.append(_activation(name, layer, out))
            return out

        return observed

    try:
        for name, layer in watched:
            layer.forward = watching(name, layer)  # type: ignore[method-assign]
        yield seen
    finally:
        for _, layer in watched:
            vars(layer).pop("forward", None)


@contextmanager
def _unchanged(model: Any) -> Iterator[None]:
    """Put batch-norm statistics and random generators back after the block."""
    norms = [(layer, layer.running_mean, layer.running_var) for layer in walk(model) if isinstance(layer, BatchNorm2d)]
    states = random_states(model)
    try:
        yield
    finally:
        restore_random_states(states, model)
        for layer, mean, var in norms:
            layer.running_mean, layer.running_var = mean, var


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
