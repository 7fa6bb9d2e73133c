"""Where two submissions' experiments and runs differ."""

from __future__ import annotations

import copy
from typing import Any

from pipeline.submission.differing import ABSENT, Difference, differing_circumstances, differing_keys


def test_paths_are_those_of_the_experiment_file(submission: dict[str, Any]) -> None:
    """Keys of one side only are absent on the other; true is not 1, and a list of words is one value."""
    first, second = copy.deepcopy(submission), copy.deepcopy(submission)
    first["experiment"]["document"] |= {"optimize": [{"prune": {"sparsity": 0.5, "on": True, "targets": ["a"]}}]}
    second["experiment"]["document"] |= {"optimize": [{"prune": {"sparsity": 0.7, "on": 1, "targets": ["b", "c"]}}]}
    second["experiment"]["document"]["seeds"] = [1]
    assert differing_keys(first, second) == [
        Difference("optimize[0].prune.sparsity", 0.5, 0.7),
        Difference("optimize[0].prune.on", True, 1),
        Difference("optimize[0].prune.targets", ["a"], ["b", "c"]),
        Difference("seeds", ABSENT, [1]),
    ]


def test_a_step_that_one_side_lacks_is_one_difference(submission: dict[str, Any]) -> None:
    """Its defaults are no differences of their own; nor is a step of another kind compared key by key."""
    first, second = copy.deepcopy(submission), copy.deepcopy(submission)
    first["experiment"]["document"]["optimize"] = [{"prune": {"sparsity": 0.5}}]
    second["experiment"]["document"]["optimize"] = [{"quantize": {"bits": 8, "calibration": "max"}}, {"fuse": {}}]
    first["experiment"]["document"]["goals"] = []
    second["experiment"]["document"]["goals"] = [{"minimize": "size_bytes"}]
    assert differing_keys(first, second) == [
        Difference("goals[0]", ABSENT, {"minimize": "size_bytes"}),
        Difference("optimize[0].prune", {"sparsity": 0.5}, ABSENT),
        Difference("optimize[0].quantize", ABSENT, {"bits": 8, "calibration": "max"}),
        Difference("optimize[1]", ABSENT, {"fuse": {}}),
    ]


def test_a_list_of_words_may_be_empty(submission: dict[str, Any]) -> None:
    """It is one value all the same."""
    first, second = copy.deepcopy(submission), copy.deepcopy(submission)
    first["experiment"]["document"]["seeds"], second["experiment"]["document"]["seeds"] = [], [0, 1]
    assert differing_keys(first, second) == [Difference("seeds", [], [0, 1])]


def test_equal_submissions_differ_nowhere(submission: dict[str, Any]) -> None:
    """Neither in the experiment nor in the run."""
    assert differing_keys(submission, submission) == differing_circumstances(submission, submission) == []


def test_circumstances_are_named_in_words(submission: dict[str, Any]) -> None:
    """What figures depend on besides the experiment."""
    second = copy.deepcopy(submission)
    second["machine"]["cpu"] = "Other CPU"
    second["provenance"]["seeds"]["submitted"] = 7
    found = differing_circumstances(submission, second)
    assert found == [Difference("seed", 0, 7), Difference("processor", "Example CPU 9000", "Other CPU")]
