"""What is fuzzed: for each kind of file how an input is made from a seed, and what has to be true of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.fuzz.comments import check_comment, make_comment
from tests.fuzz.competing import check_embedded, check_leaderboard, make_embedded, make_leaderboard
from tests.fuzz.datasets import (
    check_cifar,
    check_idx,
    check_images,
    check_text,
    make_cifar,
    make_idx,
    make_images,
    make_text,
)
from tests.fuzz.evidence import check_evidence, make_evidence
from tests.fuzz.experiments import check_experiment, make_experiment
from tests.fuzz.files import Files
from tests.fuzz.models import check_model, make_model
from tests.fuzz.records import check_migration, check_records, make_migration, make_records
from tests.fuzz.reports import check_ablation, check_frameworks, make_ablation, make_frameworks
from tests.fuzz.submissions import check_competition, check_submission, make_competition, make_submission

__all__ = ["KINDS", "Kind", "make"]


class Kind(NamedTuple):
    """`check` returns whether the input in a folder is valid; it raises for whatever must not happen."""

    make: Callable[[Random], Files]
    check: Callable[[Path], bool]


KINDS: dict[str, Kind] = {
    "ablation": Kind(make_ablation, check_ablation),
    "cifar": Kind(make_cifar, check_cifar),
    "comment": Kind(make_comment, check_comment),
    "competition": Kind(make_competition, check_competition),
    "embedded": Kind(make_embedded, check_embedded),
    "evidence": Kind(make_evidence, check_evidence),
    "experiment": Kind(make_experiment, check_experiment),
    "frameworks": Kind(make_frameworks, check_frameworks),
    "idx": Kind(make_idx, check_idx),
    "images": Kind(make_images, check_images),
    "leaderboard": Kind(make_leaderboard, check_leaderboard),
    "migration": Kind(make_migration, check_migration),
    "model": Kind(make_model, check_model),
    "records": Kind(make_records, check_records),
    "submission": Kind(make_submission, check_submission),
    "text": Kind(make_text, check_text),
}


def make(kind: str, seed: int, index: int) -> Files:
    """Return input number `index` of a kind: always the same for a seed."""
    return KINDS[kind].make(Random(f"{seed} {kind} {index}"))
