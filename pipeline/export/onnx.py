"""The target onnx: both networks of a run as ONNX models. Its arguments, and where the models come from.

How a network is written is in `onnx_model`; the two are apart so that `--help` imports no numpy.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.export.target import Exported, Source

__all__ = ["configure", "export"]

_SAMPLES = 256  # training images that calibrate scales; as many as the quantize step takes unless told otherwise


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments: none beside the run and the folder."""


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Write optimized.onnx and baseline.onnx to the folder `out`, which is empty.

    Scales that the networks do not hold are calibrated on training images of the run. Raises UserError for a layer
    without an ONNX form, EnvironmentProblem if the store no longer has what the run was made from.
    """
    import numpy as np

    from pipeline.export.onnx_model import is_quantized, write_onnx
    from tinytorch.data.split import Split

    provenance = source.submission["provenance"]
    train = Split.from_arrays(_stored(source, provenance["data"]["roles"]["train"], "arrays"))
    order = np.random.default_rng(provenance["seeds"]["submitted"]).permutation(len(train))[:_SAMPLES]
    samples = train.images(np.sort(order))
    models: dict[str, dict[str, Any]] = {}
    for side in ("optimized", "baseline"):
        model = _stored(source, provenance["weights"][side], "model")
        path = out / f"{side}.onnx"
        write_onnx(model, path, samples)
        models[side] = {
            "file": path.name,
            "bytes": path.stat().st_size,
            "precision": "int8" if is_quantized(model) else "fp32",
        }
    lines = [f"{out / one['file']}  {one['precision']}, {one['bytes']:,} bytes" for one in models.values()]
    return Exported("\n".join(lines), {"models": models, "calibration_samples": len(samples)})


def _stored(source: Source, digest: str, codec: str) -> Any:
    """Return what the store holds under a digest that the submission names."""
    from safetensors import SafetensorError

    from pipeline.store.codecs import codec_named
    from pipeline.store.objects import CorruptObject
    from tinytorch.errors import TinyTorchError

    try:
        return codec_named(codec).decode(source.store.read(digest))
    except CorruptObject as error:
        hint = "run the experiment again, or name the store that it used with --store"
        raise EnvironmentProblem(f"the submission names what is not stored: {error}", hint=hint) from error
    except (SafetensorError, TinyTorchError, ValueError) as error:
        raise UserError(f"what the submission names as its {codec} is none: {error}") from error
