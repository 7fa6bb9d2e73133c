"""The target onnx: both networks of a run as ONNX models. Its arguments, and where the models come from.

How a network is written is in `onnx_model`; the two are apart so that `--help` imports no numpy.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipeline.export.target import Exported, Source

__all__ = ["configure", "export"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments."""
    parser.add_argument(
        "--exact", action="store_true", help="round inputs as tinytorch does: the same outputs, found more slowly"
    )


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Write optimized.onnx and baseline.onnx to the folder `out`, which is empty.

    Scales that the networks do not hold are calibrated on training images of the run, unless --exact. Raises UserError
    for a layer without an ONNX form, EnvironmentProblem if the store no longer has what the run was made from.
    """
    from pipeline.export.onnx_model import is_quantized, write_onnx
    from pipeline.export.stored import calibration, stored

    samples = None if args.exact else calibration(source)
    models: dict[str, dict[str, Any]] = {}
    for side in ("optimized", "baseline"):
        model = stored(source, source.submission["provenance"]["weights"][side], "model")
        path = out / f"{side}.onnx"
        write_onnx(model, path, samples, is_exact=args.exact)
        models[side] = {
            "file": path.name,
            "bytes": path.stat().st_size,
            "precision": "int8" if is_quantized(model) else "fp32",
        }
    lines = [f"{out / one['file']}  {one['precision']}, {one['bytes']:,} bytes" for one in models.values()]
    return Exported("\n".join(lines), {"models": models, "calibration_samples": 0 if samples is None else len(samples)})
