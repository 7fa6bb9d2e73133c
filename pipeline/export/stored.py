"""What a submission names by digest, read from the store; and the test images, which several exports run models on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.export.target import Source
from pipeline.store.codecs import codec_named
from pipeline.store.objects import CorruptObject
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError

__all__ = ["calibration", "stored", "stored_bytes", "stored_split"]

_SAMPLES = 256  # training images that calibrate scales; as many as the quantize step takes unless told otherwise


def stored_bytes(source: Source, digest: str) -> bytes:
    """Return the bytes under a digest; raises EnvironmentProblem if the store no longer has them."""
    try:
        return source.store.read(digest)
    except CorruptObject as error:
        hint = "run the experiment again, or name the store that it used with --store"
        raise EnvironmentProblem(f"the submission names what is not stored: {error}", hint=hint) from error


def stored(source: Source, digest: str, codec: str) -> Any:
    """Return what is stored under a digest; raises as `stored_bytes`, and UserError if it is not of this codec."""
    data = stored_bytes(source, digest)
    try:
        return codec_named(codec).decode(data)
    except (SafetensorError, TinyTorchError, ValueError) as error:
        raise UserError(f"what the submission names as its {codec} is none: {error}") from error


def stored_split(source: Source, role: str) -> Split:
    """Return the train, validation or test images of a run; raises as `stored`."""
    arrays = stored(source, source.submission["provenance"]["data"]["roles"][role], "arrays")
    if "token_bytes" in arrays:
        raise UserError(
            "this run is of a language model, and the export knows networks for images only",
            hint="pipeline report, pipeline paper and export dvc take every run",
        )
    try:
        return Split.from_arrays(arrays)
    except ValueError as error:
        raise UserError(f"what the submission names as its {role} data is none: {error}") from error


def calibration(source: Source) -> NDArray[np.float32]:
    """Return the training images of a run that calibrate scales, always the same; raises as `stored`."""
    train = stored_split(source, "train")
    order = np.random.default_rng(source.submission["provenance"]["seeds"]["submitted"]).permutation(len(train))
    return train.images(np.sort(order[:_SAMPLES]))
