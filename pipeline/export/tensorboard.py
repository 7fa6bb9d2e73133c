"""The target tensorboard: a folder of event files. Its arguments; what is written is in `tensorboard_events`.

The two are apart so that `--help` imports no protobuf.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.export.target import Exported, Source

__all__ = ["configure", "export"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments: none beside the run and the folder."""


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Write a run for the baseline and one for each point to the empty folder `out`."""
    from pipeline.export.tensorboard_events import write_runs

    runs = write_runs(source, out)
    lines = [f"{out / name}  {scalars} values" for name, scalars in runs.items()]
    return Exported("\n".join([*lines, "", f"tensorboard --logdir {out}"]), {"runs": runs})
