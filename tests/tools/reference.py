"""Write the reference pages under `pipeline/docs/reference`: `python -m tests.tools.reference`.

Commands, formats, names and codes are described where they are defined; these pages only lay them out. A test compares
them with what this writes.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.cli import COMMANDS
from pipeline.core.explain import EXPLANATIONS
from pipeline.schemas import read_schema
from pipeline.submission.rules.table import RULES
from pipeline.submission.verify_table import CHECKS
from tests.tools.schema_page import cell, page, table

__all__ = ["FOLDER", "pages"]

FOLDER = Path(__file__).resolve().parents[2] / "pipeline" / "docs" / "reference"
_GENERATED = "Written by `python -m tests.tools.reference` from what the code says; edit that instead."

# page -> (schema, title, what it is)
_FORMATS = {
    "experiment.md": (
        "experiment.v1",
        "The experiment file",
        "A YAML file. Everything has a default but `name`; `pipeline init FILE` writes a commented one to start from.",
    ),
    "submission.md": (
        "submission.v2",
        "The submission",
        "What `pipeline run` writes to `runs/NAME/submission.json`.",
    ),
    "competition.md": (
        "competition.v1",
        "The competition file",
        "A JSON Schema: `allOf` the submission's, limits in the words of JSON Schema, and terms under `x-competition`.",
    ),
}


def pages() -> dict[str, str]:
    """Return the text of each page by its file's name."""
    texts = {
        name: page(read_schema(schema), title, f"{what} Schema: `schemas/{schema}.schema.json`. {_GENERATED}")
        for name, (schema, title, what) in _FORMATS.items()
    }
    return {**texts, "commands.md": _commands(), "codes.md": _codes()}


def _commands() -> str:
    lead = "Each has `--help`, and `--json`: one JSON document on stdout, errors included."
    rows = [[f"[`{name}`](#{name})", cell(what)] for name, what in COMMANDS.items()]
    parts = ["# Commands", f"{lead} {_GENERATED}", table(["command", "what it does"], rows)]
    for name in COMMANDS:
        module = importlib.import_module(f"pipeline.cli.{name.replace('-', '_')}")
        parser = argparse.ArgumentParser(prog=f"pipeline {name}", add_help=False)
        module.configure(parser)
        parts += [f"## {name}", *map(_paragraph, (module.__doc__ or "").strip().split("\n\n")), *_arguments(parser)]
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    """Return a paragraph of a docstring; one that is laid out in columns stays so."""
    return f"```text\n{text}\n```" if any(line.startswith(" ") for line in text.splitlines()) else text


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a table of a command's arguments, then those of its subcommands."""
    rows = []
    subcommands: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            subcommands = dict(action.choices)
            told = {choice.dest: choice.help or "" for choice in action._choices_actions}
            rows += [[f"`{name}`", cell(told.get(name, ""))] for name in subcommands]
        elif action.help is not argparse.SUPPRESS and not {"--help", "--json"} & set(action.option_strings):
            rows.append([_usage(action), cell((action.help or "") % {**vars(action), "prog": parser.prog})])
    if rows:
        yield table(["argument", "meaning"], rows)
    for name, subparser in subcommands.items():
        yield f"### {parser.prog.rpartition(' ')[2]} {name}"
        yield from _arguments(subparser)


def _usage(action: argparse.Action) -> str:
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    value = action.metavar or choices or action.dest.upper().replace("_", "-")
    shown = (" ".join(value) if isinstance(value, tuple) else value).replace("|", "\\|")
    if not action.option_strings:
        return f"`{shown}`"
    return ", ".join(f"`{option}{'' if action.nargs == 0 else f' {shown}'}`" for option in action.option_strings)


def _codes() -> str:
    errors = [[f"`{code}`", cell(text)] for code, text in sorted(EXPLANATIONS.items())]
    rules = [[f"`{code}`", cell(text)] for code, text in sorted(RULES.items())]
    checks = [[f"`{code}`", cell(text)] for code, text in sorted(CHECKS.items())]
    return (
        "\n\n".join(
            [
                "# Codes",
                f"`pipeline explain CODE` prints one. {_GENERATED}",
                "## Rules that submissions keep",
                table(["rule", "what it asks, why, and what to do"], rules),
                "## Checks of a verification",
                table(["check", "what it compares"], checks),
                "## Errors",
                table(["code", "what is wrong and what to do"], errors),
            ]
        )
        + "\n"
    )


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
