"""Models as arms: load the stored file, open the session that is timed, check that its answers were the model's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.job import Job
from tinytorch.models.network import Network
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear
from tinytorch.runtime.session import InferenceSession
from tinytorch.serialization import load

__all__ = [
    "ABSOLUTE",
    "AnswersDiffer",
    "RELATIVE",
    "ROUNDED",
    "call_size",
    "check_answers",
    "copies_that_fit",
    "is_rounded",
    "load_model",
    "open_session",
    "read_queries",
]

Query = NDArray[np.float32]
Answer = NDArray[Any]

_COPIES_BYTES = 128 * 1024**2  # copying them takes some 0.1 s; far larger models stream from memory, wherever they are
_CHECKED = 24  # answers of each arm, spread evenly
_MOST_COPIES = 32  # the copies' spread of about 4 % becomes 0.7 % of their mean

# Of the largest output. The same kernels on the same query give the same bits. Others, and BLAS with several threads,
# add in another order: float32 sums of some thousand terms then differ by about 1e-5 of their size.
RELATIVE, ABSOLUTE = 1e-4, 1e-5
# Where a later layer rounds such sums to 8 bits, one that lies between two integers may go to the other.
ROUNDED = 2e-2


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


def open_session(model: Network, job: Job, arm: str, queries: Sequence[Query]) -> InferenceSession:
    """Return the session in which an arm is called: with the batch, the threads and the kernels that the job says."""
    return InferenceSession(model, call_size(job, queries), job.threads, job.choices.get(arm))


def call_size(job: Job, queries: Sequence[Query]) -> int:
    """Return the samples of one call, at most."""
    return job.batch_size or len(queries[0])


def check_answers(
    name: str, model: Network, queries: Sequence[Query], answers: Mapping[int, Answer], batch_size: int | None = None
) -> None:
    """Compare what timed calls returned with what the evaluated model answers, for up to 24 queries.

    That is a session with the usual kernels, from which accuracy comes. Both take at most `batch_size` samples of a
    query in a call (None: all): a layer may look at all samples of a call. Raises AnswersDiffer, naming the arm, at the
    first query whose answer is not the model's.
    """
    if not answers:  # a server that met no limit
        return
    evaluated = InferenceSession(model, batch_size or len(queries[0]))
    relative = ROUNDED if is_rounded(model) else RELATIVE
    for number, answer in list(answers.items())[:: 1 + len(answers) // _CHECKED]:
        expected = evaluated.run(queries[number])
        largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
        allowed = ABSOLUTE + relative * largest
        if answer.shape != expected.shape or not np.allclose(answer, expected, 0, allowed, equal_nan=True):
            raise AnswersDiffer(f"{name}: the timed output for query {number} is not the evaluated model's")


def is_rounded(model: Network) -> bool:
    """Say whether a layer rounds its inputs to integers."""
    layers = [layer for _, layer in model.named_layers() if isinstance(layer, QuantizedLinear | QuantizedConv2d)]
    return any(layer.scheme.activations != "none" for layer in layers)
