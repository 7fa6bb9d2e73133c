"""Say how much each layer of the baseline minds being pruned or quantized, one layer and one strength at a time.

A table goes to stdout; the figures and a picture go to runs/<experiment>/ as sensitivity.json and sensitivity.svg.
Nothing is trained after a change, and nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, has_colour, safe
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.core.errors import EnvironmentProblem, Stopped, UserError
from pipeline.core.sensitivity import Asked
from pipeline.execute.interrupt import stoppable

__all__ = ["configure", "run"]

_METHODS = ("structured", "magnitude", "block")
_BITS = (8, 4)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_experiment_arguments(parser)
    parser.add_argument(
        "--prune", metavar="A,B,…", default="0.25,0.5,0.75", help="shares to prune (default: %(default)s)"
    )
    parser.add_argument("--method", choices=_METHODS, default="structured", help="how to prune (default: %(default)s)")
    parser.add_argument("--quantize", metavar="A,B", default="8,4", help="bits of a weight (default: %(default)s)")
    parser.add_argument("--targets", metavar="GLOB", nargs="+", default=["*"], help="layers to try (default: all)")
    parser.add_argument("--out", metavar="DIR", help="where the files are written (default: runs/<experiment>)")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the table; exit code 2 for arguments that mean nothing."""
    asked = [*_prunings(args), *_quantizations(args)]
    if not asked:
        raise UserError("nothing to try", hint="name shares with --prune or bits with --quantize")
    store = open_store(args)
    experiment = open_experiment(args, store)
    if experiment.frameworks:
        raise UserError(f"{args.file}: compares frameworks and has no model", hint="name an experiment with a model")
    from pipeline.cli.progress import Progress
    from pipeline.report.sensitivity import picture, table
    from pipeline.sensitivity import find_sensitivity
    from tinytorch.errors import TargetError

    with Progress(sys.stderr, quiet=args.quiet) as progress, stoppable(progress.announce_stop) as stop:
        try:
            found = find_sensitivity(experiment.runs[0], asked, args.targets, store, progress, stop)
        except TargetError as error:
            raise UserError(str(error)) from error
    if found is None:
        raise Stopped("stopped before all was tried; run again to go on")
    files = _write(Path(args.out or Path("runs", experiment.name)), found, picture(experiment.name, found))
    store.close()
    lines = [table(found, columns(), colour=has_colour()), ""]
    lines += [safe(f"{kind:<5} {file}") for kind, file in files.items()]
    return Answer("\n".join(lines), {**found, "files": files})


def _write(folder: Path, found: Mapping[str, Any], picture: str) -> dict[str, str]:
    """Write the figures and the picture; return where."""
    from pipeline.store.objects import write_atomically

    contents = {"json": f"{json.dumps(found, indent=1)}\n", "svg": picture}
    files = {kind: folder / f"sensitivity.{kind}" for kind in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, text in contents.items():
            write_atomically(files[kind], text.encode(), durable=False)
    except OSError as error:
        problem = f"{folder} cannot be written: {error.strerror}"
        raise EnvironmentProblem(problem, hint="name another folder with --out") from error
    return {kind: str(file) for kind, file in files.items()}


def _prunings(args: argparse.Namespace) -> Iterator[Asked]:
    for share in _numbers("--prune", args.prune, float, lambda value: 0 < value < 1, "shares between 0 and 1"):
        yield Asked(f"prune {share:g}", "prune", {"method": args.method, "sparsity": share})


def _quantizations(args: argparse.Namespace) -> Iterator[Asked]:
    words = " or ".join(map(str, _BITS))
    for bits in _numbers("--quantize", args.quantize, int, _BITS.__contains__, words):
        yield Asked(f"bits {bits}", "quantize", {"bits": bits})


def _numbers(
    flag: str, text: str, read: Callable[[str], float], is_valid: Callable[[float], bool], words: str
) -> Sequence[float]:
    """Return the numbers of a list with commas, each once, in its order; none for an empty text."""
    found: dict[float, None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            value = read(part)
        except ValueError:
            raise UserError(f"{flag} takes {words}, not {part!r}") from None
        if not is_valid(value):
            raise UserError(f"{flag} takes {words}, not {part!r}")
        found[value] = None
    return tuple(found)
