"""Bring a submission of the course's format, version 1, to the keys of version 2. Nothing is invented: what it lacks is
null, with the reason, and it stays `unverified`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.store.objects import write_atomically
from pipeline.submission.migrate import migrate
from pipeline.submission.read import parse_submission, read_bytes
from pipeline.submission.validate import check_submission, schema_version
from pipeline.submission.write import dump_submission

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="a submission of version 1")
    parser.add_argument("--out", metavar="FILE", help="where to write it (default: print it)")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it exists")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the submission of version 2, or say where it was written."""
    path = Path(args.file)
    document = _migrated(path)
    text = dump_submission(document)
    _check(text, path)
    nulls, kept = document["migrated"]["missing"], document["migrated"]["kept"]
    said = {"file": str(path), "out": args.out, "from_version": 1, "trust": "unverified", "submission": document}
    if args.out is None:
        return Answer(safe(text.rstrip("\n")), said)
    _write(Path(args.out), text, force=args.force)
    lines = [f"{args.out}: unverified submission, version 2, migrated from {path}"]
    lines.append(
        f"  {len(nulls)} values that version 1 does not have are null, each with its reason in migrated.missing"
    )
    if kept:
        lines.append(f"  what version 2 has no place for is under migrated.kept: {', '.join(sorted(kept))[:200]}")
    return Answer(safe("\n".join(lines)), said)


def _migrated(path: Path) -> dict[str, Any]:
    data = read_bytes(path)
    try:
        document = parse_submission(data)
    except SubmissionInvalid as error:
        raise SubmissionInvalid(f"{path}: {error.message}", code=error.code, hint=error.hint) from None
    if (version := schema_version(document)) != 1:
        raise UserError(f"{path}: is of version {version} already", hint="`pipeline validate` says whether it is valid")
    check_submission(document, str(path))
    return migrate(document, data)


def _check(text: str, path: Path) -> None:
    """Raise SubmissionInvalid if what came out would not be read again: it is larger and deeper than what went in."""
    try:
        check_submission(parse_submission(text.encode()))
    except SubmissionInvalid as error:
        raise SubmissionInvalid(f"{path}: migrated, it {error.message}", code=error.code) from None


def _write(path: Path, text: str, *, force: bool) -> None:
    if path.exists() and not force:
        raise UserError(f"{path} exists", hint="choose another name, or overwrite it with --force")
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
