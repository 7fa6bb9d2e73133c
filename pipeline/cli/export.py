"""Write the result of an earlier run in the format of another tool.

The folder that is written is new or empty, and is there only when everything is in it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.cli.experiment import add_store_argument, open_store
from pipeline.cli.runs import find_run, stored_submission
from pipeline.core.errors import EnvironmentProblem, UserError

__all__ = ["TARGETS", "Target", "configure", "run"]

_NOT_VALID = 3


@dataclass(frozen=True)
class Target:
    """A line of TARGETS: what `--help` says, and the optional module that is needed, with the extra that brings it.

    The module is pipeline.export.<name>: configure(parser), export(source, out, args) -> Exported.
    """

    summary: str
    needs: str = ""
    extra: str = ""


TARGETS: dict[str, Target] = {
    "mlperf": Target("run LoadGen and write MLPerf's results tree for the open division", "mlperf_loadgen", "mlperf"),
    "onnx": Target("write both networks as ONNX models, fp32 or int8 QDQ", "onnx", "peers"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand with its own arguments for each target."""
    targets = parser.add_subparsers(dest="target", metavar="TARGET", required=True)
    for name, target in TARGETS.items():
        one = targets.add_parser(name, help=target.summary, description=target.summary, allow_abbrev=False)
        one.add_argument("run", metavar="RUN", help="an experiment's name, or a folder that `run` wrote to")
        one.add_argument("--out", metavar="DIR", required=True, help="the folder to write; new or empty")
        add_store_argument(one)
        importlib.import_module(f"pipeline.export.{name}").configure(one)


def run(args: argparse.Namespace) -> Answer:
    """Answer with what was written; exit code 3 if the other tool's own check calls it invalid."""
    target = TARGETS[args.target]
    if target.needs:
        from pipeline.execute.catalog import package_version

        package_version(target.needs, target.extra)
    from pipeline.export.target import Source

    submission = stored_submission(find_run(args.run) / "submission.json")
    if submission is None or submission.get("schema_version") != 2:
        raise UserError(f"the run '{args.run}' has no submission to export", hint="run the experiment to its end first")
    out = Path(args.out)
    _check_empty(out)
    store = open_store(args)
    parent = out.resolve().parent
    try:
        building = Path(tempfile.mkdtemp(prefix=".export-", dir=parent))
    except OSError as error:
        raise EnvironmentProblem(f"{parent}: cannot be written to: {error.strerror}") from error
    try:
        exported = importlib.import_module(f"pipeline.export.{args.target}").export(
            Source(submission, store), building, args
        )
        building.chmod(0o777 & ~_umask())
        _check_empty(out)
        os.replace(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        store.close()
    text = safe(exported.text.replace(str(building), str(out)))
    document = {**exported.document, "out": str(out)}
    return Answer(text, document, _NOT_VALID if exported.problem else 0, safe(exported.problem))


def _check_empty(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out} is not a folder")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", hint="name a new folder: nothing is written over")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
