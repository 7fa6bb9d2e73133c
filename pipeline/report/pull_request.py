"""How a pull request stands, as a comment in Markdown for it.

What strangers wrote stands in code spans and code blocks only, where Markdown and HTML mean nothing, nobody is
mentioned and nothing is linked; every other word is ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.errors import Problem, render_problems
from pipeline.report.text import printable
from pipeline.submission.badge import BADGES, markdown_badge
from pipeline.submission.competition.judge import CHANGED_RULES, Finding
from pipeline.submission.competition.limits import RULES
from pipeline.submission.pull_request.changes import Proposal
from pipeline.submission.pull_request.check import Checked, Request, outcome_of
from pipeline.submission.pull_request.place import Ranked

__all__ = ["LONGEST", "MARKER", "OUTCOMES", "code_block", "code_span", "comment", "is_told"]

MARKER = "<!-- pipeline check-pr -->"  # by which a later comment replaces this one
LONGEST = 60_000  # characters; GitHub takes 65,536
_LONGEST_SPAN = 200
_WIDTH = 110
# outcome -> its sign and what it means
OUTCOMES: Mapping[str, tuple[str, str]] = {
    "refused": ("❌", "something has to change before it can be merged"),
    "misses limits": ("❌", "it is in order, but misses limits of the competition"),
    "undecided": ("⚠️", "it is in order, but not every limit is shown to be kept, so that it would not be ranked"),
    "accepted": ("✅", "it is in order and keeps every limit"),
}
_SIGNS = {"pass": "✅ pass", "fail": "❌ fail", "inconclusive": "⚠️ inconclusive"}


def comment(request: Request, proposal: Proposal, found: Sequence[Checked], places: Mapping[str, Ranked]) -> str:
    """Return the comment, ending with a line break, at most LONGEST characters; `places` is path -> its place."""
    outcome = outcome_of(proposal, found)
    sign, meaning = OUTCOMES[outcome]
    room = LONGEST // 2 // (len(found) + 1)
    blocks = [
        MARKER,
        f"## {sign} Submission check: {outcome}",
        _summary(request, proposal, found, meaning),
        "\n".join(_table(found, places)),
        *(_problems("What is wrong with the pull request", proposal.problems, room),),
        *(block for checked in found for block in _submission(checked, places.get(checked.path), room)),
        "\n".join(f"- {step}" for step in _next_steps(outcome, found)),
        _footer(request, found),
    ]
    text = "\n\n".join(block for block in blocks if block) + "\n"
    return text if len(text) <= LONGEST else f"{text[:1000].rpartition(chr(10))[0]}\n\nThe rest is too long to show.\n"


def _next_steps(outcome: str, found: Sequence[Checked]) -> list[str]:
    """Return what the participant may do now."""
    steps = []
    if outcome == "refused":
        steps.append("correct it, commit and push: this comment is written anew")
    if outcome == "undecided" and any(checked.trust == "valid" for checked in found):
        steps.append(
            "put the run's `evidence.safetensors` beside `submission.json`: nothing else can be computed again"
        )
    elif outcome == "undecided":
        steps.append("measure longer (`benchmark.budget_s`), or on a quieter machine, and replace the submission")
    again = "see the same on your machine: `pipeline check-pr --base origin/main`"
    return steps if outcome == "accepted" else [*steps, again]


def is_told(finding: Finding) -> bool:
    """Tell whether a limit is shown: a number of the competition's, other rules than today's, or what is not kept."""
    return finding.status != "pass" or finding.origin in ("properties", CHANGED_RULES)


def code_span(text: str) -> str:
    """Return a text of a stranger as a code span of one line, which may stand in a table, too.

    The bar is replaced by one that ends no cell; an invisible space after @ keeps answers by mail from mentioning.
    """
    shown = printable(text).replace("|", "∣").replace("@", "@\u200b").strip() or " "
    shown = shown if len(shown) <= _LONGEST_SPAN else f"{shown[: _LONGEST_SPAN - 1]}…"
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    inner = f" {shown} " if "`" in (shown[0], shown[-1]) else shown
    return f"{fence}{inner}{fence}"


def code_block(text: str, room: int) -> str:
    """Return lines as a code block of at most `room` characters, whatever they hold."""
    lines = [printable(line).replace("@", "@\u200b") for line in text.split("\n")]
    shown = "\n".join(lines)
    if len(shown) > room:
        shown = f"{shown[:room].rpartition(chr(10))[0]}\n..."
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def _summary(request: Request, proposal: Proposal, found: Sequence[Checked], meaning: str) -> str:
    count = len(proposal.entries)
    handed = f"{count} submission{'' if count == 1 else 's'}"
    team = f"Team {code_span(proposal.team)} hands" if proposal.team else "It hands"
    names = {each.competition.name: each.competition.digest for each in found if each.competition}
    rules = ", ".join(f"{code_span(name)} (rules {code_span(digest[:12])})" for name, digest in names.items())
    return f"{team} in {handed}{f' for {rules}' if rules else ''}: {meaning}."


def _table(found: Sequence[Checked], places: Mapping[str, Ranked]) -> Iterator[str]:
    if found:
        yield "| submission | outcome | trust | would rank |"
        yield "| --- | --- | --- | --- |"
        for checked in found:
            trust = markdown_badge(checked.trust) if checked.trust else "–"
            place = places[checked.path].text if checked.path in places else "–"
            yield f"| {code_span(checked.path)} | **{checked.outcome}** | {trust} | {place} |"


def _submission(checked: Checked, place: Ranked | None, room: int) -> Iterator[str]:
    """Yield the parts about one submission, under its path."""
    yield f"### {code_span(checked.path)}"
    yield "\n".join(_limits(checked))
    yield _problems("What is wrong with it", checked.problems, room)
    yield "\n".join(f"- {note}" for note in checked.notes)
    if place is not None:
        yield "\n".join(f"- not ranked: {code_span(why)}" for why in place.why if place.rank is None)
        yield "\n".join(f"- like another team's: {code_span(likeness)}" for likeness in place.likeness)


def _limits(checked: Checked) -> Iterator[str]:
    shown = [finding for finding in checked.findings if is_told(finding)]
    if shown:
        yield "| limit | found | expected | | why |"
        yield "| --- | --- | --- | --- | --- |"
    for each in shown:
        between = f" [{each.interval[0]:.6g}, {each.interval[1]:.6g}]" if each.interval else ""
        cells = each.path, f"{_figure(each.found)}{between}", f"{RULES[each.rule]} {_figure(each.expected)}"
        yield f"| {' | '.join(map(code_span, cells))} | {_SIGNS[each.status]} | {code_span(each.reason)} |"
    if kept := len(checked.findings) - len(shown):
        yield f"\n{kept} other terms of the competition are kept."


def _problems(title: str, problems: Sequence[Problem], room: int) -> str:
    if not problems:
        return ""
    return f"**{title}**\n\n{code_block(render_problems(problems, _WIDTH), room)}"


def _footer(request: Request, found: Sequence[Checked]) -> str:
    levels = dict.fromkeys(checked.trust for checked in found if checked.trust)
    meanings = " ".join(f"{markdown_badge(level)}: {BADGES[level].meaning}" for level in levels)
    commits = request.commits
    checked = (
        f"Checked {commits.head[:12]} against {commits.base[:12]}, with the base's competitions and tool. Nothing of "
        "the pull request was executed."
    )
    return f"<sub>{meanings} {checked}</sub>".replace("<sub> ", "<sub>")


def _figure(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_figure, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
