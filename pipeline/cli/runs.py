"""Earlier runs as they lie in `runs/`: found by name, and their files read with as little trust as any input."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.submission.measured import UNMEASURED, is_measured
from pipeline.submission.read import read_submission
from pipeline.submission.validate import check_submission, schema_problems

__all__ = [
    "find_frameworks",
    "find_run",
    "find_submission",
    "is_run",
    "measured_submission",
    "read_record",
    "run_names",
    "stored_ablation",
    "stored_samples",
    "stored_submission",
    "trust_of",
]

_MOST_BYTES = 64 * 2**20  # a record has about 1 KiB for each node
_SUBMISSION, _ABLATION, _FRAMEWORKS = "submission.json", "ablation.json", "frameworks.json"
_MOST_OF_AN_ABLATION = 16 * 2**20  # which has about 10 KiB for each step


def is_run(name: str) -> bool:
    """Tell whether this is the name or the folder of a run."""
    return any((folder / "run.json").is_file() for folder in _folders(name))


def find_run(name: str) -> Path:
    """Return the folder of a run by its path or its experiment's name; raises UserError with the nearest name."""
    for folder in _folders(name):
        if (folder / "run.json").is_file():
            return folder
    near = difflib.get_close_matches(name, run_names(), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"runs here: {', '.join(run_names()) or 'none'}"
    raise UserError(f"there is no run '{name}'", hint=hint)


def run_names() -> list[str]:
    """Return the names of the runs in this folder, in order."""
    return sorted(path.parent.name for path in Path("runs").glob("*/run.json"))


def find_submission(name: str) -> Path:
    """Return the file of a submission: `name` is one, or the name or folder of a run; raises UserError."""
    path = Path(name)
    if path.is_file() or path.suffix.lower() == ".json":
        return path
    folder = path if (path / _SUBMISSION).is_file() else find_run(name)
    if not (folder / _SUBMISSION).is_file():
        hint = f"`pipeline show {name}` says how far it is"
        if (folder / _FRAMEWORKS).is_file():
            hint = f"it compares frameworks: `pipeline report {name}`"
        raise UserError(f"the run '{name}' has no submission", hint=hint)
    return folder / _SUBMISSION


def find_frameworks(name: str) -> Path | None:
    """Return the file of a comparison of frameworks by its path, or by the name or folder of its run; None if none."""
    path = Path(name)
    if path.is_file():
        return path if path.name == _FRAMEWORKS else None
    return next((folder / _FRAMEWORKS for folder in _folders(name) if (folder / _FRAMEWORKS).is_file()), None)


def measured_submission(path: Path) -> dict[str, Any]:
    """Return the valid submission in a file, which must have the intervals of version 2.

    Raises UserError if it cannot be read or is in the course's format, SubmissionInvalid if it is not valid.
    """
    submission = read_submission(path)
    check_submission(submission, str(path))
    if not is_measured(submission):
        raise UserError(f"{path}: {UNMEASURED} to compare")
    return submission


def trust_of(document: Mapping[str, Any], path: Path) -> str:
    """Return how far the valid submission in a file can be trusted: one of `badge.LEVELS`.

    Raises UserError if the evidence beside it cannot be read, SubmissionInvalid, with every problem and the rule it
    breaks, if the submission disagrees with itself or with the evidence.
    """
    if not is_measured(document):
        return "unverified"
    if "evidence" not in document:
        return "valid"
    from pipeline.submission.trust import trust_in  # what is computed again needs numpy

    return trust_in(document, path)


def read_record(path: Path) -> dict[str, Any]:
    """Return what a run.json holds; raises UserError if it is damaged or none."""
    try:
        record = read_submission(path, _MOST_BYTES)  # whoever may write the one file may write the other
    except SubmissionInvalid as error:
        raise UserError(
            error.message, hint="the file is damaged; running the experiment again writes it anew"
        ) from error
    nodes = record.get("nodes")
    is_whole = isinstance(record.get("experiment"), str) and isinstance(nodes, list)
    if not is_whole or not all(map(_is_node, nodes or ())):
        raise UserError(f"{path}: is no record of a run", hint="running the experiment again writes it anew")
    return record


def stored_submission(path: Path) -> dict[str, Any] | None:
    """Return the valid submission in a file, None if there is no file; raises SubmissionInvalid."""
    if not path.exists():
        return None
    submission = read_submission(path)
    check_submission(submission, str(path))
    return submission


def stored_ablation(folder: Path, submission: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Return the valid ablation of a submission in a folder, if there is one; else None, and why it is left out.

    Raises SubmissionInvalid for a file that breaks its schema.
    """
    path = folder / _ABLATION
    if not path.is_file() or not is_measured(submission):
        return None, ""
    found = read_submission(path, _MOST_OF_AN_ABLATION)
    if problems := schema_problems("ablation.v1", found, str(path), "E502"):
        first = problems[0]
        raise SubmissionInvalid(f"{path}: {first.yaml_path}: {first.message}", code="E502", problems=problems)
    if found["weights"] != submission["provenance"]["weights"]:
        return None, f"warning: {path} is of other models than the submission, and left out"
    return found, ""


def stored_samples(submission: Mapping[str, Any], path: Path) -> tuple[Any, str]:
    """Return the samples of the evidence that a submission names, or None and why they cannot be had."""
    from pipeline.core.keys import digest_bytes
    from pipeline.submission.evidence import read_evidence, unpacked

    if "evidence" not in submission:
        return None, "the submission names no evidence"
    file = path.with_name(submission["evidence"]["file"])
    data = read_evidence(file)
    if data is None:
        return None, f"{file.name} is not beside the submission"
    if digest_bytes(data) != submission["evidence"]["digest"]:
        return None, f"{file.name} is another file than the one that the submission names"
    try:
        return unpacked(data).samples, ""
    except ValueError as error:
        return None, f"{file.name} {error}"


def _folders(name: str) -> tuple[Path, Path]:
    return Path(name), Path("runs", name)


def _is_node(node: Any) -> bool:
    if not isinstance(node, dict) or not all(isinstance(node.get(key), str) for key in ("outcome", "label", "reason")):
        return False
    return node.get("seconds") is None or type(node["seconds"]) in (int, float)
