"""Losses: each op with its derivative, then the classes around them. All average over everything they compare."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tinytorch.core.function import Array, Function
from tinytorch.core.shapes import axis_problem
from tinytorch.core.tensor import Tensor

__all__ = [
    "BCEBackward",
    "BinaryCrossEntropyLoss",
    "CrossEntropyBackward",
    "CrossEntropyLoss",
    "DistillationBackward",
    "EPSILON",
    "LogSoftmaxBackward",
    "MSEBackward",
    "MSELoss",
    "log_softmax",
]

EPSILON = 1e-7  # keeps log() of a probability finite in float32


class LogSoftmaxBackward(Function):
    """x - log Σeˣ along `dim`."""

    def __init__(self, tensor: Any, dim: int = -1) -> None:
        super().__init__(tensor, dim=dim)

    dim: int

    def forward(self, x: Array) -> Array:
        """Subtract the log of the normalizer; the maximum is taken out first to avoid overflow."""
        self.out = _log_softmax(x, self.dim)
        return self.out

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """With g the gradient: g - softmax·Σg."""
        return (grad - np.exp(self.out) * grad.sum(axis=self.dim, keepdims=True),)


class MSEBackward(Function):
    """mean((prediction - target)²)."""

    def forward(self, predictions: Array, targets: Array) -> Array:
        """Average the squared differences."""
        self.difference = predictions - targets
        return np.asarray(np.mean(self.difference * self.difference))

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """±2(prediction - target)/n."""
        slope = self.difference * (grad * 2 / grad.dtype.type(self.difference.size))
        return slope, -slope if self.needs[1] else None


class BCEBackward(Function):
    """-mean(t·log p + (1-t)·log(1-p)), p kept within [ε, 1-ε]."""

    def forward(self, predictions: Array, targets: Array) -> Array:
        """Average the negative log-likelihood."""
        low = predictions.dtype.type(EPSILON)
        self.p, self.t = np.clip(predictions, low, 1 - low), targets
        return np.asarray(-np.mean(self.t * np.log(self.p) + (1 - self.t) * np.log(1 - self.p)))

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """(p-t)/(p(1-p))/n for the predictions, log((1-p)/p)/n for the targets."""
        scale = grad / grad.dtype.type(self.p.size)
        return (
            (self.p - self.t) / (self.p * (1 - self.p)) * scale,
            np.log((1 - self.p) / self.p) * scale if self.needs[1] else None,
        )


class CrossEntropyBackward(Function):
    """-mean over the batch of Σ q·log softmax(logits): q is 1 at the target class, or smoothed.

    With `label_smoothing` s, q = (1-s)·onehot + s/C [Szegedy et al., 2016]. Targets are class ids and get no gradient.
    """

    def __init__(self, logits: Any, targets: Any, label_smoothing: float = 0.0) -> None:
        super().__init__(logits, targets, label_smoothing=label_smoothing)

    label_smoothing: float

    def forward(self, logits: Array, targets: Array) -> Array:
        """Return the average negative log-likelihood of logits (B, C) for ids (B,)."""
        log_p = _log_softmax(logits, -1)
        self.probabilities, self.ids = np.exp(log_p), targets.astype(np.intp)
        picked = log_p[np.arange(len(log_p)), self.ids].mean()
        if not self.label_smoothing:  # 0·log p is NaN for a class that is ruled out (logit -inf)
            return np.asarray(-picked)
        return np.asarray(-((1 - self.label_smoothing) * picked + self.label_smoothing * log_p.mean()))

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """(softmax - q)/B."""
        count, classes = self.probabilities.shape
        slope = self.probabilities - grad.dtype.type(self.label_smoothing / classes)
        slope[np.arange(count), self.ids] -= grad.dtype.type(1 - self.label_smoothing)
        slope *= grad / grad.dtype.type(count)
        return slope, None


class DistillationBackward(Function):
    """T² · mean over the batch of KL(softmax(teacher / T) ‖ softmax(logits / T)); the teacher gets no gradient.

    T² keeps the size of the gradient when the temperature T changes [Hinton et al., 2015, section 2].
    """

    def __init__(self, logits: Any, teacher: Any, temperature: float = 1.0) -> None:
        super().__init__(logits, teacher, temperature=temperature)

    temperature: float

    def forward(self, logits: Array, teacher: Array) -> Array:
        """Average the divergence of logits (B, C) from the teacher's."""
        heat = logits.dtype.type(self.temperature)
        log_q, log_p = _log_softmax(logits / heat, -1), _log_softmax(teacher / heat, -1)
        self.q, self.p = np.exp(log_q), np.exp(log_p)
        return np.asarray(heat * heat * (self.p * (log_p - log_q)).sum(axis=-1).mean())

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """T·(softmax(logits / T) - softmax(teacher / T))/B."""
        return (self.q - self.p) * (grad * grad.dtype.type(self.temperature / len(self.q))), None


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Return the logarithm of softmax along `dim`, without the overflow and lost digits of log(softmax(x)).

    Raises ValueError for an axis that there is not.
    """
    if not -x.ndim <= dim < x.ndim:
        raise axis_problem("log_softmax", x.shape, dim)
    return LogSoftmaxBackward.run(x, dim=dim)


def _log_softmax(x: Array, dim: int) -> Array:
    shifted = x - x.max(axis=dim, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True)))


class MSELoss:
    """The mean squared error of predictions and targets of the same shape."""

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the loss as a 0-d tensor; raise ValueError for different shapes."""
        return MSEBackward.run(predictions, _same_shape("MSELoss", predictions, targets))

    def __call__(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Compute `forward`."""
        return self.forward(predictions, targets)

    def parameters(self) -> list[Tensor]:
        """Return []: a loss learns nothing."""
        return []


class CrossEntropyLoss:
    """The cross-entropy of logits (B, C) and class ids (B,), softmax included; optionally with smoothed labels.

    For a language model logits are (B, T, V) and ids (B, T): every position counts as a sample.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be at least 0 and less than 1, but got {label_smoothing}.")
        self.label_smoothing = float(label_smoothing)

    def forward(self, logits: Tensor, targets: Tensor | npt.ArrayLike) -> Tensor:
        """Return the loss as a 0-d tensor; raise ValueError for shapes or ids that do not fit together."""
        ids = targets if isinstance(targets, Tensor) else Tensor(targets)
        if logits.ndim > 2 and logits.size and ids.shape == logits.shape[:-1]:
            logits, ids = logits.reshape(-1, logits.shape[-1]), ids.reshape(-1)
        if logits.ndim != 2 or ids.shape != logits.shape[:1]:
            raise ValueError(
                f"CrossEntropyLoss needs logits (batch, classes) and one class id per sample (batch,), but got "
                f"logits of shape {logits.shape} and targets of shape {ids.shape}; further axes, (batch, T, classes), "
                "must be in both. For one-hot targets pass their argmax."
            )
        values = ids.data
        if (
            values.size == 0
            or values.min() < 0
            or values.max() >= logits.shape[1]
            or np.any(values != np.floor(values))
        ):
            raise ValueError(
                f"CrossEntropyLoss needs at least one sample and whole class ids from 0 to {logits.shape[1] - 1} for "
                f"logits of shape {logits.shape}, but the targets are {np.unique(values)[:10]}."
            )
        return CrossEntropyBackward.run(logits, ids, label_smoothing=self.label_smoothing)

    def __call__(self, logits: Tensor, targets: Tensor | npt.ArrayLike) -> Tensor:
        """Compute `forward`."""
        return self.forward(logits, targets)

    def parameters(self) -> list[Tensor]:
        """Return []: a loss learns nothing."""
        return []


class BinaryCrossEntropyLoss:
    """The cross-entropy of probabilities and targets in [0, 1] of the same shape."""

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the loss as a 0-d tensor; raise ValueError for different shapes."""
        return BCEBackward.run(predictions, _same_shape("BinaryCrossEntropyLoss", predictions, targets))

    def __call__(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Compute `forward`."""
        return self.forward(predictions, targets)

    def parameters(self) -> list[Tensor]:
        """Return []: a loss learns nothing."""
        return []


def _same_shape(loss: str, predictions: Tensor, targets: Tensor | npt.ArrayLike) -> Tensor:
    wanted = targets if isinstance(targets, Tensor) else Tensor(targets)
    if predictions.shape != wanted.shape or predictions.size == 0:
        raise ValueError(
            f"{loss} compares value by value, but the predictions have shape {predictions.shape} and the targets "
            f"{wanted.shape}. Both must be equal and hold at least one value; use reshape() on one of them."
        )
    return wanted
