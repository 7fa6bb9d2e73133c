"""The leaderboard's document: states, ranks, trust, attempts, and what an organiser found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.schemas import read_schema
from pipeline.submission.competition.terms import Competition, competition_from
from pipeline.submission.evidence import Evidence
from pipeline.submission.leaderboard.board import STATES, board_of
from pipeline.submission.leaderboard.entry import Entry, Reason, refused
from pipeline.submission.leaderboard.likeness import HandedIn
from pipeline.submission.validate import schema_problems
from tests.submission_variants import cup

Template = tuple[dict[str, Any], Evidence]
Make = Callable[..., Entry]
REPRODUCED = {"outcome": "reproduced", "level": "reproduced", "competition": None, "checks": []}


def handed(*given: tuple[str, Entry]) -> list[HandedIn]:
    return [HandedIn(team, f"{team}/{i}/submission.json", entry) for i, (team, entry) in enumerate(given)]


def states(board: dict[str, Any]) -> dict[str, str]:
    return {one["path"].rpartition("/")[0]: one["state"] for one in board["submissions"]}


def with_terms(template: Template, **terms: Any) -> Competition:
    return competition_from(cup(template[0], terms), "cup.schema.json")


BOUNDS = {"submission_bytes": 2**20, "evidence_bytes": 2**24}


def test_each_team_has_one_rank(make: Make, competition: Competition) -> None:
    """Its best; the ranked come first, in the order of their ranks."""
    slow, fast = make(1, slower=1.2), make(2)
    board = board_of(competition, handed(("a", slow), ("b", fast), ("a", make(3, slower=1.3))), {})
    assert states(board) == {"b/1": "ranked", "a/0": "ranked", "a/2": "passed_over"}
    assert [(one["rank"], one["team"]) for one in board["submissions"][:2]] == [(1, "b"), (2, "a")]


def test_a_statistical_tie_shares_the_rank(make: Make, competition: Competition) -> None:
    """The same model measured by two teams."""
    board = board_of(competition, handed(("a", make(1, weights=1)), ("b", make(2, weights=1))), {})
    assert [(one["rank"], one["shared"]) for one in board["submissions"]] == [(1, True), (1, True)]
    assert all(one["flags"][0]["kind"] == "weights" for one in board["submissions"])


def test_what_is_invalid_is_listed_with_its_rule(make: Make, competition: Competition) -> None:
    """Never ranked."""
    wrong = refused("0" * 64, Reason("R030", "accuracy", "found 1, expected 0"))
    board = board_of(competition, handed(("a", make(1)), ("b", wrong)), {})
    (last,) = [one for one in board["submissions"] if one["team"] == "b"]
    assert (last["state"], last["rank"], last["trust"]) == ("invalid", None, None)
    assert last["reasons"] == [{"rule": "R030", "path": "accuracy", "message": "found 1, expected 0"}]


def test_more_than_a_team_may_hand_in_is_not_ranked(make: Make, template: Template) -> None:
    """Counted in the order of measurement; copies and what is invalid do not count."""
    competition = with_terms(template, bounds={**BOUNDS, "attempts": 2})
    entries = [make(i, measured_at=f"2026-11-2{i}T12:00:00Z") for i in range(3)]
    wrong = refused("0" * 64, Reason("R030", "accuracy", "found 1, expected 0"))
    given = handed(("a", entries[2]), ("a", entries[0]), ("a", entries[0]), ("a", entries[1]), ("a", wrong))
    board = board_of(competition, given, {})
    assert states(board) == {
        "a/1": "ranked",
        "a/0": "beyond_attempts",
        "a/2": "copy",
        "a/3": "passed_over",
        "a/4": "invalid",
    }
    assert board["teams"] == [{"team": "a", "handed_in": 5, "attempts": 2, "rank": 1}]


def test_too_little_trust_is_not_ranked(make: Make, template: Template) -> None:
    """Until an organiser has run it again, if the competition asks for that."""
    competition = with_terms(template, verification={"level": "reproduced", "reproduce_best": 1})
    entry = make(1)
    board = board_of(competition, handed(("a", entry)), {})
    assert states(board) == {"a/0": "inconclusive"}
    assert board["submissions"][0]["reasons"][0]["message"].startswith("found recomputed, expected reproduced")
    board = board_of(competition, handed(("a", entry)), {entry.digest: REPRODUCED})
    assert [(one["rank"], one["trust"]) for one in board["submissions"]] == [(1, "reproduced")]


def test_what_came_out_otherwise_is_not_ranked(make: Make, competition: Competition) -> None:
    """With the check that says so, although all its figures agree with each other."""
    entry = make(1)
    check = {"id": "V010", "outcome": "differs", "path": "provenance.weights", "message": "other weights", "what": ""}
    record = {"outcome": "differs", "level": "recomputed", "competition": None, "checks": [check]}
    board = board_of(competition, handed(("a", entry)), {entry.digest: record})
    assert states(board) == {"a/0": "differs"}
    assert board["submissions"][0]["reasons"][0] == {
        "rule": "V010",
        "path": "provenance.weights",
        "message": "other weights",
    }


def test_the_best_wait_for_being_run_again(make: Make, competition: Competition) -> None:
    """Those that are not yet reproduced, among as many ranks as the competition says."""
    first, second = make(1), make(2, slower=1.3)
    board = board_of(competition, handed(("a", first), ("b", second)), {first.digest: REPRODUCED})
    assert [(one["team"], one["awaits_reproduction"]) for one in board["submissions"]] == [("a", False), ("b", True)]


def test_the_ladder_passes_over_what_is_not_significantly_better(make: Make, competition: Competition) -> None:
    """The first counts, as fast as the second."""
    first, second = make(1, measured_at="2026-11-20T12:00:00Z"), make(2, measured_at="2026-11-21T12:00:00Z")
    board = board_of(competition, handed(("a", second), ("a", first)), {})
    assert states(board) == {"a/1": "ranked", "a/0": "passed_over"}
    assert "Ladder" in board["submissions"][1]["reasons"][0]["message"]


def test_the_order_of_what_is_handed_in_does_not_matter(make: Make, competition: Competition) -> None:
    """The same document."""
    given = handed(*((f"t{i}", make(i, slower=1 + i / 100)) for i in range(6)))
    assert board_of(competition, given, {}) == board_of(competition, list(reversed(given)), {})


def test_an_entry_without_a_score_is_listed(make: Make, competition: Competition) -> None:
    """Its state is that of its reason."""
    entry = make(1, slower=1.869)
    assert states(board_of(competition, handed(("a", entry)), {})) == {"a/0": "inconclusive"}


@pytest.mark.parametrize("status", ["invalid", "unverified", "fail", "inconclusive"])
def test_every_state_is_counted(make: Make, competition: Competition, status: str) -> None:
    """Under its name, in a table that knows all."""
    board = board_of(competition, handed(("a", replace(make(1), status=status))), {})
    assert board["counts"]["states"] == {state: int(state == status) for state in STATES}


def test_the_document_is_as_its_schema_says(make: Make, competition: Competition) -> None:
    """With ranked, flagged, unread and wrong submissions in it."""
    wrong = refused("", Reason("folder", "$", "it is a link"))
    given = handed(("a", make(1, weights=1)), ("b", make(2, weights=1)), ("b", make(3)), ("c", wrong))
    board = board_of(competition, given, {})
    assert schema_problems("leaderboard.v1", board, "board", "E502") == []


def test_states_are_those_of_the_schema() -> None:
    """In the same order."""
    state = read_schema("leaderboard.v1")["$defs"]["submission"]["properties"]["state"]
    assert list(STATES) == state["enum"]


@pytest.mark.parametrize(("rules", "state"), [("these", "fail"), ("0" * 64, "ranked")])
def test_a_limit_that_is_broken_when_run_again_counts(
    make: Make, competition: Competition, rules: str, state: str
) -> None:
    """If it was decided by these very rules."""
    entry = make(1)
    stands = {"name": "cup", "rules": competition.digest if rules == "these" else rules, "status": "fail"}
    board = board_of(competition, handed(("a", entry)), {entry.digest: {**REPRODUCED, "competition": stands}})
    assert states(board) == {"a/0": state}
