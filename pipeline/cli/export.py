"""Write the result of an earlier run in the format of another tool, or send it to a server of one.

The folder that is written is new or empty, and is there only when everything is in it. With `--replace` it may be an
earlier export of the same kind, in which nobody has changed a file.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.cli.experiment import add_store_argument, open_store
from pipeline.cli.runs import find_run, read_record, stored_submission
from pipeline.core.errors import EnvironmentProblem, SubmissionInvalid, UserError
from pipeline.core.keys import digest_bytes
from pipeline.submission.measured import is_measured
from pipeline.submission.read import read_submission

if TYPE_CHECKING:
    from pipeline.export.target import Exported, Source

__all__ = ["MARK", "TARGETS", "Target", "configure", "run"]

MARK = ".export.json"  # in every folder that is written

_NOT_VALID = 3


@dataclass(frozen=True)
class Target:
    """A line of TARGETS: what `--help` says, and the optional module that is needed, with the extra that brings it.

    The module is pipeline.export.<name>: configure(parser), export(source, out, args) -> Exported; of one that is
    sent to a server, and writes no folder, send(source, args) -> Exported.
    """

    summary: str
    needs: str = ""
    extra: str = ""
    is_sent: bool = False


TARGETS: dict[str, Target] = {
    "checklist": Target("write a reproducibility checklist, answered from the run"),
    "dvc": Target("write metrics, params and plots as files that DVC reads"),
    "huggingface": Target("write a model repository for the Hugging Face Hub, with its figures", "onnx", "onnx"),
    "mlflow": Target("send the run, and each point of its sweep, to an MLflow tracking server", is_sent=True),
    "mlperf": Target("run LoadGen and write MLPerf's results tree for the open division", "mlperf_loadgen", "mlperf"),
    "onnx": Target("write both networks as ONNX models, fp32 or int8 QDQ", "onnx", "onnx"),
    "package": Target("write a folder to deploy from: ONNX, safetensors, card, example", "onnx", "onnx"),
    "tensorboard": Target("write event files with figures, curves and the sweep", "tensorboard", "tensorboard"),
    "wandb": Target("write offline runs of Weights & Biases, for `wandb sync`", "wandb", "wandb"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand with its own arguments for each target."""
    targets = parser.add_subparsers(dest="target", metavar="TARGET", required=True)
    for name, target in TARGETS.items():
        one = targets.add_parser(name, help=target.summary, description=target.summary, allow_abbrev=False)
        one.add_argument("run", metavar="RUN", help="an experiment's name, or a folder that `run` wrote to")
        if not target.is_sent:
            one.add_argument("--out", metavar="DIR", required=True, help="the folder to write; new or empty")
            one.add_argument("--replace", action="store_true", help="replace an earlier export of the same kind")
        add_store_argument(one)
        importlib.import_module(f"pipeline.export.{name}").configure(one)


def run(args: argparse.Namespace) -> Answer:
    """Answer with what was written; exit code 3 if the other tool's own check calls it invalid."""
    target = TARGETS[args.target]
    if target.needs:
        from pipeline.execute.catalog import package_version

        package_version(target.needs, target.extra)
    module = importlib.import_module(f"pipeline.export.{args.target}")
    with _opened(args) as source:
        if target.is_sent:
            return _answer(module.send(source, args))
        return _written(source, module, args)


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[Source]:
    """Give the run's submission and record with the store open; raises UserError if there is nothing to export."""
    from pipeline.export.target import Source

    folder = find_run(args.run)
    submission = stored_submission(folder / "submission.json")
    if submission is None or not is_measured(submission):
        raise UserError(f"the run '{args.run}' has no submission to export", hint="run the experiment to its end first")
    nodes = read_record(folder / "run.json")["nodes"]
    if not getattr(args, "replace", True):
        _check_empty(Path(args.out))  # before a store is made
    store = open_store(args)
    try:
        yield Source(submission, store, folder, nodes)
    finally:
        store.close()


def _written(source: Source, module: Any, args: argparse.Namespace) -> Answer:
    """Let the module fill a folder beside the one that is asked for, and put it there."""
    out = Path(args.out)
    parent = out.resolve().parent
    try:
        building = Path(tempfile.mkdtemp(prefix=".export-", dir=parent))
    except OSError as error:
        raise EnvironmentProblem(f"{parent}: cannot be written to: {error.strerror}") from error
    try:
        exported = module.export(source, building, args)
        _mark(building, args.target, source.digest)
        building.chmod(0o777 & ~_umask())
        if args.replace and out.is_dir() and not out.is_symlink() and any(out.iterdir()):
            _check_earlier(out, args.target)
            os.replace(out, building.with_suffix(".old"))
        _check_empty(out)
        os.replace(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(building.with_suffix(".old"), ignore_errors=True)
    return _answer(exported, (str(building), str(out)))


def _answer(exported: Exported, renamed: tuple[str, str] | None = None) -> Answer:
    if renamed is None:
        return Answer(safe(exported.text), exported.document, _NOT_VALID if exported.problem else 0, exported.problem)
    text = safe(exported.text.replace(*renamed))
    document = {**exported.document, "out": renamed[1]}
    return Answer(text, document, _NOT_VALID if exported.problem else 0, safe(exported.problem))


def _check_empty(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out} is not a folder")
    if out.exists() and any(out.iterdir()):
        hint = "name a new folder; --replace writes over an earlier export of the same kind"
        raise UserError(f"{out} is not empty", hint=hint)


def _mark(folder: Path, target: str, submission: str) -> None:
    """Write what the folder is, and the SHA-256 of each of its files: by it a later export knows its own."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): digest_bytes(path.read_bytes()) for path in files}
    document = {"target": target, "submission": submission, "files": digests}
    (folder / MARK).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _check_earlier(out: Path, target: str) -> None:
    """Raise UserError if the folder is no export of this target, or has a file that is not as it was written."""
    hint = "only an earlier export that nobody has changed is replaced; name a new folder"
    try:
        mark = read_submission(out / MARK)
    except (UserError, SubmissionInvalid) as error:
        raise UserError(f"{out} is no earlier export: it has no {MARK}", hint=hint) from error
    if mark.get("target") != target:
        raise UserError(f"{out} is an export of another kind: {mark.get('target')!r}, not {target!r}", hint=hint)
    files = mark.get("files")
    written: dict[str, Any] = files if isinstance(files, dict) else {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if name == MARK or (path.is_dir() and not path.is_symlink()):
            continue
        is_known = name in written and not path.is_symlink()
        if not is_known or written[name] != digest_bytes(path.read_bytes()):
            raise UserError(f"{path} was {'changed' if is_known else 'added'}, and would be lost", hint=hint)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
