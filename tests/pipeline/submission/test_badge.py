"""How levels of trust are shown."""

from __future__ import annotations

import pytest

from pipeline.submission.badge import BADGES, LEVELS, badge_style, html_badge, is_enough, markdown_badge


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("level", LEVELS)
def test_badges_can_be_read(level: str) -> None:
    """Text and ground have a contrast of 4.5 in both colour schemes."""
    for colours in (BADGES[level].light, BADGES[level].dark):
        dark, light = sorted(map(_luminance, colours))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("level", LEVELS)
def test_a_badge_says_its_level_in_words(level: str) -> None:
    """Neither colour nor sign is needed to know it; the meaning is one sentence."""
    assert level in markdown_badge(level)
    assert html_badge(level).endswith(f" {level}</span>")
    assert f".trust.{level} " in badge_style()
    assert BADGES[level].meaning.endswith(".")


def test_levels_are_ordered() -> None:
    """A higher one is enough wherever a lower one is."""
    assert LEVELS == ("unverified", "valid", "recomputed", "reproduced")
    assert is_enough("reproduced", "valid")
    assert not is_enough("unverified", "valid")
