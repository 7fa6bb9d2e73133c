"""Entries of made-up submissions, and a competition that ranks them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.submission.competition.terms import Competition, competition_from
from pipeline.submission.evidence import Evidence
from pipeline.submission.leaderboard.entry import Entry, entry_of
from tests.submission_variants import Variant, cup, made_up_template, vary

Template = tuple[dict[str, Any], Evidence]
NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="session")
def template() -> Template:
    """A submission of one point with its evidence."""
    return made_up_template()


@pytest.fixture
def competition(template: Template) -> Competition:
    """One that the template passes, ranked by speed."""
    return competition_from(cup(template[0]), "cup.schema.json")


@pytest.fixture
def make(template: Template, competition: Competition) -> Callable[..., Entry]:
    """Return the entry of a variant; every keyword is one of `Variant`."""

    def made(seed: int, **how: Any) -> Entry:
        return entry_of(competition, *vary(*template, Variant(seed, **how)), NOW)

    return made
