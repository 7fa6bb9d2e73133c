"""What a submission's figures are computed from, as one file beside it that anything which reads safetensors can open.

It holds what was taken at the chosen point: every timed sample under "samples.", the answers of both models with the
labels under "predictions.", and as the bytes of a JSON text under "conditions" what else is known of the processes.
Leaves out whether the figures agree with it, which is `rules`' question.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.core.keys import digest_bytes
from pipeline.store.codecs import arrays as codec

__all__ = [
    "Evidence",
    "FILE",
    "MAX_BYTES",
    "SIDES",
    "packed",
    "predictions_in",
    "read_evidence",
    "reference_to",
    "unpacked",
]

FILE = "evidence.safetensors"
MAX_BYTES = 128 * 2**20  # six processes of a comparison have about 1 MiB; read, samples take some times the room
SIDES = ("baseline", "optimized")
_DTYPES = {f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}  # whole numbers
_DTYPES["F32"] = "<f4"  # losses
_SAMPLES, _PREDICTIONS, _CONDITIONS = "samples.", "predictions.", "conditions"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Evidence:
    """Samples by their names, labels and predictions of each model by split, and a record for each comparison."""

    samples: Mapping[str, NDArray[Any]]
    predictions: Mapping[str, Mapping[str, NDArray[Any]]]
    conditions: Sequence[Mapping[str, Any]]


def packed(evidence: Evidence) -> Arrays:
    """Return the arrays of the file; equal evidence has equal ones."""
    text = json.dumps(list(evidence.conditions), sort_keys=True, allow_nan=False).encode()
    return {
        **{_SAMPLES + name: array for name, array in evidence.samples.items()},
        **{
            f"{_PREDICTIONS}{side}.{name}": array
            for side, found in evidence.predictions.items()
            for name, array in found.items()
        },
        _CONDITIONS: np.frombuffer(text, dtype=np.uint8),
    }


def reference_to(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return what a submission says of the file with these arrays."""
    data = codec.encode(dict(arrays))
    return {"file": FILE, "digest": digest_bytes(data), "size_bytes": len(data)}


def read_evidence(path: Path) -> bytes | None:
    """Return the bytes of a file that anybody may have written, None if there is none.

    Raises UserError if it cannot be read, SubmissionInvalid if it is larger than MAX_BYTES.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise OSError(None, "it is not a regular file")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise SubmissionInvalid(f"{path}: is larger than {MAX_BYTES // 2**20} MiB", code="E501")
    return data


def predictions_in(data: bytes) -> dict[str, Arrays]:
    """Return what a file holds that `unpacked` accepts, the predictions only: without a copy of all samples."""
    start = 8 + int.from_bytes(data[:8], "little")
    predictions: dict[str, Arrays] = {side: {} for side in SIDES}
    for name, about in json.loads(data[8:start]).items():
        kind, _, rest = name.partition(".")
        side, _, what = rest.partition(".")
        if f"{kind}." == _PREDICTIONS and side in predictions:
            first, end = about["data_offsets"]
            array = np.frombuffer(data[start + first : start + end], _DTYPES[about["dtype"]])
            predictions[side][what] = array.reshape(about["shape"])
    return predictions


def unpacked(data: bytes) -> Evidence:
    """Return what a file holds; raises ValueError, with what is wrong, for bytes that are no such file."""
    try:
        arrays = codec.decode(data)
        conditions = json.loads(arrays.pop(_CONDITIONS, np.empty(0, np.uint8)).tobytes())
    except (safetensors.SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"is no file of evidence: {str(error)[:200]}") from None
    if odd := next((name for name in sorted(arrays) if arrays[name].dtype.kind not in "biuf"), ""):
        raise ValueError(f"has an array {odd[:80]!r} of {arrays[odd].dtype}, expected numbers")
    samples = {name.removeprefix(_SAMPLES): arrays.pop(name) for name in list(arrays) if name.startswith(_SAMPLES)}
    predictions: dict[str, Arrays] = {side: {} for side in SIDES}
    for name in list(arrays):
        kind, _, rest = name.partition(".")
        side, _, what = rest.partition(".")
        if f"{kind}." == _PREDICTIONS and side in predictions:
            predictions[side][what] = arrays.pop(name)
    if arrays:
        raise ValueError(f"has an array {sorted(arrays)[0][:80]!r}, which evidence does not have")
    if not isinstance(conditions, list) or not all(isinstance(one, dict) for one in conditions):
        raise ValueError("has no list of conditions")
    return Evidence(samples, predictions, conditions)
