"""`python -m pipeline`."""

from __future__ import annotations

import sys

from pipeline.cli.main import main as _main

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(_main())


if __name__ == "__main__":
    main()
