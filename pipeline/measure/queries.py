"""The queries that are timed: groups of different images, drawn from a data set. Parent's side."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Images", "draw_queries"]

_MOST = 256  # queries
_MOST_BYTES = 16 * 1024**2  # of all queries together
_LEAST = 4  # queries, even if they are larger: they must differ from call to call


class Images(Protocol):
    """What queries are drawn from: a number of images, and images by position."""

    def __len__(self) -> int: ...

    def images(self, index: NDArray[np.integer[Any]]) -> NDArray[np.float32]: ...


def draw_queries(source: Images, samples_per_query: int, seed: int) -> NDArray[np.float32]:
    """Return queries (queries, samples_per_query, *shape) of images in random order, each used equally often.

    They have 16 MiB at most, unless four queries have more. Raises ValueError if there are no images.
    """
    if not len(source):
        raise ValueError("there are no images to draw queries from")
    rng = np.random.default_rng(seed)
    one = source.images(np.array([0]))
    count = int(np.clip(_MOST_BYTES // (one.nbytes * samples_per_query), _LEAST, _MOST))
    rounds = -(-count * samples_per_query // len(source))
    order = np.concatenate([rng.permutation(len(source)) for _ in range(rounds)])[: count * samples_per_query]
    return source.images(order).reshape(count, samples_per_query, *one.shape[1:])
