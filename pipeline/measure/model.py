"""Models as arms: load the stored file, call it as it is evaluated, check that timed answers were the model's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.tensor import Tensor
from tinytorch.models.network import Network
from tinytorch.serialization import load

__all__ = ["AnswersDiffer", "caller", "check_answers", "copies_that_fit", "load_model", "read_queries"]

Query = NDArray[np.float32]
Answer = NDArray[Any]

_COPIES_BYTES = 128 * 1024**2  # copying them takes some 0.1 s; far larger models stream from memory, wherever they are
_CHECKED = 24  # answers of each arm, spread evenly
_MOST_COPIES = 32  # the copies' spread of about 4 % becomes 0.7 % of their mean

# The same code on the same query gives the same bits with one thread. With more, BLAS may add in another order:
# float32 sums of some thousand terms then differ by about 1e-5 of their size.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


class AnswersDiffer(Exception):
    """What was timed did not compute what the evaluated model computes."""


def load_model(path: str) -> Network:
    """Load a stored model and switch it to inference."""
    model = load(Path(path))
    model.eval()
    return model


def read_queries(path: str) -> list[Query]:
    """Read the queries, each an array (batch, *input_shape) of its own."""
    stacked = np.load(path, allow_pickle=False)
    return [np.ascontiguousarray(query, dtype=np.float32) for query in stacked]


def copies_that_fit(paths: Iterable[str]) -> int:
    """Return how many copies of each of these models to hold, 1 to 32: together about 128 MiB of files."""
    return int(np.clip(_COPIES_BYTES // sum(Path(path).stat().st_size for path in paths), 1, _MOST_COPIES))


def caller(model: Network) -> Callable[[Query], Answer]:
    """Return the function that is timed: wrap the query, run every layer, unwrap. The caller switches gradients off."""
    forward = model.forward
    return lambda query: forward(Tensor(query)).data


def check_answers(
    name: str, model: Network, queries: Sequence[Query], answers: Mapping[int, Answer], batch_size: int | None = None
) -> None:
    """Compare what timed calls returned with `predict`, the code that accuracy comes from, for up to 24 queries.

    Both take at most `batch_size` samples of a query in a call (None: all): a layer may look at all samples of a call.
    Raises AnswersDiffer, naming the arm, at the first query whose answer is not the model's.
    """
    for number, answer in list(answers.items())[:: 1 + len(answers) // _CHECKED]:
        expected = model.predict(queries[number], batch_size=batch_size or len(queries[number]))
        if answer.shape != expected.shape or not np.allclose(answer, expected, _RELATIVE, _ABSOLUTE, equal_nan=True):
            raise AnswersDiffer(f"{name}: the timed output for query {number} is not the evaluated model's")
