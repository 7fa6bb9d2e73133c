"""What organisers keep beside submissions, and what is made of old ones: verification records, and migrated files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.submission.verification import read_verifications
from tests.fuzz.changes import change_bytes, change_numbers, change_tree
from tests.fuzz.commands import command, keys
from tests.fuzz.failure import Failure
from tests.fuzz.files import PIPE, Files, Link
from tests.pipeline.submission.test_verification import make_record

__all__ = ["check_migration", "check_records", "make_migration", "make_records"]

_HISTORIC = Path(__file__).parents[1] / "pipeline" / "submission" / "historic"
_PLACES = ("a.json", "b/c.json", "b/c/d/e.json", "b/c/d/e/f.json", "a.txt", ".json", "\u202ex.json", "a\nb.json")


def make_migration(rng: Random) -> Files:
    """Return a submission of the course's format, changed."""
    tree = json.loads(rng.choice(_course()))
    if rng.random() < 0.9:
        tree = change_tree(tree, rng, (*keys("submission.v1"), *keys("submission.v2"), "migrated", "schema_version"))
    return {"submission.json": _written(tree, rng)}


def check_migration(folder: Path) -> bool:
    """Return whether it is valid; what is made of it is valid then, or said to be too large."""
    is_valid = not command("validate", "submission.json")
    if command("migrate", "submission.json", "--out", "new.json"):
        return is_valid
    if not is_valid:
        raise Failure("what is invalid is migrated", "")
    if command("validate", "new.json"):
        raise Failure("what is migrated is invalid", (folder / "new.json").read_text("utf-8")[-2000:])
    return True


def make_records(rng: Random) -> Files:
    """Return a folder of records, some changed, in places where none belongs, or no files at all."""
    files: Files = {}
    for _ in range(rng.randrange(1, 4)):
        record: Any = make_record(finished_at=f"2026-01-3{rng.randrange(1, 3)}T12:00:00Z")
        if rng.random() < 0.5:
            record = change_tree(record, rng, keys("verification.v1"))
        files[f"records/{rng.choice(_PLACES)}"] = _written(record, rng) if rng.random() < 0.5 else _plain(record)
    if rng.random() < 0.2:
        files["records/odd.json"] = rng.choice((PIPE, Link("a.json"), Link("/etc/passwd"), Link("odd.json")))
    return files


def check_records(folder: Path) -> bool:
    """Return whether an organiser's folder is read."""
    try:
        return isinstance(read_verifications(folder / "records"), dict)
    except PipelineError:
        return False


def _plain(tree: Any) -> bytes:
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _written(tree: Any, rng: Random) -> bytes:
    text = json.dumps(tree, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.15:
        text = change_numbers(text, rng)
    data = text.encode("utf-8", "surrogatepass")
    return change_bytes(data, rng) if rng.random() < 0.2 else data


@cache
def _course() -> tuple[str, ...]:
    return tuple(path.read_text("utf-8") for path in sorted(_HISTORIC.glob("*.json")))
