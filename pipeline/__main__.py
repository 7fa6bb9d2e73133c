"""`python -m pipeline`."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import NoReturn

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        run = importlib.import_module("pipeline.cli.main").main
    except KeyboardInterrupt:  # while it was still being imported; later ones are the command line's
        _end(_INTERRUPTED)
    _end(run())


def _end(code: int) -> NoReturn:
    if code == _INTERRUPTED:
        # Where an interrupt came through an exec(), as in making a dataclass, Python would end by the signal instead.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
