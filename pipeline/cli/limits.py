"""Arguments that say how a plan is executed, and how they become `Limits`."""

from __future__ import annotations

import argparse
import re

from pipeline.core.errors import UserError
from pipeline.execute.executor import EXECUTORS
from pipeline.execute.limits import Limits
from pipeline.execute.threads import cores

__all__ = ["add_limit_arguments", "duration", "limits_of", "size"]

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(s|m|min|h)?")
_LONGEST_S = 1000 * 3600
_LEAST_MEMORY = 2**28  # Python, numpy and BLAS take most of this before any work is done


def add_limit_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --executor, --workers, --scheduler, --retries, --timeout, --memory-limit and --fail-fast."""
    group = parser.add_argument_group("execution", "where and how nodes are computed; no result depends on it")
    group.add_argument(
        "--executor",
        choices=sorted(EXECUTORS),
        help="inline: one after the other in this process; processes: in worker processes; dask: on a Dask cluster",
    )
    group.add_argument(
        "--workers",
        metavar="N",
        type=_count,
        help="how many nodes at once (default: 1; one per core where --executor names one that can)",
    )
    group.add_argument("--scheduler", metavar="ADDRESS", help="join the Dask cluster at this address (tcp://host:port)")
    group.add_argument(
        "--retries", metavar="N", type=_number, default=0, help="how often a node that fails is tried again"
    )
    group.add_argument("--timeout", metavar="TIME", type=duration, help="the longest a node may take, e.g. 90, 15m, 2h")
    group.add_argument(
        "--memory-limit", metavar="SIZE", type=size, help="the most a node's process may allocate, e.g. 2G"
    )
    failing = group.add_mutually_exclusive_group()
    failing.add_argument("--fail-fast", action="store_true", help="start nothing new after a failure")
    failing.add_argument(
        "--keep-going", dest="fail_fast", action="store_false", help="go on with what a failure leaves (the default)"
    )


def limits_of(args: argparse.Namespace) -> Limits:
    """Return the limits that the arguments ask for; raises UserError for a combination that no executor can keep."""
    isolated = "processes" if args.timeout or args.memory_limit or (args.workers or 1) > 1 else "inline"
    name = args.executor or ("dask" if args.scheduler else isolated)
    if args.scheduler and name != "dask":
        raise UserError(f"--scheduler is the address of a Dask cluster, and --executor is {name}")
    if name == "inline" and isolated != "inline":
        raise UserError(
            "--executor inline computes one node at a time, and cannot stop it",
            hint="leave --executor away, or use --executor processes, with --workers, --timeout or --memory-limit",
        )
    workers = args.workers or (1 if args.executor in (None, "inline") else cores())
    return Limits(name, workers, args.scheduler, args.retries, args.timeout, args.memory_limit, args.fail_fast)


def _count(text: str) -> int:
    if (number := _number(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise argparse.ArgumentTypeError(f"a whole number, not {text!r}")
    return int(text)


def duration(text: str) -> float:
    """Return the seconds that a text such as 90, 15m or 2h means; raises ArgumentTypeError."""
    match = _DURATION.fullmatch(text)
    if not match or not 0 < (seconds := float(match[1]) * _SECONDS[match[2] or ""]) <= _LONGEST_S:
        raise argparse.ArgumentTypeError(
            f"a time such as 90, 15m or 2h, at most {_LONGEST_S // 3600}h, not {text[:40]!r}"
        )
    return seconds


def size(text: str) -> int:
    """Return the bytes that a text such as 500M or 2G means; raises ArgumentTypeError."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(f"a size such as 500M or 2G, not {text!r}")
    found = int(float(match[1]) * _UNITS[match[2].upper()])
    if found < _LEAST_MEMORY:
        raise argparse.ArgumentTypeError(f"at least {_LEAST_MEMORY // 2**20}M, which a process takes before it works")
    return found
