"""How far a submission can be trusted: it is `valid` by its schema, or `recomputed` from the evidence beside it.

Nothing in a submission is executed, and only the file of the fixed name beside it is opened.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import Problem, SubmissionInvalid
from pipeline.submission.badge import LEVELS
from pipeline.submission.evidence import FILE, read_evidence, unpacked
from pipeline.submission.language import language_section
from pipeline.submission.measured import is_measured
from pipeline.submission.rules.account import broken_account
from pipeline.submission.rules.choice import broken_choice
from pipeline.submission.rules.language import impossible_losses, missing_section, stated_section
from pipeline.submission.rules.origin import broken_origin
from pipeline.submission.rules.proof import answers, broken_file, broken_samples, broken_setting
from pipeline.submission.rules.recompute import candidate_of, comparisons_of, correct_of, different, goals_of
from pipeline.submission.rules.table import RULES
from pipeline.submission.rules.taking import broken_taking

__all__ = ["LEVELS", "broken", "trust_in"]

_MOST_PROBLEMS = 100
Broken = tuple[str, tuple[str | int, ...], str]


def trust_in(document: Mapping[str, Any], path: Path) -> str:
    """Return how far a valid submission, read from a file, can be trusted: one of LEVELS.

    Raises UserError if the evidence beside it cannot be read, and SubmissionInvalid, with every problem and the rule it
    breaks, if the submission disagrees with itself or with the evidence.
    """
    if not is_measured(document):
        return "unverified"
    data = read_evidence(path.parent / FILE) if "evidence" in document else None
    found = set(itertools.islice(broken(document, data, datetime.now(UTC)), 10 * _MOST_PROBLEMS))
    problems = _problems(found, str(path))
    if problems:
        rules = ", ".join(sorted({problem.code for problem in problems}))
        raise SubmissionInvalid(f"{path}: breaks {rules}", code="E500", problems=problems[:_MOST_PROBLEMS])
    return "valid" if data is None else "recomputed"


def broken(document: Mapping[str, Any], data: bytes | None, now: datetime) -> Iterator[Broken]:
    """Yield (rule, path, message) for every rule broken by a document that its schema allows.

    `data` is the file of evidence, None if there is none: then only what follows from the document is checked.
    """
    yield from broken_origin(document, now)
    yield from broken_account(document)
    yield from missing_section(document)
    try:
        goals = goals_of(document)
    except ValueError as error:
        yield "R040", ("experiment", "document", "goals"), str(error)
        return
    yield from broken_choice(document, goals)
    if data is None:
        yield from _from_the_document(document)
        return
    yield from broken_file(document["evidence"], data)
    try:
        evidence = unpacked(data)
        correct = answers(document, evidence)
        with np.errstate(all="ignore"):
            benchmark = comparisons_of(document, evidence)
            found = [*broken_samples(document, evidence), *broken_setting(document, evidence), *broken_taking(evidence)]
            language = language_section(evidence.predictions)
            if language:
                found += impossible_losses(evidence.predictions, correct, document["provenance"]["data"]["classes"])
            chosen = candidate_of(document, benchmark, correct, language)
            found += different(document, chosen, is_from_evidence=True)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        yield "R011", ("evidence",), f"{FILE} {error}"
        return
    yield from found


def _from_the_document(document: Mapping[str, Any]) -> Iterator[Broken]:
    try:
        language = stated_section(document)
        chosen = candidate_of(document, document["benchmark"]["comparisons"], correct_of(document), language)
        found = list(different(document, chosen, is_from_evidence=False))
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        yield "R031", ("comparisons", "accuracy"), str(error)
        return
    yield from found


def _problems(found: Iterable[Broken], path: str) -> list[Problem]:
    """Return problems in the order of their rules; what a rule asks for stands once, with the first."""
    explained: set[str] = set()
    problems = []
    for rule, where, message in sorted(found, key=str):
        hint = "" if rule in explained else f"{rule}: {RULES[rule]}"
        explained.add(rule)
        problems.append(Problem(rule, path, _shown(where), message, hint=hint))
    return problems


def _shown(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:80]}" for part in path)
    return text.removeprefix(".") or "$"
