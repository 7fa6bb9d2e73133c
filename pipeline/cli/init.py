"""Write a commented experiment file to start from. It never overwrites a file unless told to."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import yaml

from pipeline.cli.answer import Answer
from pipeline.core.errors import UserError
from pipeline.schemas import experiment_names, read_experiment, schema_path
from pipeline.store.objects import write_atomically

__all__ = ["configure", "run"]

_STARTER = "prune_quant"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)  # as the schema has it


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
    """Return the example, named after its file; its first line says where the schema lies, seen from `path`."""
    _, _, rest = read_experiment(example).partition("\n")
    rest = rest.replace(f"experiments/{example}.yaml", path.as_posix())
    if _NAME.fullmatch(path.stem):  # its results lie beside those of the example, not over them
        rest = rest.replace(f"\nname: {example}\n", f"\nname: {_plain(path.stem)}\n", 1)
    schema = os.path.relpath(schema_path("experiment.v1"), path.absolute().parent)
    return f"# yaml-language-server: $schema={Path(schema).as_posix()}\n{rest}"


def _plain(name: str) -> str:
    """Return a name as YAML, in quotes where it would be read as a number or as nothing."""
    return yaml.safe_dump({"name": name}).removeprefix("name: ").rstrip("\n")
