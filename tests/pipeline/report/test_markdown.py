"""The report as Markdown."""

from __future__ import annotations

import re
from typing import Any

from pipeline.report.markdown import render


def test_every_part_is_there(submission: dict[str, Any]) -> None:
    """In the order in which a reader asks."""
    titles = re.findall(r"^## (.*)$", render(submission), re.MULTILINE)
    assert titles == [
        "Verdicts",
        "Baseline and optimized",
        "Goals",
        "4 points tried",
        "Steps",
        "How the models ran",
        "Where the time goes",
        "Warnings",
        "Machine",
        "Noise",
        "Provenance",
    ]


def test_tables_are_regular(submission: dict[str, Any]) -> None:
    """Every row of a table has as many cells as its header."""
    for block in render(submission).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1


def test_hostile_text_stays_text(hostile: dict[str, Any]) -> None:
    """No tag, link, emphasis, heading or cell comes from the submission."""
    text = render(hostile)
    assert "<" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "**bold**" not in text
    assert not re.search(r"^# h", text, re.MULTILINE)
    assert len(re.findall(r"^#+ ", text, re.MULTILINE)) == 12
    test_tables_are_regular(hostile)


def test_a_paragraph_cannot_start_a_list_or_a_code_block(submission: dict[str, Any]) -> None:
    """What a line starts with has a meaning, too."""
    submission["experiment"]["description"] = "1. first"
    assert "\n1\\. first\n" in render(submission)
    submission["experiment"]["description"] = "- item"
    assert "\n\\- item\n" in render(submission)


def test_only_quantities_that_were_counted_have_a_row(submission: dict[str, Any]) -> None:
    """A machine without counters gives no empty rows, but the reasons are listed; energy has one when it is there."""
    text = render(submission)
    assert "| clock | 3.40 GHz | 3.40 GHz | same |" in text
    assert "| energy per query |" not in text
    assert "– energy per query: /sys/class/powercap: No such file or directory" in text
    for side, joules in (("baseline", 0.004), ("optimized", 0.002)):
        arm = submission["benchmark"]["comparisons"][0]["arms"][side]
        arm["quantities"]["energy_j"] = joules
        del arm["quantity_reasons"]["energy_j"]
    text = render(submission)
    assert "| energy per query | 4.00 mJ | 2.00 mJ | 2.00x less |" in text
    assert "– energy per query" not in text


def test_the_courses_format_is_rendered(course: dict[str, Any]) -> None:
    """Marked as unverified."""
    text = render(course)
    assert "unverified" in text
    assert "## Verdicts" not in text
