"""All checks of a submission that was run again, in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.experiment import Experiment
from pipeline.submission.competition.judge import judge, overall
from pipeline.submission.competition.terms import Competition
from pipeline.submission.rules.recompute import goals_of
from pipeline.submission.verification import Check
from pipeline.submission.verify_compare import UNASKED, Case, compare_models, missing_point
from pipeline.submission.verify_environment import Other
from pipeline.submission.verify_files import compare_files
from pipeline.submission.verify_points import compare_points
from pipeline.submission.verify_speed import first_token_check, latency_check, speed_check
from pipeline.submission.verify_texts import tokens_check

__all__ = ["agrees", "all_checks", "elsewhere", "is_exact", "limits_check"]

_MEASURED = ("baseline", "optimized", "improvements", "accuracy", "size", "benchmark", "comparisons", "constraints")
_OF_HARDWARE = ("processor", "architecture", "instruction sets", "BLAS", "caches", "kernels")
_OF_SOFTWARE = ("python", "numpy", "package", "code of benchmark", "code of generate")
Comparisons = Sequence[Mapping[str, Any]]


def is_exact(others: Sequence[Other]) -> bool:
    """Tell whether nothing is another here that may change bits, so that all has to be the same to the last one."""
    return all(other.affects != "bits" for other in others)


def elsewhere(others: Sequence[Other], *, hardware_only: bool = False) -> str:
    """Return in words what may change a ratio of times, "" where nothing does."""
    matters = _OF_HARDWARE if hardware_only else (*_OF_HARDWARE, *_OF_SOFTWARE)
    return _named([other.what for other in others if other.what in matters])


def _named(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(names[:4]) + (" and more" if len(names) > 4 else "")
    return f"{listed} {'is another one' if len(names) == 1 else 'are others'} here"


def agrees(document: Mapping[str, Any], measured: Comparisons) -> bool:
    """Tell whether every comparison of one measurement agrees with the stated ones."""
    stated = document["benchmark"]["comparisons"]
    return len(stated) == len(measured) and all(
        {check.outcome for check in _times(0, claimed, [here], "", "")} == {"within"}
        for claimed, here in zip(stated, measured, strict=True)
    )


def all_checks(
    case: Case,
    experiment: Experiment,
    others: Sequence[Other],
    beside: Mapping[str, bytes],
    competition: Competition | None,
    *,
    only_submitted: bool,
) -> list[Check]:
    """Return every check of a submission that keeps its schema and rules."""
    checks = [_evidence(case)]
    if lost := missing_point(case):
        return [*checks, *compare_points(case, experiment, [], only_submitted=True), lost]
    goals = goals_of(case.document)
    stated = case.document["provenance"]["weights"]
    checks += compare_models(case)
    checks += compare_points(case, experiment, goals, only_submitted=only_submitted)
    checks += compare_files(stated, beside, case.rebuilt.files, is_exact=case.is_exact)
    checks += _speed(case, others)
    if competition:
        checks.append(limits_check(case, competition, elsewhere(others)))
    return sorted(checks, key=lambda check: check.id)


def _evidence(case: Case) -> Check:
    reference = case.document.get("evidence")
    if reference is None:
        message = "there is none: nothing shows that the stated times were measured"
        return Check("V002", "evidence", "inconclusive", "evidence", None, None, message)
    message = f"all figures were computed again from {reference['size_bytes']:,} bytes"
    return Check("V002", "evidence", "same", "evidence", reference["digest"], reference["digest"], message)


def _speed(case: Case, others: Sequence[Other]) -> Iterator[Check]:
    stated = case.document["benchmark"]["comparisons"]
    measured = case.rebuilt.measured
    if not measured:
        outcome = "skipped" if case.rebuilt.unmeasured == UNASKED else "inconclusive"
        message = f"not measured again: {case.rebuilt.unmeasured}"
        yield Check("V050", "speed-up", outcome, "benchmark.comparisons", None, None, message)
        return
    if len(stated) != len(measured[-1]):
        path, counts = "benchmark.comparisons", (len(stated), len(measured[-1]))
        message = f"found {counts[0]} comparisons, the experiment asks for {counts[1]}"
        yield Check("V050", "speed-up", "differs", path, *counts, message)
        return
    for i, claimed in enumerate(stated):
        records = [each[i] for each in measured]
        yield from _times(i, claimed, records, elsewhere(others), elsewhere(others, hardware_only=True))
        if check := tokens_check(i, claimed, records[-1], is_exact=case.is_exact and not elsewhere(others)):
            yield check
    if other := [name for name in ("peers", "loadgen") if case.document.get(name)]:
        yield Check("V052", " and ".join(other), "skipped", other[0], None, None, "not measured again")


def _times(index: int, claimed: Mapping[str, Any], measured: Comparisons, other: str, hardware: str) -> Iterator[Check]:
    yield speed_check(index, claimed, measured, other)
    if check := first_token_check(index, claimed, measured, other):
        yield check
    yield latency_check(index, claimed, measured, hardware)


def _standing_here(case: Case, competition: Competition) -> tuple[str | None, list[str]]:
    """Return how what was rebuilt and measured here stands in a competition, and what it does not keep.

    How thoroughly it was measured is a demand on the submission, not on this measurement.
    """
    own = case.rebuilt.submission
    if own is None:
        return None, []
    found = judge(competition, {**case.document, **{key: own[key] for key in _MEASURED}})
    found = [each for each in found if not each.origin.startswith("protocol.")]
    return overall(found), [f"{each.path} ({each.status})" for each in found if each.status != "pass"]


def limits_check(case: Case, competition: Competition, other: str) -> Check:
    """Check that nothing passes by its statement that does not pass here; `expected` has how it stands here.

    `other` says what may make this machine slower than the stated one.
    """
    name, path = "limits", f"competition {competition.name}, rules {competition.digest[:12]}"
    stated = overall(judge(competition, case.document))
    here, missed = _standing_here(case, competition)
    if here is None:
        return Check("V060", name, "skipped", path, stated, None, "not decided without a measurement")
    told = ", ".join(missed[:3]) + (f" and {len(missed) - 3} more" if len(missed) > 3 else "")
    if any(record["noisy"] for record in case.rebuilt.measured[-1]):
        other = "this machine was too noisy"
    if here == "fail" and other:  # which may be no fault of the submission
        here, told = "inconclusive", f"{told}; but {other}"
    claim = stated if stated == "pass" else f"{stated}, which claims nothing,"
    message = f"{competition.name}: {claim} as stated, {here} here{f' ({told})' if told else ''}"
    if here == "pass" or stated != "pass":
        return Check("V060", name, "within", path, stated, here, message)
    outcome = "differs" if here == "fail" else "inconclusive"
    return Check("V060", name, outcome, path, stated, here, message)
