"""Print a JSON Schema, or the path of its file (for an editor's settings, or another validator)."""

from __future__ import annotations

import argparse
import difflib
import json

from pipeline.cli.answer import Answer
from pipeline.core.errors import UserError
from pipeline.schemas import read_schema, schema_names, schema_path

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=("print", "path"), help="what to print")
    parser.add_argument("name", metavar="NAME", nargs="?", help="which schema (default: list their names)")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the schema or its path."""
    names = schema_names()
    if args.name is None:
        return Answer("\n".join(names), {"schemas": list(names)})
    if args.name not in names:
        near = difflib.get_close_matches(args.name, names, n=1, cutoff=0.3)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UserError(f"there is no schema '{args.name}'", hint=f"{hint}schemas: {', '.join(names)}")
    if args.action == "path":
        path = str(schema_path(args.name))
        return Answer(path, {"name": args.name, "path": path})
    schema = read_schema(args.name)
    return Answer(json.dumps(schema, indent=2, ensure_ascii=False), schema)
