"""Optimizers: SGD, Adam and AdamW, updating parameters in place without temporary arrays of their size."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from tinytorch.core.function import Array
from tinytorch.core.tensor import Tensor

__all__ = ["Adam", "AdamW", "Optimizer", "SGD"]


class Optimizer:
    """The base: takes over `params` (asks for their gradients, clears old ones) and counts steps."""

    lr: float

    def __init__(self, params: Iterable[Tensor]) -> None:
        # iterating over a tensor gives its rows: copies that nobody computes with
        self.params = [params] if isinstance(params, Tensor) else list(params)
        for p in self.params:
            if not isinstance(p, Tensor):
                raise TypeError(f"An optimizer needs Tensors, such as model.parameters(), but got {type(p).__name__}.")
            p.requires_grad = True
            p.grad = None
        self.step_count = 0
        self._scratch: list[Array | None] = [None] * len(self.params)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        raise NotImplementedError(f"{type(self).__name__} must define step().")

    def _buffer(self, i: int) -> Array:
        """Return a reusable array of parameter i's shape, for one step's intermediate values."""
        buffer = self._scratch[i]
        if buffer is None or buffer.shape != self.params[i].shape:
            buffer = self._scratch[i] = np.empty_like(self.params[i].data)
        return buffer


class SGD(Optimizer):
    """Gradient descent: v ← momentum·v + g + weight_decay·p, p ← p - lr·v.

    `momentum_buffers` holds v for each parameter, None before its first step.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float = 0.01, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.momentum_buffers: list[Array | None] = [None] * len(self.params)

    def has_momentum(self) -> bool:
        """Say whether momentum is used."""
        return self.momentum > 0

    def get_momentum_state(self) -> list[Array | None] | None:
        """Return copies of the momentum buffers, or None without momentum."""
        if not self.has_momentum():
            return None
        return [None if v is None else v.copy() for v in self.momentum_buffers]

    def set_momentum_state(self, state: list[Array | None] | None) -> None:
        """Restore what get_momentum_state returned; raise ValueError for another number of buffers."""
        if state is None or not self.has_momentum():
            return
        if len(state) != len(self.params):
            raise ValueError(
                f"The momentum state has {len(state)} buffers, but there are {len(self.params)} parameters."
            )
        self.momentum_buffers = [None if v is None else np.array(v, np.float32) for v in state]

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for i, p in enumerate(self.params):
            if p.grad is None:
                continue
            update, scratch = p.grad, self._buffer(i)
            if self.weight_decay:
                np.multiply(p.data, self.weight_decay, out=scratch)
                scratch += update
                update = scratch
            if self.has_momentum():
                velocity = self.momentum_buffers[i]
                if velocity is None:
                    velocity = self.momentum_buffers[i] = np.zeros_like(p.data)
                velocity *= self.momentum
                velocity += update
                update = velocity
            np.multiply(update, self.lr, out=scratch)
            p.data -= scratch
        self.step_count += 1


class Adam(Optimizer):
    """Adam [Kingma & Ba, 2015], in the efficient order of its section 2; weight decay is added to the gradient.

    `m_buffers` and `v_buffers` hold the moment estimates for each parameter, None before its first step. The correction
    of their bias counts the optimizer's steps, `step_count`, also for a parameter that had no gradient in some.
    """

    decouples_decay = False

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params)
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.beta1, self.beta2 = betas
        self.m_buffers: list[Array | None] = [None] * len(self.params)
        self.v_buffers: list[Array | None] = [None] * len(self.params)

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        self.step_count += 1
        correction = math.sqrt(1 - self.beta2**self.step_count)
        rate = self.lr * correction / (1 - self.beta1**self.step_count)
        for i, p in enumerate(self.params):
            if p.grad is None:
                continue
            m, v, scratch = self.m_buffers[i], self.v_buffers[i], self._buffer(i)
            if m is None or v is None:
                m = self.m_buffers[i] = np.zeros_like(p.data)
                v = self.v_buffers[i] = np.zeros_like(p.data)
            grad = p.grad
            if self.weight_decay and self.decouples_decay:
                p.data *= 1 - self.lr * self.weight_decay
            elif self.weight_decay:
                grad = grad + self.weight_decay * p.data
            m *= self.beta1
            m += np.multiply(grad, 1 - self.beta1, out=scratch)
            v *= self.beta2
            np.multiply(grad, grad, out=scratch)
            scratch *= 1 - self.beta2
            v += scratch
            # m̂/(√v̂ + ε) = rate·m/(√v + ε·correction): one pass fewer
            np.sqrt(v, out=scratch)
            scratch += self.eps * correction
            np.divide(m, scratch, out=scratch)
            scratch *= rate
            p.data -= scratch


class AdamW(Adam):
    """Adam with weight decay applied to the parameter, not to the gradient [Loshchilov & Hutter, 2019]."""

    decouples_decay = True

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
