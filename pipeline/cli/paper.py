"""Write an earlier run up as a technical report: problem, method, results, the journey, trade-offs, limits.

REPORT.md is written into the run's folder, every number in it a link to where it comes from; with --pdf also
REPORT.pdf, where a browser or weasyprint is installed. Nothing is computed again.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.cli.runs import find_run, measured_submission, read_record, stored_ablation
from pipeline.core.errors import EnvironmentProblem, UserError

__all__ = ["configure", "run"]

_SUBMISSION, _EVIDENCE, _ABLATION, _RECORD = "submission.json", "evidence.safetensors", "ablation.json", "run.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", metavar="RUN", help="an experiment's name, or a folder that `run` wrote to")
    parser.add_argument(
        "--out", metavar="FILE", help="where the report is written (default: REPORT.md in RUN's folder)"
    )
    parser.add_argument("--pdf", action="store_true", help="also print it as PDF beside it")


def run(args: argparse.Namespace) -> Answer:
    """Write the files and answer with their names; raises EnvironmentProblem if a PDF cannot be made."""
    folder = Path(args.run) if (Path(args.run) / _SUBMISSION).is_file() else find_run(args.run)
    if not (folder / _SUBMISSION).is_file():
        raise UserError(
            f"the run '{args.run}' has no submission", hint=f"`pipeline show {args.run}` says how far it is"
        )
    submission = measured_submission(folder / _SUBMISSION)
    from pipeline.report.paper import paper
    from pipeline.submission.trust import trust_in

    trust = trust_in(submission, folder / _SUBMISSION)
    ablation, note = stored_ablation(folder, submission)
    record = read_record(folder / _RECORD) if (folder / _RECORD).is_file() else None
    used = [_SUBMISSION, *([_EVIDENCE] if "evidence" in submission else []), *([_ABLATION] if ablation else [])]
    digests = {name: _digest(folder / name) for name in used if (folder / name).is_file()}
    text = paper(submission, ablation, record, digests, trust, {})
    target = Path(args.out) if args.out else folder / "REPORT.md"
    files = {"md": _written(target, text.encode())}
    if args.pdf:
        from pipeline.report.paper_pdf import make_pdf

        title = f"{submission['experiment']['name']}: technical report"
        files["pdf"] = _written(target.with_suffix(".pdf"), make_pdf(text, title, {}))
    lines = [f"{kind:<4} {safe(str(file))}" for kind, file in files.items()]
    return Answer("\n".join(lines), {"files": files, "trust": trust, "notes": [note] if note else []}, 0, safe(note))


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(path: Path, data: bytes) -> str:
    from pipeline.store.objects import write_atomically

    try:
        write_atomically(path, data, durable=False)
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror or error}"
        raise EnvironmentProblem(problem, hint="name another file with --out") from error
    return str(path)
