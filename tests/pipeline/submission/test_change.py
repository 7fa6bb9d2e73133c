"""Two submissions against each other: figures with intervals, verdicts, and why something is not comparable."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import SubmissionInvalid
from pipeline.core.keys import digest_bytes
from pipeline.stats.accuracy import mcnemar, wilson_interval
from pipeline.stats.paired import paired_difference
from pipeline.store.codecs import arrays as codec
from pipeline.submission.accuracy_change import Answered, accuracy_change, answers_of
from pipeline.submission.change import Change, changes
from pipeline.submission.evidence import FILE, Evidence, packed, reference_to

Document = dict[str, Any]


def by_name(first: Document, second: Document, **more: Any) -> dict[str, Change]:
    return {change.metric: change for change in changes(first, second, **more)}


def with_speed(document: Document, estimate: float, half: float = 0.01, noisy: bool = False) -> Document:
    """The submission as another run measured it."""
    made = copy.deepcopy(document)
    interval = [estimate * (1 - half), estimate * (1 + half)]
    made["comparisons"]["speed"]["speedup"] |= {"estimate": estimate, "interval": interval}
    made["comparisons"]["speed"]["noisy"] = noisy
    made["provenance"]["samples"] = "5" * 64
    return made


def with_answers(document: Document, right: np.ndarray, baseline: np.ndarray) -> Document:
    """The submission of a model that is right on these items, beside such a baseline."""
    made = copy.deepcopy(document)
    correct, evaluated = int(right.sum()), len(right)
    record = {"accuracy": correct / evaluated, "correct": correct, "evaluated": evaluated}
    made["accuracy"]["optimized"]["test"] |= record | {"interval": list(wilson_interval(correct, evaluated))}
    test = mcnemar(baseline, right)
    made["comparisons"]["accuracy"] |= {
        "only_baseline_correct": test.only_baseline,
        "only_optimized_correct": test.only_candidate,
    }
    made["provenance"]["predictions"]["optimized"] = digest_bytes(right.tobytes())
    return made


def answers(rate: float, seed: int, base: np.ndarray | None = None) -> np.ndarray:
    """Answers right at random, or those of `base` with a few changed."""
    rng = np.random.default_rng(seed)
    if base is None:
        return rng.random(360) < rate
    return np.where(rng.random(360) < 0.02, ~base, base)


def test_a_submission_against_itself_has_not_changed(submission: Document) -> None:
    """Every metric says so, exactly."""
    found = by_name(submission, submission)
    assert [change.verdict for change in found.values()] == [
        "no significant change",
        "equivalent",
        "same",
        "same",
        "same",
        "same",
    ]
    assert found["speed-up"].interval == (1.0, 1.0)
    assert found["accuracy (test)"].interval == (0.0, 0.0)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.2, "faster"), (0.8, "slower"), (1.0, "equivalent"), (1.02, "inconclusive")]
)
def test_speed_is_the_ratio_of_the_speed_ups(submission: Document, factor: float, verdict: str) -> None:
    """Above 1 the second is faster; two intervals of 1 % make one of 1.4 %."""
    first = with_speed(submission, 1.5)
    second = with_speed(submission, 1.5 * factor, half=0.0099)
    change = by_name(first, second)["speed-up"]
    assert change.change == pytest.approx(factor)
    assert change.interval == pytest.approx((factor * 0.986, factor * 1.014), rel=2e-3)
    assert change.verdict == verdict


def test_nothing_is_said_from_a_noisy_comparison(submission: Document) -> None:
    """However large the difference."""
    assert by_name(submission, with_speed(submission, 9.0, noisy=True))["speed-up"].verdict == "noisy"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("comparisons", "speed", "batch_size"), 64, "batch size 1 against 64"),
        (("comparisons", "speed", "scenario"), "offline", "scenario single_stream against offline"),
        (("baseline", "model_name"), "cnn", "the baseline is mlp in one, cnn in the other"),
        (("size", "baseline", "macs"), 7, "the baselines differ: 301,000 macs against 7"),
        (("comparisons", "speed", "speedup", "interval"), [3.0, 4.0], "[3.0, 4.0] is no interval of 9.0"),
    ],
)
def test_speed_of_other_work_is_not_comparable(
    submission: Document, path: tuple[str, ...], value: Any, told: str
) -> None:
    """The reason names what differs."""
    second = with_speed(submission, 9.0)
    place = second
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    change = by_name(submission, second)["speed-up"]
    assert (change.verdict, change.change, change.reason) == ("not comparable", None, told)


def test_intervals_of_strangers_do_not_overflow(submission: Document) -> None:
    """The widest interval that a file can claim has finite bounds."""
    second = with_speed(submission, 1.0)
    second["comparisons"]["speed"]["speedup"]["interval"] = [5e-324, 1.7e308]
    low, high = by_name(second, second | {"provenance": submission["provenance"]})["speed-up"].interval or (0, 0)
    assert 0 < low < 1 < high < 1e308
    assert 1 / low < 1e308


def test_sizes_are_exact(submission: Document) -> None:
    """Bytes have no interval but themselves."""
    second = copy.deepcopy(submission)
    second["size"]["optimized"]["stored_bytes"] *= 2
    change = by_name(submission, second)["stored size"]
    assert (change.change, change.interval, change.verdict) == (0.5, (0.5, 0.5), "larger")


def test_known_answers_are_compared_one_by_one(submission: Document) -> None:
    """McNemar's test decides, and the interval is that of paired rates."""
    first = answers(0.9, 1)
    second = first & (np.arange(360) % 20 > 0)
    documents = [with_answers(submission, right, first) for right in (first, second)]
    change = by_name(documents[0], documents[1], answers=(Answered(first), Answered(second)))["accuracy (test)"]
    only_first = int((first & ~second).sum())
    assert change.interval == pytest.approx(paired_difference(only_first, 0, 360)[1])
    assert change.verdict == "significantly worse"
    assert f"only the first is right on {only_first}, only the second on 0" in change.reason


def test_a_common_baseline_bounds_how_many_answers_differ(submission: Document) -> None:
    """The interval holds that of the known answers, and is narrower than without the baseline."""
    baseline = answers(0.9, 1)
    pair = answers(0, 2, baseline), answers(0, 3, baseline)
    first, second = (with_answers(submission, right, baseline) for right in pair)
    known = accuracy_change(first, second, (Answered(pair[0]), Answered(pair[1])))
    bounded = accuracy_change(first, second)
    stranger = copy.deepcopy(second)
    stranger["provenance"]["predictions"]["baseline"] = "0" * 64
    loose = accuracy_change(first, stranger)
    assert known.delta == pytest.approx(bounded.delta)
    widths = [found.interval[1] - found.interval[0] for found in (known, bounded, loose)]
    assert widths == sorted(widths)
    assert "common baseline" in bounded.reason
    assert "independent rates" in loose.reason


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_by_the_baseline_never_cuts_the_truth(submission: Document, seed: int) -> None:
    """Whatever the answers, its interval holds the one that knows them."""
    baseline = answers(0.8, seed)
    pair = answers(0, seed + 100, baseline), answers(0, seed + 200, baseline)
    first, second = (with_answers(submission, right, baseline) for right in pair)
    known = accuracy_change(first, second, (Answered(pair[0]), Answered(pair[1])))
    bounded = accuracy_change(first, second)
    assert bounded.interval[0] <= known.interval[0] + 1e-12
    assert bounded.interval[1] >= known.interval[1] - 1e-12


def test_other_test_items_are_said_to_be_others(submission: Document) -> None:
    """The comparison remains, as one of independent rates."""
    second = copy.deepcopy(submission)
    second["provenance"]["data"]["roles"]["test"] = "0" * 64
    assert by_name(submission, second)["accuracy (test)"].reason.startswith("the test items differ")


def test_accuracy_on_other_data_is_not_comparable(submission: Document) -> None:
    """One dataset says nothing about another."""
    second = copy.deepcopy(submission)
    second["provenance"]["data"]["name"] = "mnist"
    change = by_name(submission, second)["accuracy (test)"]
    assert (change.verdict, change.reason) == ("not comparable", "measured on digits and on mnist")


def published(document: Document, folder: Path, right: np.ndarray) -> Document:
    """Write evidence with these answers beside a submission, which then names it."""
    found = {"test": np.where(right, 3, 4), "test_labels": np.full(len(right), 3)}
    arrays = packed(Evidence({}, {"baseline": {}, "optimized": found}, []))
    (folder / FILE).write_bytes(codec.encode(arrays))
    return {**document, "evidence": reference_to(arrays)}


def test_answers_are_read_from_evidence(submission: Document, tmp_path: Path) -> None:
    """Only from the file that the submission names."""
    right = answers(0.9, 1)
    document = published(with_answers(submission, right, right), tmp_path, right)
    found = answers_of(document, tmp_path)
    assert found is not None
    assert np.array_equal(found.right, right)
    assert answers_of(submission, tmp_path) is None
    assert answers_of(document, tmp_path / "elsewhere") is None
    other = {**document, "evidence": {**document["evidence"], "digest": "0" * 64}}
    assert answers_of(other, tmp_path) is None


def test_evidence_that_contradicts_is_refused(submission: Document, tmp_path: Path) -> None:
    """Its digest is right, and its answers are others."""
    right = answers(0.9, 1)
    document = published(with_answers(submission, ~right, right), tmp_path, right)
    with pytest.raises(SubmissionInvalid, match="and the submission says"):
        answers_of(document, tmp_path)
    with pytest.raises(SubmissionInvalid, match="one answer and one label"):
        answers_of(published(document, tmp_path, right[1:]), tmp_path)


def continuing(submission: Document, **more: Any) -> Document:
    """Return a submission whose models continue texts, with the same ratio for the first token as for the others."""
    document = copy.deepcopy(submission)
    found = {"prompt_tokens": 8, "new_tokens": 16, "kv_cache": "float32", **more}
    document["benchmark"]["comparisons"][0]["generate"] = {
        **found,
        "ttft_speedup": document["comparisons"]["speed"]["speedup"],
    }
    return document


def test_the_first_token_is_compared_where_texts_are_continued(submission: Document) -> None:
    """Not where one of both does something else; another cache is other work, for either ratio."""
    assert "first token" not in by_name(continuing(submission), submission)
    assert by_name(continuing(submission), continuing(submission))["first token"].verdict == "equivalent"
    found = by_name(continuing(submission), continuing(submission, kv_cache="int8"))
    assert {found[name].reason for name in ("first token", "speed-up")} == {"kv cache float32 against int8"}
