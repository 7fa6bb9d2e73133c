"""The autograd engine: `Function` (one op, forward beside derivative), gradient mode, and the backward pass.

It knows nodes, not tensors: `Tensor` derives from `Node` and the ops live beside what they compute.
The functions never cast, so calling `forward` and `backward` with float64 arrays checks a gradient in float64.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import partial
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Function", "Node", "is_grad_enabled", "no_grad", "run_backward", "unbroadcast"]

Array: TypeAlias = npt.NDArray[Any]
N = TypeVar("N", bound="Node")
FLOAT32 = np.dtype(np.float32)


class _GradMode(threading.local):
    enabled: bool = True


_mode = _GradMode()


def is_grad_enabled() -> bool:
    """Say whether operations record a graph in this thread."""
    return _mode.enabled


class no_grad(ContextDecorator):  # noqa: N801 - the course's and PyTorch's spelling
    """Record no graph inside a ``with no_grad():`` block or a decorated function; nests, per thread."""

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> Self:
        self._before.append(_mode.enabled)
        _mode.enabled = False
        return self

    def __exit__(self, *exc: object) -> None:
        _mode.enabled = self._before.pop()


class Node:
    """A value in the graph: an array, whether it wants a gradient, its gradient, and the function it came from."""

    _data: Array
    requires_grad: bool = False
    grad: Array | None = None
    _grad_fn: Function | None = None

    @classmethod
    def _wrap(cls, array: Array) -> Self:
        """Make a node around `array` without copying; only a dtype other than float32 is converted."""
        node = cls.__new__(cls)
        # `is`: comparing dtypes costs more than the rest of this method
        node._data = array if type(array) is np.ndarray and array.dtype is FLOAT32 else np.asarray(array, np.float32)
        return node


class _Apply:
    """`Function.apply`: on the class it computes a result, on an instance it returns the input gradients.

    The course's older versions write ``AddBackward(a, b).apply(grad)``, its newer ones ``AddBackward.apply(a, b)``.
    """

    def __get__(self, instance: Function | None, owner: type[Function]) -> Callable[..., Any]:
        return owner.run if instance is None else partial(_gradients, instance)


def _gradients(function: Function, grad: Array) -> tuple[Array | None, ...]:
    if type(function).backward is Function.backward:
        raise NotImplementedError(f"{type(function).__name__} defines neither backward(grad) nor apply(grad).")
    function.needs = tuple(isinstance(t, Node) and t.requires_grad for t in function.saved_tensors)
    arrays = [t._data if isinstance(t, Node) else np.asarray(t, np.float32) for t in function.saved_tensors]
    function.forward(*arrays)
    return function.backward(np.asarray(grad))


class Function:
    """One differentiable operation; subclasses write `forward` and, right below it, `backward`.

    `forward(*arrays)` returns an array and may keep references on `self`; `backward(grad)` gets the gradient of the
    result and returns one gradient (or None) for each input, of that input's shape. In `backward`, `needs[i]` says
    whether input i wants one. Keyword parameters of `apply` reach the constructor.
    """

    freed: bool = False
    saved_tensors: tuple[Any, ...]
    needs: tuple[bool, ...] | tuple[()] = ()  # empty until a run that records
    apply = _Apply()

    def __init__(self, *tensors: Any, **params: Any) -> None:
        self.saved_tensors = tensors
        for name, value in params.items():
            setattr(self, name, value)

    @classmethod
    def run(cls, *tensors: N, **params: Any) -> N:
        """Compute the result for `tensors` and remember how, if gradients are recorded and an input wants one.

        Raises TypeError for an input that is no tensor.
        """
        function = cls(*tensors, **params)
        try:
            arrays = [t._data for t in tensors]
        except AttributeError:
            kinds = ", ".join(type(t).__name__ for t in tensors)
            raise TypeError(f"{cls.__name__} computes with Tensors, but got {kinds}. Wrap arrays: Tensor(x).") from None
        result = tensors[0]._wrap(function.forward(*arrays))
        if _mode.enabled:
            needs = tuple([t.requires_grad for t in tensors])
            if True in needs:
                function.needs = needs
                result.requires_grad = True
                result._grad_fn = function
        return result

    def forward(self, *arrays: Any, **params: Any) -> Array:  # subclasses name what they take
        """Return the result's array."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(*arrays).")

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """Return the gradient of each input, given that of the result."""
        # A course-style subclass overrides the instance's apply(grad) instead.
        gradients: tuple[Array | None, ...] = self.apply(grad)
        return gradients

    def release(self) -> None:
        """Forget inputs and saved arrays; a later backward through this function is an error."""
        vars(self).clear()
        self.saved_tensors = ()
        self.freed = True


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum `grad` over the axes that broadcasting added or stretched, back to `shape`."""
    if grad.shape == shape:
        return grad
    extra = grad.ndim - len(shape)
    if extra > 0:
        grad = grad.sum(axis=tuple(range(extra)))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and grad.shape[i] != 1)
    return grad.sum(axis=stretched, keepdims=True) if stretched else grad


def run_backward(root: Node, gradient: Array, retain_graph: bool = False) -> None:
    """Add d(root)/d(node)·`gradient` to `.grad` of every node that requires one, summing over all paths.

    Iterative, so graphs of any depth work. Raises RuntimeError, before any `.grad` changes, if part of the graph was
    freed by an earlier backward pass.
    """
    pending: dict[int, tuple[Array, bool]] = {id(root): (gradient, False)}
    nodes = _sources_first(root)
    while nodes:
        node = nodes.pop()  # so that an intermediate value that nobody else holds is freed as soon as it is done
        if id(node) not in pending:
            continue
        grad, owned = pending.pop(id(node))
        _accumulate(node, grad, owned)
        function = node._grad_fn
        if function is None:
            continue
        for source, part in zip(function.saved_tensors, _checked_gradients(function, grad), strict=False):
            if part is None or not (isinstance(source, Node) and source.requires_grad):
                continue
            earlier = pending.get(id(source))
            # A function may hand its input on (x + y) or return a view (reshape): not ours to keep or to write to.
            mine = part is not grad and part.base is None
            pending[id(source)] = (part, mine) if earlier is None else (earlier[0] + part, True)
        if not retain_graph:
            function.release()


def _accumulate(node: Node, grad: Array, owned: bool) -> None:
    if node.grad is not None:
        node.grad = node.grad + grad
    elif node._grad_fn is not None:
        node.grad = np.asarray(
            grad
        ).view()  # what is passed on: nobody may write to it; a copy took a tenth of a CNN's step
        node.grad.flags.writeable = False
    else:
        node.grad = grad if owned else grad.copy(order="K")  # keeps a channels-last layout


def _checked_gradients(function: Function, grad: Array) -> tuple[Array | None, ...]:
    # Course code may hang a hand-made AddBackward(a, b) on a result: it has run nothing yet.
    parts = function.backward(grad) if function.needs else function.apply(grad)
    parts = parts if isinstance(parts, tuple) else (parts,)
    for source, part in zip(function.saved_tensors, parts, strict=False):
        if part is not None and isinstance(source, Node) and part.shape != source._data.shape:
            raise ValueError(
                f"{type(function).__name__}.backward returned a gradient of shape {part.shape} for an input of shape "
                f"{source._data.shape}; they must be equal (sum over broadcast axes, see unbroadcast)."
            )
    return parts


def _sources_first(root: Node) -> list[Node]:
    """List the nodes below `root` that want a gradient so that each comes before everything computed from it."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, is_finished = stack.pop()
        if is_finished:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        function = node._grad_fn
        if function is None:
            continue
        if function.freed:
            raise RuntimeError(
                f"backward() reached {type(function).__name__}, whose saved values an earlier backward() freed. "
                "Run the forward pass again, or call the first one with backward(retain_graph=True)."
            )
        stack.extend((t, False) for t in function.saved_tensors if isinstance(t, Node) and t.requires_grad)
    return order
