"""The tensors of a stored model, each with its digest: so that two models can be compared without having both.

Takes the bytes of safetensors files that anybody may have written; what such a tensor means is not asked here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from pipeline.core.keys import digest_bytes

__all__ = ["tensor_digests", "tensors_of"]


def tensor_digests(data: bytes) -> dict[str, str]:
    """Return name -> SHA-256 of the tensor's bytes as the file holds them, sorted by name; raises ValueError."""
    return {name: digest_bytes(array.tobytes()) for name, array in sorted(tensors_of(data).items())}


def tensors_of(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a model's file by name; raises ValueError, with what is wrong, if it is no such file."""
    try:
        return {name: np.ascontiguousarray(array) for name, array in safetensors.numpy.load(data).items()}
    except (safetensors.SafetensorError, KeyError) as error:
        raise ValueError(f"is no safetensors file: {str(error)[:200]}") from None
