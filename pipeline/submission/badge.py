"""The levels of trust in a submission, least first, and how each is shown: one table for terminals, pages and comments.

A badge says its level in words; colour and sign only repeat it. Which level a submission has is `trust`'s question.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BADGES", "Badge", "LEVELS", "badge_style", "html_badge", "is_enough", "markdown_badge"]


class Badge(NamedTuple):
    """How a level is shown: its name, one sentence, a sign that fills up, and (text, ground) colours by scheme.

    The colours have a contrast of at least 4.5 : 1 (WCAG 2.2, 1.4.3), and are told apart by the colour-blind.
    """

    level: str
    meaning: str
    sign: str
    light: tuple[str, str]
    dark: tuple[str, str]


BADGES: dict[str, Badge] = {
    badge.level: badge
    for badge in (
        Badge(
            "unverified",
            "Of the course's first format, or migrated from it: there is nothing to check its figures against.",
            "○",
            ("#5d666f", "#eceef0"),
            ("#9aa4ad", "#20252a"),
        ),
        Badge(
            "valid",
            "It has the form that its schema asks for; no evidence lay beside it to compute its figures from.",
            "◔",
            ("#8a5a00", "#fbf0da"),
            ("#f0bd5e", "#3d2e0e"),
        ),
        Badge(
            "recomputed",
            "The submitted times, accuracies and verdicts were computed again from the evidence beside it, and agree.",
            "◑",
            ("#0b5cad", "#e2eefb"),
            ("#6cb0ff", "#12304f"),
        ),
        Badge(
            "reproduced",
            "It was built again from its experiment: same weights and answers, and a speed-up that agrees.",
            "●",
            ("#14713d", "#e3f3e9"),
            ("#6fd19a", "#143524"),
        ),
    )
}
LEVELS = tuple(BADGES)


def is_enough(level: str, wanted: str) -> bool:
    """Return whether a level is the wanted one or a higher one; raises ValueError for a name that is no level."""
    return LEVELS.index(level) >= LEVELS.index(wanted)


def markdown_badge(level: str) -> str:
    """Return the badge as Markdown that needs no picture; raises KeyError for a name that is no level."""
    return f"{BADGES[level].sign} **{level}**"


def html_badge(level: str) -> str:
    """Return the badge as an element of the class `trust`, its meaning in a tooltip; raises KeyError for no level."""
    badge = BADGES[level]
    sign = f'<span aria-hidden="true">{badge.sign}</span>'
    return f'<span class="trust {level}" title="{badge.meaning}">{sign} {level}</span>'


def badge_style() -> str:
    """Return the style sheet of `html_badge`, for both colour schemes."""
    shape = ".trust { padding: .05rem .5rem; border-radius: 99px; font-size: .8rem; font-weight: 600; }"
    light = [f".trust.{b.level} {{ color: {b.light[0]}; background: {b.light[1]}; }}" for b in BADGES.values()]
    dark = [f"  .trust.{b.level} {{ color: {b.dark[0]}; background: {b.dark[1]}; }}" for b in BADGES.values()]
    return "\n".join([shape, *light, "@media (prefers-color-scheme: dark) {", *dark, "}", ""])
