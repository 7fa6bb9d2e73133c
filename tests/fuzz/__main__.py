"""Fuzz what reads files of unknown origin; print what came out; exit with 0 only if nothing failed."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.driver import Found, Tally, fuzz
from tests.fuzz.kinds import KINDS


def main() -> int:
    """Parse the arguments, fuzz, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("kinds", metavar="KIND", nargs="*", help=f"what to fuzz: {', '.join(KINDS)} (default: all)")
    parser.add_argument("--count", type=int, default=1000, help="inputs of each kind (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input, to go on or to repeat one")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs (default 0)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop each kind after so long (default: never)")
    parser.add_argument("--jobs", type=int, default=1, help="kinds fuzzed at the same time (default 1)")
    parser.add_argument("--keep", type=Path, help="where inputs that failed are kept (default: a new folder)")
    args = parser.parse_args()
    if unknown := set(args.kinds) - set(KINDS):
        parser.error(f"unknown kind {min(unknown)} (choose from {', '.join(KINDS)})")
    keep = args.keep or Path(tempfile.mkdtemp(prefix="fuzz-kept-"))
    with ThreadPoolExecutor(args.jobs) as pool:
        settings = {"first": args.first, "seconds": args.seconds, "keep": keep}
        runs = pool.map(lambda kind: fuzz(kind, args.count, args.seed, **settings), args.kinds or sorted(KINDS))
        print(f"{'kind':<11}{'inputs':>9}{'valid':>9}{'refused':>9}{'failed':>8}{'per s':>8}{'peak MB':>9}")
        tallies = [_shown(tally) for tally in runs]
    for found in (found for tally in tallies for found in tally.found.values()):
        print(_told(found))
    if not any(tally.failed for tally in tallies) and not args.keep:
        keep.rmdir()
    return 1 if any(tally.failed for tally in tallies) else 0


def _shown(tally: Tally) -> Tally:
    rate = tally.inputs / tally.seconds if tally.seconds else 0
    print(
        f"{tally.kind:<11}{tally.inputs:>9,}{tally.valid:>9,}{tally.refused:>9,}{tally.failed:>8,}"
        f"{rate:>8.0f}{tally.peak_mb:>9,}",
        flush=True,
    )
    return tally


def _told(found: Found) -> str:
    return f"\n{found.kind} {found.index} ({found.count} alike): {found.why}\n  kept in {found.folder}\n{found.detail}"


if __name__ == "__main__":
    sys.exit(main())
