"""The target package: a folder to deploy the submitted network from. Its arguments; what is in it is in `package_tree`.

The two are apart so that `--help` imports no numpy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.export.target import Exported, Source

__all__ = ["configure", "export"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments: none beside the run and the folder."""


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Write the network as ONNX and safetensors, its session's plan, a card and an example to the empty folder `out`.

    Raises UserError for a layer without an ONNX form, EnvironmentProblem if the store no longer has what the run was
    made from. `problem` says so where onnxruntime's outputs are not the network's.
    """
    from pipeline.export.model_card import card
    from pipeline.export.package_tree import write_manifest, write_networks

    packaged = write_networks(source, out)
    (out / "README.md").write_text(card(source.submission, packaged), encoding="utf-8")
    write_manifest(source, packaged, out)
    return packaged.exported(out)
