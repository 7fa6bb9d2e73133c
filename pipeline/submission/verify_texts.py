"""Whether models that continue texts say what a submission states they say, with each kind of cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.submission.verification import Check
from pipeline.submission.verify_table import TOLERANCES

__all__ = ["tokens_check"]

_COUNTS = ("tokens", "equal_tokens", "equal_choices")


def tokens_check(index: int, claimed: Mapping[str, Any], here: Mapping[str, Any], *, is_exact: bool) -> Check | None:
    """Return the check of the tokens that are the uncached baseline's; None where no texts are continued.

    They are counted, so they are the same where nothing is another (`is_exact`). Elsewhere sums are rounded otherwise:
    after one other token a text goes on otherwise, so only choices for the same text are judged, by `answers_equal`.
    """
    if not claimed.get("generate") or not here.get("generate"):
        return None
    stated = {name: variant["parity"] for name, variant in claimed["generate"]["variants"].items()}
    found = {name: variant["parity"] for name, variant in here["generate"]["variants"].items()}
    wrong = [
        f"{name}: {key} {stated[name][key]} stated, {found[name][key]} here"
        for name in found
        for key in _COUNTS
        if stated[name][key] != found[name][key]
    ]
    near = all(_apart(stated[name], found[name]) <= 1 - TOLERANCES["answers_equal"] for name in found)
    outcome = "same" if not wrong else "differs" if is_exact else "within" if near else "inconclusive"
    message = f"{wrong[0]}, and {len(wrong) - 1} more" if len(wrong) > 1 else (wrong or [_counts(found)])[0]
    path, what = f"benchmark.comparisons[{index}].generate.variants", f"tokens, batch size {claimed['batch_size']}"
    return Check("V036", what, outcome, path, _counts(stated), _counts(found), message)


def _counts(parities: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how many tokens of each variant are the uncached baseline's."""
    return ", ".join(f"{name} {parity['equal_tokens']} of {parity['tokens']}" for name, parity in parities.items())


def _apart(stated: Mapping[str, Any], here: Mapping[str, Any]) -> float:
    """Return the share of choices by which two counts differ."""
    shares = [float(parity["equal_choices"] / parity["tokens"]) for parity in (stated, here)]
    return abs(shares[0] - shares[1])
