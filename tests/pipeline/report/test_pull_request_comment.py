"""The comment on a pull request: whatever strangers wrote, it is shown as text and does nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from pipeline.core.errors import Problem
from pipeline.report.pull_request import LONGEST, MARKER, code_block, code_span, comment
from pipeline.submission.competition.judge import Finding
from pipeline.submission.pull_request.changes import Proposal
from pipeline.submission.pull_request.check import Checked, Request
from pipeline.submission.pull_request.objects import Commits
from pipeline.submission.pull_request.place import Ranked

HOSTILE = [
    "<script>alert(1)</script>",
    "</code></pre><img src=x onerror=alert(1)>",
    "`<b>` ``<b>`` ```<b>```",
    "`",
    "``````",
    "~~~",
    "\\`<b>",
    "a|b\\|<b>|",
    "@octocat and @github/team",
    "[link](javascript:alert(1)) ![x](http://example.org/x.png)",
    "line\n\n# heading\n::error::boo\r\n<b>",
    "<!-- pipeline check-pr -->",
    "\u202eevil\x1b[31m\x00",
    "https://example.org #1 GH-1 deadbeef",
    "$$\\unicode{x}$$ $`x`$",
    "</details>\n\n</sub>",
    " ",
    "",
    "   ",
]
OURS = {"table", "thead", "tbody", "tr", "th", "td", "p", "h2", "h3", "code", "pre", "strong", "ul", "li", "sub"}


class Tags(HTMLParser):
    """Collects the tags of a page, and its texts outside of code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.outside = ""
        self._in_code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in_code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if not self._in_code:
            self.outside += data


def rendered(markdown: str) -> Tags:
    tags = Tags()
    tags.feed(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown))
    return tags


def comment_with(text: str, repeat: int = 1) -> str:
    """A comment with a stranger's text wherever there is room for one."""
    request = Request(Path(), Commits("a" * 40, "b" * 40, "a" * 40), "submissions", None, datetime.now(UTC), None)
    problem = Problem("E502", text, text, text, hint=text)
    finding = Finding("fail", text, "maximum", text, (0.0, 1.0), text, text, "properties")
    checked = Checked(text, text, "0" * 64, "refused", "valid", None, (finding,), (problem,) * repeat, ())
    place = Ranked(None, False, 0, "inconclusive", (text,), (text,))
    return comment(request, Proposal(text, (), (problem,) * repeat), [checked] * 10, {text: place})


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_text_stays_text(text: str) -> None:
    """No element, link, picture or mention comes of it, and it stands in code only."""
    found = rendered(comment_with(text))
    assert found.tags <= OURS
    assert "alert" not in found.outside
    assert "octocat" not in found.outside
    assert "<b>" not in found.outside


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_keeps_its_cells(text: str) -> None:
    """No text of a stranger begins a cell or ends a row."""
    html = MarkdownIt("gfm-like", {"linkify": False}).render(f"| a | b |\n| --- | --- |\n| {code_span(text)} | x |\n")
    assert html.count("<td>") == 2
    assert "<td>x</td>" in html


@pytest.mark.parametrize("text", [t for t in HOSTILE if "\n" not in t and t.isprintable() and t.strip()])
def test_a_code_span_shows_what_was_written(text: str) -> None:
    """But for a bar, which looks alike, and a space that nobody sees."""
    html = MarkdownIt().renderInline(code_span(text))
    shown = html.removeprefix("<code>").removesuffix("</code>").replace("&lt;", "<").replace("&gt;", ">")
    assert shown.replace("\u200b", "").replace("∣", "|") == text.strip()


def test_nobody_is_mentioned_by_an_answer_by_mail() -> None:
    """Which quotes code as plain text."""
    assert "@octocat" not in comment_with("@octocat")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_code_block_ends_where_it_ends(text: str) -> None:
    """The longest row of backticks in it is shorter than its fence."""
    html = MarkdownIt().render(f"{code_block(text, 1000)}\n\nafter\n")
    assert html.endswith("<p>after</p>\n")
    assert html.count("<pre>") == 1


def test_the_comment_can_be_found_again_and_is_not_too_long() -> None:
    """It begins with its marker, and however much is wrong, GitHub takes it."""
    text = comment_with("`" * 3000 + "x" * 3000, repeat=100)
    assert text.startswith(f"{MARKER}\n")
    assert text.count(MARKER) == 1
    assert len(text) <= LONGEST
