"""The optimizers' steps, in place: by native kernels where they are built, else by NumPy, with the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tinytorch.kernels.calls import chosen_isa, run

__all__ = ["AdamRates", "adam_step", "sgd_step"]

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class AdamRates:
    """What a step of Adam multiplies by: `decay`·p is added to the gradient, p is multiplied by `keep` before all."""

    betas: tuple[float, float]
    eps: float
    rate: float
    decay: float = 0.0
    keep: float = 1.0


def adam_step(p: Array, grad: Array, m: Array, v: Array, rates: AdamRates) -> None:
    """Move m and v towards grad and its square, and p by -rate·m/(√v + eps)."""
    (beta1, beta2), eps, rate = rates.betas, rates.eps, rates.rate
    native = _flat(p, grad, m, v)
    if native is not None:
        factors = (beta1, 1 - beta1, beta2, 1 - beta2, eps, rate, rates.keep, rates.decay)
        isa, *flat = native
        run(isa, "adam", (p.size,), tuple(flat), factors)
        return
    if rates.decay:
        grad = grad + rates.decay * p
    if rates.keep != 1:
        p *= rates.keep
    scratch = np.multiply(grad, 1 - beta1)
    m *= beta1
    m += scratch
    v *= beta2
    np.multiply(grad, grad, out=scratch)
    scratch *= 1 - beta2
    v += scratch
    np.sqrt(v, out=scratch)
    scratch += eps
    np.divide(m, scratch, out=scratch)
    scratch *= rate
    p -= scratch


def sgd_step(p: Array, grad: Array, velocity: Array | None, *, rate: float, momentum: float, decay: float) -> None:
    """Move velocity to momentum·velocity + grad + decay·p, and p by -rate·velocity; without velocity by the rest."""
    native = _flat(p, grad, velocity)
    if native is not None:
        isa, *flat = native
        run(isa, "sgd", (p.size,), tuple(flat), (rate, momentum, decay))
        return
    update = grad
    if decay:
        update = p * decay
        update += grad
    if velocity is not None:
        velocity *= momentum
        velocity += update
        update = velocity
    p -= update * rate


def _flat(*arrays: Array | None) -> tuple[Any, ...] | None:
    """Return the instruction set and arrays of one layout as they lie in memory; None where NumPy has to do it."""
    first, isa = arrays[0], chosen_isa(*arrays)
    if isa is None or first is None or not first.size:
        return None
    order = None
    if not first.flags.c_contiguous:
        order = sorted(range(first.ndim), key=first.strides.__getitem__, reverse=True)
    laid_out = tuple(a if a is None or order is None else a.transpose(order) for a in arrays)
    return (isa, *laid_out) if all(a is None or a.flags.c_contiguous for a in laid_out) else None
