"""Write a commented experiment file to start from. It never overwrites a file unless told to."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pipeline.cli.answer import Answer
from pipeline.core.errors import UserError
from pipeline.schemas import experiment_names, read_experiment, schema_path
from pipeline.store.objects import write_atomically

__all__ = ["configure", "run"]

_STARTER = "prune_quant"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("path", metavar="PATH", nargs="?", default="experiment.yaml", help="where to write it")
    parser.add_argument(
        "--example", metavar="NAME", default=_STARTER, help=f"which example to copy (default: {_STARTER})"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file if it exists")


def run(args: argparse.Namespace) -> Answer:
    """Write the file and say what to do next."""
    path = Path(args.path)
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f"{path} is no name for a YAML file", hint="end it in .yaml")
    if args.example not in experiment_names():
        raise UserError(f"there is no example '{args.example}'", hint=f"examples: {', '.join(experiment_names())}")
    if path.exists() and not args.force:
        raise UserError(f"{path} exists", hint="choose another name, or overwrite it with --force")
    try:
        write_atomically(path, _starter(args.example, path).encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    text = f"wrote {path}\n\nnext:\n  python -m pipeline plan {path}\n  python -m pipeline run {path}"
    return Answer(text, {"path": str(path), "example": args.example})


def _starter(example: str, path: Path) -> str:
    """Return the example's text; its first line tells editors where the schema lies, seen from `path`."""
    _, _, rest = read_experiment(example).partition("\n")
    schema = os.path.relpath(schema_path("experiment.v1"), path.absolute().parent)
    return f"# yaml-language-server: $schema={Path(schema).as_posix()}\n{rest}"
