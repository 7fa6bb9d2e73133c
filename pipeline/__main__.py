"""`python -m pipeline`."""

from __future__ import annotations

import importlib
import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        run = importlib.import_module("pipeline.cli.main").main
    except KeyboardInterrupt:  # while it was still being imported; later ones are the command line's
        sys.exit(_INTERRUPTED)
    sys.exit(run())


if __name__ == "__main__":
    main()
