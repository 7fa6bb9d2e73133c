"""Optimizers: SGD, Adam and AdamW, updating parameters in place without temporary arrays of their size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tinytorch.core.function import Array
from tinytorch.core.tensor import Tensor
from tinytorch.kernels.updates import AdamRates, adam_step, sgd_step

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

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        raise NotImplementedError(f"{type(self).__name__} must define step().")


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
            velocity = self.momentum_buffers[i]
            if velocity is None and self.has_momentum():
                velocity = self.momentum_buffers[i] = np.zeros_like(p.data)
            sgd_step(p.data, p.grad, velocity, rate=self.lr, momentum=self.momentum, decay=self.weight_decay)
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
        # m̂/(√v̂ + ε) = rate·m/(√v + ε·correction): one pass fewer
        rates = AdamRates(self.betas, self.eps * correction, rate, decay=self.weight_decay)
        if self.decouples_decay:
            rates = replace(rates, decay=0.0, keep=1 - self.lr * self.weight_decay)
        for i, p in enumerate(self.params):
            if p.grad is None:
                continue
            m, v = self.m_buffers[i], self.v_buffers[i]
            if m is None or v is None:
                m = self.m_buffers[i] = np.zeros_like(p.data)
                v = self.v_buffers[i] = np.zeros_like(p.data)
            adam_step(p.data, p.grad, m, v, rates)


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
