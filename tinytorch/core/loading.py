"""Prepare the batches of an epoch: chosen, varied and normalized, the next one while the network learns from this one.

The thread that does so changes no bits: what happens to which image is drawn from a generator of its own, in order.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.augmentation import Augmentation

__all__ = ["Batch", "Images", "batches"]

_AHEAD = 2  # batches that wait
_WORTH_A_THREAD_BYTES = 1 << 18  # of a batch's images: below, handing it over takes longer than preparing it
_LOOK_UP_S = 0.1  # how long it takes at most to notice that nobody wants more


class Images(Protocol):
    """What batches are taken from."""

    def __len__(self) -> int:
        """Return the number of images N."""

    def images(self, index: Any = ..., /) -> NDArray[np.float32]:
        """Return the normalized images (n, C, H, W) of a slice or an array of positions."""


@dataclass(frozen=True)
class Batch:
    """The positions of the samples (n,), and their images as the network gets them."""

    chosen: NDArray[np.int64]
    images: NDArray[np.float32]


@contextlib.contextmanager
def batches(
    source: Images, size: int, order: NDArray[np.int64], varied: tuple[Augmentation, np.random.Generator]
) -> Iterator[tuple[int, Iterator[Batch]]]:
    """Give the number of batches and an iterator over them, `size` samples each in this order.

    The last is smaller, unless it were a single sample: that joins the batch before it. Large batches are prepared in a
    thread, which ends with the block; what is raised there is raised where the batch was wanted.
    """
    pieces = _pieces(order, size)
    prepared = _prepared(source, pieces, *varied)
    if len(pieces) == 1 or source.images(order[:1]).nbytes * size < _WORTH_A_THREAD_BYTES:
        yield len(pieces), prepared
        return
    with _in_a_thread(prepared) as ready:
        yield len(pieces), ready


def _pieces(order: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and size > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return [order[start:stop] for start, stop in zip(starts, [*starts[1:], len(order)], strict=True)]


def _prepared(
    source: Images, pieces: list[NDArray[np.int64]], augmentation: Augmentation, rng: np.random.Generator
) -> Iterator[Batch]:
    for chosen in pieces:
        yield Batch(chosen, augmentation.drawn(len(chosen), rng).of(source.images(chosen)))


@contextlib.contextmanager
def _in_a_thread(batches: Iterator[Batch]) -> Iterator[Iterator[Batch]]:
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(_AHEAD)
    is_over = threading.Event()

    def offer(item: Batch | BaseException | None) -> None:
        while not is_over.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=_LOOK_UP_S)
                return

    def work() -> None:
        try:
            for batch in batches:
                offer(batch)
                if is_over.is_set():
                    return
        except BaseException as error:  # handed over, not handled: the thread that trains raises it
            offer(error)
        else:
            offer(None)

    def taken() -> Iterator[Batch]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    loader = threading.Thread(target=work, name="loader", daemon=True)
    loader.start()
    try:
        yield taken()
    finally:
        is_over.set()
        loader.join()
