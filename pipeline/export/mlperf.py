"""The target mlperf: a results tree for MLPerf's open division. Its arguments; what it does is in `mlperf_run`.

The two are apart so that `--help` imports no numpy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.export.target import Exported, Source

__all__ = ["configure", "export"]

_SCENARIOS = ("SingleStream", "MultiStream", "Offline", "Server")
_STATUSES = ("available", "preview", "rdi")  # the checker's words; rdi: research, development or internal


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments."""
    parser.add_argument("--scenario", choices=_SCENARIOS, default="SingleStream", help="default: SingleStream")
    parser.add_argument(
        "--seconds",
        type=float,
        default=600.0,
        help="least duration of the performance run; MLPerf asks for 600, the default",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=1,
        help="samples given to the model at once, for MultiStream and Offline (default: 1)",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the arithmetic (default: 1)")
    parser.add_argument("--rate", type=float, help="queries per second, for Server")
    parser.add_argument("--latency-limit-ms", type=int, help="limit of the 99th percentile in whole ms, for Server")
    parser.add_argument("--submitter", default="unnamed", help="the organization that submits")
    parser.add_argument("--system", default="this-machine", help="the name of the system")
    parser.add_argument(
        "--status", choices=_STATUSES, default="rdi", help="availability of the system (default: rdi, internal)"
    )
    parser.add_argument(
        "--benchmark",
        default="resnet",
        help="the MLPerf benchmark that the model stands for (default: resnet, image classification)",
    )
    parser.add_argument(
        "--allow-overhead", action="store_true", help="run even where a query is too short for LoadGen to time it well"
    )


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Fill the folder `out`, which is empty; see `mlperf_run.export`."""
    from pipeline.export import mlperf_run

    return mlperf_run.export(source, out, args)
