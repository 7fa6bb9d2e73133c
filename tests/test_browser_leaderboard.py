"""The leaderboard in real Chromium: without request or error, sorted, searched, in both schemes, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import SCHEMES, browser, opened
from tests.leaderboard_cases import make_board, submission

pytest.importorskip("jinja2")

from pipeline.report.leaderboard_html import render


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all tests."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a board with seven teams, one of which is invalid."""
    document = make_board()
    more = [
        submission(
            3 + i,
            name,
            scores=[{"value": value, "interval": [value - 0.2, value + 0.2]}, *submission(1, "")["scores"][1:]],
        )
        for i, (name, value) in enumerate((("barbara", 4.0), ("edsger", 12.5), ("frances", 3.0), ("john", 2.0)))
    ]
    document["submissions"] = [*document["submissions"][:2], *more, *document["submissions"][2:]]
    document["teams"] += [{"team": one["team"], "handed_in": 1, "attempts": 1, "rank": one["rank"]} for one in more]
    path = tmp_path_factory.mktemp("board") / "leaderboard.html"
    path.write_text(render(document), encoding="utf-8")
    return path


@pytest.mark.parametrize("screen", SCHEMES)
def test_the_board_fits_every_screen_without_a_word_or_a_request(chromium: Any, board: Path, screen: str) -> None:
    """In the scheme's colours; wide tables scroll within the page."""
    with opened(chromium, board, screen) as found:
        page = found.page
        page.wait_for_selector("th button")
        assert found.messages == []
        assert found.requests == []
        assert page.evaluate("document.documentElement.scrollWidth") == SCHEMES[screen][0]
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, back[4:-1].split(","))) > 600) == (screen != "dark")
        found.shoot(f"leaderboard-{screen}")


def teams(page: Any) -> list[str]:
    shown: list[str] = page.locator("table.ranked tbody tr:visible th").all_inner_texts()
    return [text.split("\n")[0] for text in shown]


def test_columns_are_sorted_by_figures_with_the_keyboard(chromium: Any, board: Path) -> None:
    """12.5 comes after 5, and the header says how it is sorted."""
    with opened(chromium, board) as found:
        page = found.page
        head = page.locator("table.ranked thead th").nth(2)
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        assert teams(page) == ["john", "frances", "barbara", "ada", "grace", "edsger"]
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert teams(page)[0] == "edsger"


def test_a_team_is_found_by_a_part_of_its_name(chromium: Any, board: Path) -> None:
    """The others are hidden, and the count is told."""
    with opened(chromium, board) as found:
        page = found.page
        page.get_by_label("Find a team").fill("ra")
        assert set(teams(page)) == {"barbara", "grace", "frances"}
        assert "3 found" in page.locator(".search output").inner_text()
