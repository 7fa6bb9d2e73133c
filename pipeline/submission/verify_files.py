"""Model files that lie beside a submission, compared tensor by tensor with the rebuilt ones.

They are strangers' files: bounded, regular, never linked to from elsewhere, and read as arrays only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.core.keys import digest_bytes
from pipeline.submission.evidence import SIDES
from pipeline.submission.tensors import tensors_of
from pipeline.submission.verification import Check

__all__ = ["compare_files", "files_beside", "refuse_link"]

_MOST_BYTES = 512 * 2**20


def files_beside(folder: Path) -> dict[str, bytes]:
    """Return side -> bytes of baseline.safetensors and optimized.safetensors in a folder, as far as they are there.

    Raises SubmissionInvalid for a link and for a file that is too large, UserError for one that cannot be read.
    """
    found = {}
    for side in SIDES:
        path = folder / f"{side}.safetensors"
        refuse_link(path)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
                raise SubmissionInvalid(f"{path}: is not a regular file", code="E501")
            with open(path, "rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        if len(data) > _MOST_BYTES:
            raise SubmissionInvalid(f"{path}: is larger than {_MOST_BYTES // 2**20} MiB", code="E501")
        found[side] = data
    return found


def refuse_link(path: Path) -> None:
    """Raise SubmissionInvalid for a symbolic link: it could lead anywhere."""
    if path.is_symlink():
        raise SubmissionInvalid(
            f"{path}: is a link, expected a file of its own", code="E501", hint="put the file itself there"
        )


def compare_files(
    stated: Mapping[str, str], beside: Mapping[str, bytes], rebuilt: Mapping[str, bytes], *, is_exact: bool
) -> Iterator[Check]:
    """Yield a check of each model file beside a submission; `stated` has the digests that the submission names."""
    for side, data in beside.items():
        path, name = f"{side}.safetensors", f"file, {side}"
        digest, expected = digest_bytes(data), digest_bytes(rebuilt[side])
        if digest == expected:
            yield Check(
                "V031", name, "same", path, digest, expected, f"{len(data):,} bytes, those of the rebuilt model"
            )
            continue
        where = difference_of(data, rebuilt[side])
        if digest != stated[side]:
            message = f"is not the file that the submission names; beside the rebuilt model: {where}"
            yield Check("V031", name, "differs", path, digest, stated[side], message)
        elif not is_exact:
            yield Check("V031", name, "within", path, digest, expected, f"{where}: the answers decide")
        else:
            yield Check("V031", name, "differs", path, digest, expected, where)


def difference_of(found: bytes, expected: bytes) -> str:
    """Return in words where a model's file first differs from the one that it should be."""
    try:
        tensors, rebuilt = tensors_of(found), tensors_of(expected)
    except ValueError as error:
        return str(error)
    if tensors.keys() != rebuilt.keys():
        names = [sorted(one.keys() - other.keys())[:3] for one, other in ((tensors, rebuilt), (rebuilt, tensors))]
        return f"it has the tensors {names[0]} that the rebuilt model lacks, and lacks {names[1]}"[:300]
    told = [text for name in sorted(rebuilt) if (text := _unlike(name, tensors[name], rebuilt[name]))]
    if not told:
        return "all tensors are the same; what is different is the header of the file"
    return told[0] if len(told) == 1 else f"{len(told)} of {len(rebuilt)} tensors are different; first, {told[0]}"


def _unlike(name: str, found: NDArray[Any], expected: NDArray[Any]) -> str:
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        return f"{name} is {found.dtype}{list(found.shape)}, expected {expected.dtype}{list(expected.shape)}"
    if found.tobytes() == expected.tobytes():
        return ""
    others = np.flatnonzero(_bits(found) != _bits(expected))
    first = np.unravel_index(int(others[0]), expected.shape)
    place = ", ".join(map(str, map(int, first)))
    count = f", and {len(others) - 1:,} more of {found.size:,} values" if len(others) > 1 else ""
    return f"{name}[{place}] is {found[first]!s}, expected {expected[first]!s}{count}"


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values as integers, so that NaN is like itself and -0.0 is not 0.0."""
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")
