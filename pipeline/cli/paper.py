"""Write an earlier run up as a technical report: problem, method, results, the journey, trade-offs, limits.

paper/REPORT.md is written into the run's folder, every number in it a link to where it comes from; with --pdf also
REPORT.pdf, where a browser or weasyprint is installed. Nothing is computed again.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.cli.runs import find_run, measured_submission, read_record, stored_ablation, stored_samples
from pipeline.core.errors import EnvironmentProblem, UserError

if TYPE_CHECKING:
    from pipeline.report.paper import Picture

__all__ = ["configure", "run"]

_SUBMISSION, _EVIDENCE, _ABLATION, _RECORD = "submission.json", "evidence.safetensors", "ablation.json", "run.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", metavar="RUN", help="an experiment's name, or a folder that `run` wrote to")
    parser.add_argument(
        "--out", metavar="FILE", help="where the report is written (default: paper/REPORT.md in RUN's folder)"
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
    # In a folder of its own: where a file system does not tell cases apart, the run's report.md would be the same file.
    target = Path(args.out) if args.out else folder / "paper" / "REPORT.md"
    drawn, why = _pictures(submission, folder / _SUBMISSION)
    text = paper(submission, ablation, record, digests, trust, [picture for picture, _ in drawn])
    contents = {picture.file: svg for picture, svg in drawn}
    files = {"md": _written(target, text.encode())}
    for name, svg in contents.items():
        files[Path(name).stem] = _written(target.parent / name, svg)
    notes = [note for note in (note, why) if note]
    if args.pdf:
        from pipeline.report.paper_pdf import make_pdf

        title = f"{submission['experiment']['name']}: technical report"
        files["pdf"] = _written(target.with_suffix(".pdf"), make_pdf(text, title, contents, submission["timestamp"]))
    lines = [f"{kind:<14} {safe(str(file))}" for kind, file in files.items()]
    return Answer("\n".join(lines), {"files": files, "trust": trust, "notes": notes}, 0, "\n".join(map(safe, notes)))


def _pictures(submission: dict[str, Any], path: Path) -> tuple[list[tuple[Picture, bytes]], str]:
    """Return the charts that there is something to draw for, or none and why there are none."""
    from pipeline.report.charts import CHARTS, drawable
    from pipeline.report.material import make_material
    from pipeline.report.paper import PICTURES, Picture
    from pipeline.report.vega import picture

    material = make_material(submission, *stored_samples(submission, path))
    found = []
    try:
        for name in (name for name in drawable(material) if name in PICTURES):
            shown = Picture(PICTURES[name], CHARTS[name].title, f"figures/{name}.svg")
            found.append((shown, picture(material, "svg", CHARTS[name].title, only=name)))
    except EnvironmentProblem as error:
        return [], f"no pictures: {error.message}; {error.hint}"
    return found, ""


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(path: Path, data: bytes) -> str:
    from pipeline.store.objects import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data, durable=False)
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror or error}"
        raise EnvironmentProblem(problem, hint="name another file with --out") from error
    return str(path)
