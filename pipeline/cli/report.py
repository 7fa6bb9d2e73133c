"""Write the report of an earlier run, or of any submission, as a page, a table or a picture.

Without --format its compact form is printed. Figures come from the submission, the curves of single queries from the
evidence beside it. Nothing is computed again, and nothing in the file is run.
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, has_colour, safe
from pipeline.cli.runs import find_frameworks, find_submission, stored_ablation, stored_samples
from pipeline.core.errors import EnvironmentProblem, SubmissionInvalid, UserError

__all__ = ["configure", "run"]

_TEXTS = ("html", "md", "csv", "json")
_PICTURES = ("png", "svg", "pdf")
_STDOUT = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "run", metavar="RUN", help="an experiment's name, a folder that `run` wrote to, or a submission"
    )
    parser.add_argument("--format", metavar="FORMAT", help=f"one of {', '.join((*_TEXTS, *_PICTURES))}")
    parser.add_argument(
        "--out", metavar="FILE", help="the file to write, - for stdout (default: report.FORMAT beside the submission)"
    )
    parser.add_argument("--chart", metavar="NAME", help="draw this chart only (png, svg, pdf)")
    parser.add_argument("--dark", action="store_true", help="draw pictures light on dark")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the compact report, or with the file that was written."""
    _check(args)
    from pipeline.submission.read import read_submission
    from pipeline.submission.validate import check_submission

    if compared := find_frameworks(args.run):
        return _frameworks(args, compared)
    path = find_submission(args.run)
    submission = read_submission(path)
    check_submission(submission, str(path))
    if args.format is None:
        from pipeline.report.terminal import render

        return Answer(render(submission, width=columns(), colour=has_colour()), {"submission": submission})
    content = _picture(args, submission, path) if args.format in _PICTURES else _text(args.format, submission, path)
    if args.out == _STDOUT:
        text = content.decode()
        return Answer(safe(text.rstrip("\n")), {"format": args.format, "content": text})
    return _written(args, path, content)


def _written(args: argparse.Namespace, path: Path, content: bytes) -> Answer:
    """Write the report beside `path`, or where it was asked for, and answer with the file."""
    out = Path(args.out) if args.out else path.with_name(f"report.{args.format}")
    _write(out, content)
    return Answer(safe(str(out)), {"format": args.format, "file": str(out), "bytes": len(content)})


def _frameworks(args: argparse.Namespace, path: Path) -> Answer:
    """Answer with the report of a comparison of frameworks, or with the file that was written."""
    from pipeline.report.frameworks_html import render_html
    from pipeline.report.frameworks_text import render_markdown, render_terminal
    from pipeline.submission.frameworks import frameworks_problems
    from pipeline.submission.read import read_submission

    document = read_submission(path)
    if problems := frameworks_problems(document, str(path)):
        raise SubmissionInvalid(f"{path}: is no valid comparison of frameworks", code="E504", problems=problems)
    if args.format is None:
        text = render_terminal(document, width=columns(), colour=has_colour())
        return Answer(text, {"frameworks": document})
    renderers: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "html": render_html,
        "md": render_markdown,
        "json": lambda found: json.dumps(found, indent=1) + "\n",
    }
    if args.format not in renderers:
        raise UserError(
            f"a comparison of frameworks has no format {args.format}", hint=f"formats: {', '.join(renderers)}"
        )
    content = renderers[args.format](document)
    if args.out == _STDOUT:
        return Answer(safe(content.rstrip("\n")), {"format": args.format, "content": content})
    return _written(args, path, content.encode())


def _check(args: argparse.Namespace) -> None:
    """Raise UserError for arguments that do not go together, before anything is read."""
    known = (*_TEXTS, *_PICTURES)
    if args.format is None:
        if args.out or args.chart or args.dark:
            raise UserError("--out, --chart and --dark need a --format", hint=f"formats: {', '.join(known)}")
        return
    if args.format not in known:
        raise UserError(f"there is no format {args.format!r}", hint=_nearest(args.format, known, "formats"))
    if args.format in _TEXTS and (args.chart or args.dark):
        raise UserError(
            f"--chart and --dark are for pictures ({', '.join(_PICTURES)}), not for {args.format}",
            hint="a page has all charts, and follows the scheme of whoever looks at it",
        )
    if args.out == _STDOUT and args.format in ("png", "pdf"):
        raise UserError(f"{args.format} is no text for stdout", hint="name a file with --out")


def _text(kind: str, submission: dict[str, Any], path: Path) -> bytes:
    from pipeline.report import WITH_ABLATION, WITH_SAMPLES, load_reporter

    given = stored_samples(submission, path) if kind in WITH_SAMPLES else ()
    more = {"ablation": stored_ablation(path.parent, submission)[0]} if kind in WITH_ABLATION else {}
    return load_reporter(kind)(submission, *given, **more).encode()


def _picture(args: argparse.Namespace, submission: dict[str, Any], path: Path) -> bytes:
    from pipeline.report.charts import drawable
    from pipeline.report.material import make_material
    from pipeline.report.vega import picture
    from pipeline.submission.measured import is_measured

    if not is_measured(submission):
        raise UserError(f"{path}: is in the course's format, version 1, or migrated from it, and has nothing to draw")
    ablation, _ = stored_ablation(path.parent, submission)
    material = make_material(submission, *stored_samples(submission, path), ablation=ablation)
    names = list(drawable(material))
    if args.chart and args.chart not in names:
        why = material.reasons.get(args.chart)
        raise UserError(
            f"there is no chart {args.chart!r} of this submission{f': {why}' if why else ''}",
            hint=_nearest(args.chart, names, "charts"),
        )
    scheme = "dark" if args.dark else "light"
    return picture(material, args.format, submission["experiment"]["name"], scheme, args.chart or "")


def _write(out: Path, content: bytes) -> None:
    from pipeline.store.objects import write_atomically

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, content, durable=False)
    except OSError as error:
        raise EnvironmentProblem(
            f"{out}: cannot be written: {error.strerror}", hint="name another file with --out"
        ) from error


def _nearest(name: str, known: tuple[str, ...] | list[str], what: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return f"{guess}{what}: {', '.join(known) or 'none'}"
