"""Arguments shared by the commands that take an experiment file, and how they get from it to an `Experiment`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pipeline.cli.console import safe
from pipeline.cli.use_argument import add_use_argument
from pipeline.config.identity import checked_digest
from pipeline.config.read import read_text
from pipeline.core.experiment import Experiment, as_json, experiment_from_json
from pipeline.own.source import sources
from pipeline.store.local import LocalStore

__all__ = [
    "add_experiment_arguments",
    "add_store_argument",
    "is_url",
    "open_experiment",
    "open_store",
    "store_folder",
]

_FOLDER = ".pipeline"


def add_experiment_arguments(
    parser: argparse.ArgumentParser, metavar: str = "FILE", about: str = "the experiment, a YAML file"
) -> None:
    """Add FILE, --set, --sweep and --store; some commands take something else in its place, too."""
    parser.add_argument("file", metavar=metavar, help=about)
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a value, e.g. optimize.prune.sparsity=0.7",
    )
    parser.add_argument(
        "--sweep", metavar="KEY=A,B,…", action="append", default=[], help="sweep a variable or a value, e.g. bits=8,4"
    )
    add_use_argument(parser)
    add_store_argument(parser)


def add_store_argument(parser: argparse.ArgumentParser) -> None:
    """Add --store."""
    parser.add_argument(
        "--store",
        metavar="DIR|URL",
        help="where results are cached, or are shared as well (s3://bucket/prefix; default: $PIPELINE_STORE or "
        ".pipeline in this folder)",
    )


def open_store(args: argparse.Namespace) -> LocalStore:
    """Open the store that the arguments, the environment or the default name."""
    location, folder = _location(args), store_folder(args)
    if not is_url(location):
        return LocalStore(folder)
    from pipeline.store.remote import Remote
    from pipeline.store.shared import SharedStore

    store = SharedStore(folder, Remote(location))
    store.send_rest(lambda text: print(f"warning: {safe(text)}", file=sys.stderr))
    return store


def store_folder(args: argparse.Namespace) -> Path:
    """Return the store's folder on this machine, which a URL's has, too."""
    location = _location(args)
    if not is_url(location):
        return Path(location)
    from pipeline.store.shared import cache_folder

    return cache_folder(location, Path(_FOLDER))


def _location(args: argparse.Namespace) -> str:
    return str(args.store or os.environ.get("PIPELINE_STORE") or _FOLDER)


def is_url(location: str) -> bool:
    """Tell a store's URL from its folder: `s3://bucket/prefix`, or a chain such as `simplecache::s3://bucket`."""
    return "://" in location


def open_experiment(args: argparse.Namespace, store: LocalStore) -> Experiment:
    """Read, check and expand the file; raises ConfigError with all problems.

    What a valid text described is remembered, so that a run with nothing to do parses no YAML.
    """
    text = read_text(args.file)
    digest = checked_digest(text, args.set, args.sweep)
    known = store.recall("experiment", digest)
    if known is not None:
        return experiment_from_json(known, args.file)
    from pipeline.config.build import build
    from pipeline.config.load import loads

    used = sources()
    experiment = build(loads(text, args.file), args.set, args.sweep)
    if sources() == used:  # else an installed package was found by a name, and the digest does not know it
        store.remember("experiment", {digest: as_json(experiment)})
    return experiment
