"""The leaderboard in real Chromium: without a request, sorted and searched by its one script, in both schemes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.leaderboard_html import render
from tests.browser import SCHEMES, browser, opened
from tests.leaderboard_cases import make_board, submission

TEAMS = ("ada", "Zoë", "grace", "team 10", "team 9")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all tests."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five ranked teams, and one that is not."""
    board = make_board()
    rows = []
    for i, team in enumerate(TEAMS):
        scores = [{"value": 9.0 - i, "interval": [8.5 - i, 9.5 - i]}, {"value": 100.0 + i, "interval": [100.0 + i] * 2}]
        rows.append(submission(i + 1, team, scores=scores))
    board["submissions"] = [*rows, submission(None, "mallory")]
    board["teams"] = [
        {"team": one["team"], "handed_in": 1, "attempts": 12 - i, "rank": one["rank"]}
        for i, one in enumerate(board["submissions"])
    ]
    path = tmp_path_factory.mktemp("browser") / "leaderboard.html"
    path.write_text(render(board), encoding="utf-8")
    return path


def teams(found: Any) -> list[str]:
    rows = found.page.locator("table.ranked > tbody > tr:visible > th")
    return [rows.nth(i).evaluate("head => head.firstChild.textContent.trim()") for i in range(rows.count())]


@pytest.mark.parametrize("screen", SCHEMES)
def test_the_page_is_whole_without_a_word_or_a_request(chromium: Any, page: Path, screen: str) -> None:
    """And never wider than the screen: tables scroll."""
    with opened(chromium, page, screen) as found:
        assert (found.messages, found.requests) == ([], [])
        assert teams(found) == list(TEAMS)
        assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found.shoot(f"leaderboard-{screen}")


def test_heads_sort_up_and_down(chromium: Any, page: Path) -> None:
    """Texts as people count, numbers as numbers; screen readers are told."""
    with opened(chromium, page) as found:
        head = found.page.locator("table.ranked th", has_text="team").first
        head.locator("button").click()
        assert teams(found) == ["ada", "grace", "team 9", "team 10", "Zoë"]
        assert head.get_attribute("aria-sort") == "ascending"
        head.locator("button").click()
        assert teams(found) == ["Zoë", "team 10", "team 9", "grace", "ada"]
        tries = found.page.locator("table.ranked th", has_text="tries")
        tries.locator("button").press("Enter")
        assert teams(found) == ["team 9", "team 10", "grace", "Zoë", "ada"]
        assert head.get_attribute("aria-sort") is None


def test_a_team_is_found_in_all_tables(chromium: Any, page: Path) -> None:
    """Whatever the case of its letters; how many are left is told."""
    with opened(chromium, page) as found:
        found.page.get_by_label("Find a team").fill("TEAM")
        assert teams(found) == ["team 10", "team 9"]
        assert found.page.locator("output").inner_text() == "2 found"
        found.page.get_by_label("Find a team").fill("mallory")
        assert teams(found) == []
        assert found.page.get_by_text("found 1, expected 0").is_visible()


def test_without_scripts_all_is_there(chromium: Any, page: Path) -> None:
    """But for what only a script could do."""
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.resolve().as_uri())
    assert tab.locator("table.ranked > tbody > tr").count() == len(TEAMS)
    assert not tab.get_by_label("Find a team").is_visible()
    context.close()
