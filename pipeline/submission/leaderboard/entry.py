"""One submission as a leaderboard needs it: is it valid, how far is it trusted, what does it score, what is it like?

Everything is asked that `pipeline validate --competition` asks: the schema, every rule, the figures computed again from
the evidence, every limit of the competition. An entry follows from the bytes of the two files and the competition
alone, so that it can be kept; who handed it in, and what an organiser found out about it, are added later.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.errors import SubmissionInvalid
from pipeline.core.keys import digest_bytes
from pipeline.submission.competition.judge import Finding, judge, overall
from pipeline.submission.competition.limits import path_text
from pipeline.submission.competition.ranking import Answers, Score
from pipeline.submission.competition.ranking_figures import columns_of, score_of
from pipeline.submission.competition.standing import found_and_expected
from pipeline.submission.competition.terms import Competition
from pipeline.submission.evidence import SIDES, predictions_in
from pipeline.submission.measured import is_measured, is_migrated
from pipeline.submission.read import parse_submission
from pipeline.submission.trust import broken
from pipeline.submission.validate import find_problems

__all__ = ["Entry", "MOST_CHANGES", "Reason", "entry_from_json", "entry_of", "entry_to_json", "refused"]

MOST_CHANGES = 1024  # answers other than the baseline's: a model that changes more is compared by its weights only
_MOST_REASONS = 5  # of each entry: the first ones say enough, `pipeline validate` says all
_MOST_BROKEN = 1000
_LONGEST = 300
_SPLITS = ("validation", "test")
_CLOCK_RULE = "R053"  # moments in the future: the one rule whose answer changes by itself


class Reason(NamedTuple):
    """Why an entry is not ranked: the rule or the limit, the place in the submission, found and expected."""

    rule: str
    path: str
    message: str


@dataclass(frozen=True)
class Entry:
    """What a leaderboard knows of a submission, from its own bytes.

    `status` is invalid, unverified (of version 1), fail, inconclusive or pass, and `level` how far it is trusted, None
    if it is invalid. `moment` is when it was measured, as it says. `scores` are those of the ranking; where the first
    is None, `reasons` say why. `changes` are the answers that differ from the baseline's, one number each for item and
    answer, and `tensors` digests of the stored tensors that are not the baseline's, None where they are not known.
    `right` is "ITEMS:BITS", the test items that are answered right in hex, "" where nothing proves it.
    """

    digest: str
    status: str
    level: str | None
    reasons: tuple[Reason, ...]
    more_reasons: int = 0
    moment: str = ""
    name: str = ""
    techniques: tuple[str, ...] = ()
    machine: str = ""
    scores: tuple[Score | None, ...] = ()
    weights: str = ""
    recipe: str = ""
    samples: str = ""
    predictions: str = ""
    items: int = 0
    classes: int = 1
    changes: tuple[int, ...] | None = None
    right: str = ""
    tensors: tuple[str, ...] | None = None

    @property
    def answers(self) -> Answers | None:
        """Which test items are answered right."""
        items, _, bits = self.right.partition(":")
        return Answers(int(items), int(bits, 16)) if items else None

    @property
    def lasts(self) -> bool:
        """Whether it stays the same as time goes by."""
        return not any(reason.rule == _CLOCK_RULE for reason in self.reasons)


def entry_of(competition: Competition, data: bytes, evidence: bytes | None, now: datetime) -> Entry:
    """Return the entry of a submission's file, with the file of evidence beside it, if there is one.

    Nothing that strangers wrote is executed, and no other file is opened. What is wrong with it is in the entry.
    """
    digest = digest_bytes(data)
    for found, name, bound in ((data, "submission.json", "submission_bytes"), (evidence, "evidence", "evidence_bytes")):
        if found is not None and len(found) > (most := competition.terms["bounds"][bound]):
            message = f"found more than {most} bytes, expected at most {most}"
            return refused(digest, Reason(f"bounds.{bound}", name, message))
    try:
        document = parse_submission(data)
    except SubmissionInvalid as error:
        return refused(digest, Reason(error.code, "$", error.message))
    if problems := find_problems(document):
        return refused(digest, *(Reason(one.code, one.yaml_path, one.message) for one in problems))
    if not is_measured(document):
        return _of_the_course(digest, document)
    if evidence is not None and "evidence" not in document:
        evidence = None
    wrong = set(itertools.islice(broken(document, evidence, now), _MOST_BROKEN))
    if wrong:
        return refused(digest, *(Reason(rule, path_text(path), text) for rule, path, text in sorted(wrong, key=str)))
    return _valid(competition, document, digest, len(data), evidence)


def refused(digest: str, *reasons: Reason) -> Entry:
    """Return the entry of a submission that is not valid, or cannot be read."""
    return Entry(digest, "invalid", None, _cut(reasons), max(len(reasons) - _MOST_REASONS, 0))


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as a JSON object, from which `entry_from_json` makes the same entry."""
    return dict(vars(entry))


def entry_from_json(found: Mapping[str, Any]) -> Entry:
    """Return the entry that became this object. Raises KeyError, TypeError or ValueError for any other object."""
    return Entry(
        **{
            **found,
            "reasons": tuple(Reason(*one) for one in found["reasons"]),
            "techniques": tuple(found["techniques"]),
            "scores": tuple(one and Score(*one) for one in found["scores"]),
            "changes": _tuple(found["changes"]),
            "tensors": _tuple(found["tensors"]),
        }
    )


def _tuple(values: Iterable[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _of_the_course(digest: str, document: Mapping[str, Any]) -> Entry:
    found = "version 1 migrated to 2" if is_migrated(document) else "version 1"
    message = f"found {found}, expected what `pipeline run` writes: it has no intervals, and nothing proves it"
    moment = _short(document["timestamp"] or "", 40)
    return Entry(digest, "unverified", "unverified", (Reason("E503", "schema_version", message),), moment=moment)


def _valid(
    competition: Competition, document: Mapping[str, Any], digest: str, size_bytes: int, evidence: bytes | None
) -> Entry:
    findings = [one for one in judge(competition, document, size_bytes) if one.status != "pass"]
    status, reasons = overall(findings), [_reason(one) for one in sorted(findings, key=_failures_first)]
    scores = []
    for column in columns_of(competition.terms["ranking"]):
        score = score_of(document, column.path)
        scores.append(None if isinstance(score, str) else score)
        if isinstance(score, str) and len(scores) == 1:
            reasons.append(Reason("ranking.primary", column.path, score))
            status = "fail" if status == "fail" else "inconclusive"
    provenance, effects = document["provenance"], document["effects"]
    recipe = [[effect["use"], effect["technique"], effect["settings"]] for effect in effects]
    classes = provenance["data"]["classes"]
    items, changes, right = (0, None, "") if evidence is None else _answers(evidence, classes)
    return Entry(
        digest,
        status,
        "valid" if evidence is None else "recomputed",
        _cut(reasons),
        max(len(reasons) - _MOST_REASONS, 0),
        moment=document["timestamp"],
        name=_short(document["experiment"]["name"], 80),
        techniques=tuple(_short(one, 40) for one in _techniques(document)),
        machine=_short(document["machine"]["cpu"] or document["machine"]["architecture"], 80),
        scores=tuple(scores),
        weights=provenance["weights"]["optimized"],
        recipe=digest_bytes(json.dumps(recipe, sort_keys=True).encode()),
        samples=provenance["samples"],
        predictions=provenance["predictions"]["optimized"],
        items=items,
        classes=classes,
        changes=changes,
        right=right,
        tensors=_tensors(provenance.get("tensors")),
    )


def _techniques(document: Mapping[str, Any]) -> list[str]:
    """Return what was applied, and which code besides that of this installation had a part in it."""
    own = document["provenance"].get("custom_code", ())
    return [*(f"custom code: {one['name']}" for one in own[:2]), *document["optimized"]["techniques_applied"][:8]]


def _answers(evidence: bytes, classes: int) -> tuple[int, tuple[int, ...] | None, str]:
    """Return how many items were answered, the answers that are not the baseline's (None for too many), and `right`."""
    predictions = predictions_in(evidence)
    before, after = (predictions[side] for side in SIDES)
    first, second = (np.concatenate([side[split] for split in _SPLITS]).astype(np.int64) for side in (before, after))
    right = np.packbits(after["test"] == after["test_labels"], bitorder="little").tobytes()
    other = np.flatnonzero(first != second)
    changes = None if len(other) > MOST_CHANGES else tuple((other * classes + second[other]).tolist())
    return len(first), changes, f"{len(after['test'])}:{int.from_bytes(right, 'little'):x}"


def _tensors(found: Mapping[str, Mapping[str, str]] | None) -> tuple[str, ...] | None:
    """Return the beginnings of the digests of tensors that the baseline does not have."""
    if found is None:
        return None
    baseline, optimized = (set(found[side].values()) for side in SIDES)
    return tuple(sorted(digest[:16] for digest in optimized - baseline)[:MOST_CHANGES])


def _failures_first(finding: Finding) -> bool:
    return finding.status != "fail"


def _reason(finding: Finding) -> Reason:
    return Reason(finding.origin, finding.path, found_and_expected(finding))


def _cut(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the first reasons, none long: they quote what strangers wrote."""
    first = itertools.islice(reasons, _MOST_REASONS)
    return tuple(Reason(_short(one.rule, 60), _short(one.path, 120), _short(one.message, _LONGEST)) for one in first)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
