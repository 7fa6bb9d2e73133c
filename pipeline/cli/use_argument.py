"""The argument that takes in code of the user's own. It imports nothing, for commands that are to answer at once."""

from __future__ import annotations

import argparse

__all__ = ["add_use_argument"]


def add_use_argument(parser: argparse.ArgumentParser) -> None:
    """Add --use; the command line takes in what it names before the command begins (`pipeline.own.use`)."""
    parser.add_argument(
        "--use",
        metavar="FILE.py|PACKAGE",
        action="append",
        default=[],
        help="code of your own that is run: models, data, passes and metrics that the file then can name",
    )
