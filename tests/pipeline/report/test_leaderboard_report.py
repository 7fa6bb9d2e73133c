"""The leaderboard as Markdown, HTML, CSV and JSON: complete, escaped, and the same bytes each time."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from pipeline.report import leaderboard_html, leaderboard_markdown
from pipeline.report.leaderboard import board_csv, board_json, make_board_view
from tests.leaderboard_cases import make_board

HOSTILE = '"><script>alert(1)</script>|@all `x` [y](http://z) \x1b[2J'


@pytest.fixture
def board() -> dict[str, Any]:
    """Three teams: two share the first rank, one is invalid."""
    return make_board()


def test_ranks_ties_and_trust_are_shown(board: dict[str, Any]) -> None:
    """With `=` for who shares one and `*` for who is still to be run again."""
    text = leaderboard_markdown.render(board)
    assert "| 1=\\* | ada | 5.00x [4.50, 5.50] | 19.5 KiB | ◑ **recomputed** | 1 of 20 |" in text
    assert "| 1= | grace | 5.00x [4.50, 5.50] | 19.5 KiB | ● **reproduced** | 1 of 20 |" in text


def test_what_is_not_ranked_is_shown_with_rule_and_reason(board: dict[str, Any]) -> None:
    """And how many more reasons there are."""
    text = leaderboard_markdown.render(board)
    assert "R030: accuracy.x: found 1, expected 0 (and 2 more)" in text
    assert "R030: accuracy.x: found 1, expected 0 (and 2 more)" in leaderboard_html.render(board)


def test_the_rules_are_told(board: dict[str, Any]) -> None:
    """Ties, the ladder, the limit, the level of trust, and the digest of all of them."""
    rules = " ".join(make_board_view(board).rules)
    for word in ("speed-up, highest first", "overlap", "Ladder", "20 submissions", "recomputed", "same baseline"):
        assert word in rules
    assert "1" * 64 in leaderboard_markdown.render(board)


RENDER: list[Callable[[dict[str, Any]], str]] = [
    leaderboard_markdown.render,
    leaderboard_html.render,
    board_csv,
    board_json,
]


@pytest.mark.parametrize("render", RENDER)
def test_the_same_board_gives_the_same_bytes(board: dict[str, Any], render: Callable[[dict[str, Any]], str]) -> None:
    """There is no clock and no order of chance in them."""
    assert render(board) == render(copy.deepcopy(board))
    assert render(board).endswith("\n") or render is leaderboard_html.render


def hostile(board: dict[str, Any]) -> dict[str, Any]:
    for one in board["submissions"]:
        one |= {"name": HOSTILE, "machine": HOSTILE, "techniques": [HOSTILE], "path": HOSTILE}
        one["reasons"] = [{"rule": HOSTILE, "path": HOSTILE, "message": HOSTILE}]
        one["flags"] = [{"kind": "weights", "team": HOSTILE, "path": HOSTILE, "share": 1.0, "text": HOSTILE}]
    return board


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)


def test_hostile_texts_stay_texts_in_html(board: dict[str, Any]) -> None:
    """The page has one script, ours."""
    tags = _Tags()
    tags.feed(leaderboard_html.render(hostile(board)))
    assert tags.found.count("script") == 1
    assert "\x1b" not in leaderboard_html.render(board)


def test_hostile_texts_stay_texts_in_markdown(board: dict[str, Any]) -> None:
    """No tag, no link, nobody mentioned, no cell divided."""
    text = leaderboard_markdown.render(hostile(board))
    assert not re.search(r"<script|(?<!\\)\]\(|@all", text)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {4, 7, 8}


def test_hostile_texts_are_no_formulas_in_csv(board: dict[str, Any]) -> None:
    """A spreadsheet computes what begins with =, +, - or @."""
    board["submissions"][0]["name"] = '=HYPERLINK("http://x")'
    rows = list(csv.DictReader(io.StringIO(board_csv(board))))
    assert rows[0]["name"] == '\'=HYPERLINK("http://x")'
    assert [row["rank"] for row in rows] == ["1", "1", ""]


def test_csv_has_the_figures_in_full(board: dict[str, Any]) -> None:
    """Each with its bounds."""
    row = next(csv.DictReader(io.StringIO(board_csv(board))))
    assert [row[name] for name in ("speed-up", "speed-up low", "speed-up high")] == ["5.0", "4.5", "5.5"]


def test_the_page_asks_for_nothing(board: dict[str, Any]) -> None:
    """Its policy allows no request, and its own script only."""
    page = leaderboard_html.render(board)
    assert "default-src 'none'" in page
    assert re.search(r"script-src 'sha256-[\w+/=]{44}'", page)
    assert not re.search(r"""(?:src|href)=["'](?!#)""", page)


def test_json_is_the_document(board: dict[str, Any]) -> None:
    """For other programs."""
    assert json.loads(board_json(board)) == board


def test_nobody_is_ranked_yet(board: dict[str, Any]) -> None:
    """That is said, in each form."""
    board["submissions"] = board["submissions"][2:]
    assert "Nobody is ranked yet" in leaderboard_markdown.render(board)
    assert "Nobody is ranked yet" in leaderboard_html.render(board)
