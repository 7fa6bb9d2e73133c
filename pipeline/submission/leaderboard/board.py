"""The leaderboard as one document: every submission with its state, the ranks, and why the others have none.

Pure, and without a clock: the same submissions, records and rules give the same document. Markdown, HTML, CSV and the
terminal show it; none of them decides anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.submission.badge import LEVELS, is_enough
from pipeline.submission.competition.ranking import Attempt, Place, Score, places, standing
from pipeline.submission.competition.ranking_figures import columns_of
from pipeline.submission.competition.terms import Competition
from pipeline.submission.leaderboard.entry import Entry, Reason
from pipeline.submission.leaderboard.likeness import Flag, HandedIn, flags_of

__all__ = ["FORMAT", "STATES", "board_of"]

FORMAT = 1
# state of a submission -> what it means; in the order in which they are listed
STATES: dict[str, str] = {
    "ranked": "it counts for its team",
    "inconclusive": "a limit, a score or its trust is not decided",
    "fail": "it breaks a limit",
    "differs": "run again, it came out otherwise",
    "invalid": "it breaks its schema or a rule",
    "unverified": "it is in the course's first format: there is nothing to check it against",
    "beyond_attempts": "the team has handed in more than it may",
    "copy": "the team handed in the same file before",
    "passed_over": "another submission of the team counts",
}
_REFUTED = ("differs", "invalid")
_MOST_REASONS, _MOST_CHECKS = 5, 3


@dataclass
class _Row:
    """What is known of a submission so far."""

    handed_in: HandedIn
    state: str = ""
    level: str | None = None
    reasons: list[Reason] = field(default_factory=list)
    place: Place | None = None

    @property
    def entry(self) -> Entry:
        return self.handed_in.entry

    def end(self, state: str, *reasons: Reason) -> None:
        """Settle the state, the reasons that say so first."""
        self.state, self.reasons = state, [*reasons, *self.reasons]


def board_of(
    competition: Competition, handed_in: Iterable[HandedIn], verifications: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the leaderboard of a competition. `verifications` has an organiser's records by a submission's digest."""
    rows = sorted((_row(one) for one in handed_in), key=lambda row: row.handed_in.path)
    for row in rows:
        _verify(row, verifications.get(row.entry.digest), competition.digest)
    _count_attempts(rows, competition.terms["bounds"]["attempts"])
    _trust(rows, competition.terms["verification"]["level"])
    _rank(rows, competition.terms)
    flags = flags_of(row.handed_in for row in rows)
    listed = sorted(rows, key=_order)
    return {
        "leaderboard_version": FORMAT,
        "competition": _terms(competition),
        "counts": _counts(listed, flags),
        "teams": _teams(rows),
        "submissions": [_record(row, flags.get(row.handed_in.path, ()), competition.terms) for row in listed],
    }


def _row(handed_in: HandedIn) -> _Row:
    entry = handed_in.entry
    state = "" if entry.status == "pass" else entry.status
    return _Row(handed_in, state, entry.level, list(entry.reasons))


def _verify(row: _Row, record: Mapping[str, Any] | None, rules: str) -> None:
    """Take over what an organiser found out by running a submission again."""
    if record is None or row.level is None:
        return
    if record["outcome"] in _REFUTED:
        row.end("differs", *_refutations(record))
        return
    stands = record["competition"]
    is_of_these = stands is not None and stands["rules"] == rules
    if is_of_these and stands["status"] == "fail" and row.state in ("", "inconclusive"):
        row.end("fail", Reason("verification", "$", "run again, it breaks a limit"))
    if record["level"] is not None and is_enough(record["level"], row.level):
        row.level = record["level"]


def _refutations(record: Mapping[str, Any]) -> list[Reason]:
    """Return the checks that came out otherwise, as many as fit beside an entry."""
    checks = [check for check in record["checks"] if check["outcome"] == "differs"][:_MOST_CHECKS]
    return [Reason(check["id"], check["path"] or "$", check["message"] or check["what"]) for check in checks] or [
        Reason("verification", "$", f"run again, it came out {record['outcome']}")
    ]


def _count_attempts(rows: Iterable[_Row], most: int | None) -> None:
    """Settle copies of a team's own files, and what it has handed in beyond the limit, later ones first."""
    attempts: dict[str, dict[str, str]] = {}
    for row in sorted(rows, key=_age):
        if row.level is None or row.level == "unverified":
            continue
        counted = attempts.setdefault(row.handed_in.team, {})
        first = counted.setdefault(row.entry.digest, row.handed_in.path)
        if first != row.handed_in.path:
            row.end("copy", Reason("attempts", "$", f"the same file as {first}"))
        elif most is not None and len(counted) > most:
            message = (
                f"found attempt {len(counted)} of the team, expected at most {most}, in the order they were measured"
            )
            row.end("beyond_attempts", Reason("bounds.attempts", "$", message))


def _age(row: _Row) -> tuple[str, str]:
    return row.entry.moment, row.handed_in.path


def _trust(rows: Iterable[_Row], wanted: str) -> None:
    for row in rows:
        if not row.state and row.level is not None and not is_enough(row.level, wanted):
            message = f"found {row.level}, expected {wanted}: {_MISSING[wanted]}"
            row.end("inconclusive", Reason("verification.level", "trust", message))


_MISSING = {
    "recomputed": "no evidence lies beside it",
    "reproduced": "no organiser has run it again yet (`pipeline verify`)",
}


def _rank(rows: Iterable[_Row], terms: Mapping[str, Any]) -> None:
    candidates = {row.handed_in.path: row for row in rows if not row.state}
    attempts = [
        Attempt(row.handed_in.team, path, row.entry.moment, row.entry.scores, row.entry.answers)
        for path, row in candidates.items()
    ]
    standings = standing(attempts, terms).values()
    rule = "ladder" if terms["ladder"]["enabled"] else "ranking"
    for found in standings:
        for path, why in found.passed_over.items():
            candidates[path].end("passed_over", Reason(rule, "$", why))
    for place in places((found.attempt for found in standings), terms):
        row = candidates[place.attempt.path]
        row.state, row.place = "ranked", place


def _order(row: _Row) -> tuple[Any, ...]:
    """Return what lists the ranked in the order of their ranks, then the others by state, team and path."""
    place = row.place.position if row.place else 0
    return list(STATES).index(row.state), place, row.handed_in.team, row.handed_in.path


def _record(row: _Row, flags: Sequence[Flag], terms: Mapping[str, Any]) -> dict[str, Any]:
    entry, place = row.entry, row.place
    return {
        "rank": place.rank if place else None,
        "shared": place.is_shared if place else False,
        "awaits_reproduction": _awaits(row, terms["verification"]),
        "team": row.handed_in.team,
        "path": row.handed_in.path,
        "digest": entry.digest or None,
        "state": row.state,
        "trust": row.level,
        "measured_at": entry.moment or None,
        "name": entry.name,
        "techniques": list(entry.techniques),
        "machine": entry.machine,
        "scores": [_score(score) for score in entry.scores],
        "reasons": [reason._asdict() for reason in row.reasons[:_MOST_REASONS]],
        "more_reasons": entry.more_reasons + max(len(row.reasons) - _MOST_REASONS, 0),
        "flags": [flag._asdict() for flag in flags],
    }


def _awaits(row: _Row, verification: Mapping[str, Any]) -> bool:
    """Tell whether a submission would win, and has still to be run again before it does."""
    return bool(row.place and row.place.rank <= verification["reproduce_best"] and row.level != "reproduced")


def _score(score: Score | None) -> dict[str, Any] | None:
    return None if score is None else {"value": score.value, "interval": [score.low, score.high]}


def _terms(competition: Competition) -> dict[str, Any]:
    """Return what a reader needs to know of the rules."""
    terms = competition.terms
    return {
        "name": competition.name,
        "title": competition.title,
        "description": competition.schema["description"],
        "rules": competition.digest,
        "columns": [column._asdict() for column in columns_of(terms["ranking"])],
        "ties": terms["ranking"]["ties"],
        **{name: terms[name] for name in ("dates", "division", "ladder", "verification")},
        "attempts": terms["bounds"]["attempts"],
    }


def _counts(rows: Sequence[_Row], flags: Mapping[str, Any]) -> dict[str, Any]:
    states = Counter(row.state for row in rows)
    return {
        "submissions": len(rows),
        "teams": len({row.handed_in.team for row in rows}),
        "flagged": len(flags),
        "states": {state: states[state] for state in STATES},
        "trust": {level: sum(row.level == level for row in rows) for level in LEVELS},
    }


def _teams(rows: Iterable[_Row]) -> list[dict[str, Any]]:
    """Return for each team how much it handed in, and which rank it has."""
    teams: dict[str, list[_Row]] = {}
    for row in rows:
        teams.setdefault(row.handed_in.team, []).append(row)
    return [
        {
            "team": team,
            "handed_in": len(found),
            "attempts": sum(row.state not in _NO_ATTEMPT for row in found),
            "rank": next((row.place.rank for row in found if row.place), None),
        }
        for team, found in sorted(teams.items())
    ]


_NO_ATTEMPT = ("beyond_attempts", "copy", "invalid", "unverified")
