"""A leaderboard's document, made up: two teams that share the first rank, and one that is invalid."""

from __future__ import annotations

from typing import Any


def submission(rank: int | None, team: str, **changes: Any) -> dict[str, Any]:
    scores = [
        {"value": 5.0, "interval": [4.5, 5.5]},
        {"value": 20000.0, "interval": [20000.0, 20000.0]},
    ]
    return {
        "rank": rank,
        "shared": False,
        "awaits_reproduction": False,
        "team": team,
        "path": f"{team}/submission.json",
        "digest": "0" * 64,
        "state": "ranked" if rank else "invalid",
        "trust": "recomputed" if rank else None,
        "measured_at": "2026-11-22T12:00:00Z",
        "name": "digits",
        "techniques": ["quantize"],
        "machine": "a CPU",
        "scores": scores if rank else [],
        "reasons": [] if rank else [{"rule": "R030", "path": "accuracy.x", "message": "found 1, expected 0"}],
        "more_reasons": 0 if rank else 2,
        "flags": [],
        **changes,
    }


def make_board() -> dict[str, Any]:
    """Three teams: two share the first rank, one is invalid."""
    submissions = [
        submission(1, "ada", shared=True, awaits_reproduction=True),
        submission(1, "grace", shared=True, trust="reproduced"),
        submission(None, "mallory"),
    ]
    states = dict.fromkeys(
        ("ranked", "inconclusive", "fail", "differs", "invalid", "unverified", "beyond_attempts", "copy"), 0
    )
    columns = [
        {"path": "comparisons.speed.speedup.estimate", "name": "speed-up", "unit": "ratio", "best": "highest"},
        {"path": "size.optimized.stored_bytes", "name": "stored size", "unit": "B", "best": "lowest"},
    ]
    return {
        "leaderboard_version": 1,
        "competition": {
            "name": "cup",
            "title": "Cup",
            "description": "Who is fastest?",
            "rules": "1" * 64,
            "columns": columns,
            "ties": "overlapping_intervals",
            "dates": {"opens": None, "closes": None},
            "division": {"kind": "open", "steps": []},
            "ladder": {"enabled": True, "confidence": 0.95},
            "verification": {"level": "recomputed", "reproduce_best": 3},
            "attempts": 20,
        },
        "counts": {
            "submissions": 3,
            "teams": 3,
            "flagged": 0,
            "states": {**states, "ranked": 2, "invalid": 1, "passed_over": 0},
            "trust": {"unverified": 0, "valid": 0, "recomputed": 1, "reproduced": 1},
        },
        "teams": [
            {"team": team, "handed_in": 1, "attempts": 1, "rank": rank}
            for team, rank in (("ada", 1), ("grace", 1), ("mallory", None))
        ],
        "submissions": submissions,
    }
