"""Arguments that say how much of an experiment is meant, and how they become `Asked`."""

from __future__ import annotations

import argparse

from pipeline.core.subset import Asked

__all__ = ["add_subset_arguments", "asked_of"]


def add_subset_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --until, --only, --force and --fresh."""
    group = parser.add_argument_group("what is meant", "with --until or --only, a part of the experiment")
    group.add_argument("--until", metavar="STAGE", help="up to this stage: data, train, optimize, evaluate, …")
    group.add_argument(
        "--only",
        metavar="POINT",
        action="append",
        default=[],
        help='only this point, by its number or label, e.g. 3 or "bits=8"; there is no submission then',
    )
    group.add_argument(
        "--force",
        metavar="STAGE",
        action="append",
        default=[],
        help="compute this stage again, even if its results are stored",
    )
    group.add_argument("--fresh", action="store_true", help="measure again, even where a measurement is stored")


def asked_of(args: argparse.Namespace) -> Asked:
    """Return what the arguments ask for."""
    return Asked(args.until, tuple(args.only), frozenset(args.force), args.fresh)
