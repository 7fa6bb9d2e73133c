"""Make a network file of a model in ONNX, for `model: {arch: stored, weights: {file: FILE}}` in an experiment.

Only operators that our layers cover are read; the others are named. The weights are not changed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.core.errors import EnvironmentProblem, UserError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", metavar="MODEL.onnx", help="the model, one file")
    parser.add_argument("--out", metavar="FILE", help="what to write (default: MODEL.safetensors)")


def run(args: argparse.Namespace) -> Answer:
    """Write the network file, and answer with its layers."""
    from pipeline.cli.tables import table
    from pipeline.export.onnx_read import read_onnx
    from pipeline.store.objects import write_atomically
    from tinytorch.serialization import dumps

    source = Path(args.model)
    out = Path(args.out or source.with_suffix(".safetensors"))
    if out.suffix != ".safetensors":
        raise UserError(f"--out writes a .safetensors file, not {out}")
    network = read_onnx(source)
    data = dumps(network)
    try:
        write_atomically(out, data)
    except OSError as error:
        raise EnvironmentProblem(f"{out} cannot be written: {error.strerror}", hint="choose another --out") from error
    rows = [
        {"layer": name, "type": type(layer).__name__, "output": list(after), "parameters": layer.parameter_count()}
        for name, layer, _, after in network.named_shapes()
    ]
    lines = [
        table(list(rows[0]), [[str(value) for value in row.values()] for row in rows]),
        "",
        f"{out}: {len(data):,} bytes, {network.parameter_count():,} parameters, samples {network.input_shape}",
    ]
    document = {"file": str(out), "bytes": len(data), "input_shape": list(network.input_shape), "layers": rows}
    return Answer(safe("\n".join(lines)), document)
