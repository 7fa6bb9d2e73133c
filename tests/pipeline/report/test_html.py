"""The report as a page: self-contained, well-formed, escaped, with charts inside their frames."""

from __future__ import annotations

import copy
import math
import re
import sys
from html.parser import HTMLParser
from typing import Any

import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.report.chart import forest, scatter
from pipeline.report.html import render

VOID = {"meta", "line", "rect", "circle", "img", "br"}


class Page(HTMLParser):
    """Collects tags and attributes, and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.data: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def test_the_page_is_well_formed_and_needs_nothing_else(submission: dict[str, Any]) -> None:
    """No script, and nothing that is fetched."""
    page = Page(render(submission))
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert not {"src", "href", "srcset", "action", "data"} & {name for name, _ in page.attributes}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in render(submission)


def test_hostile_text_adds_no_tag_and_no_attribute(submission: dict[str, Any], hostile: dict[str, Any]) -> None:
    """The page has the same tags and attributes as with harmless text."""
    harmless, attacked = Page(render(submission)), Page(render(hostile))
    assert attacked.tags == harmless.tags
    assert [name for name, _ in attacked.attributes] == [name for name, _ in harmless.attributes]
    assert any("<script>alert(1)</script>" in text for text in attacked.data)
    assert "\x1b" not in render(hostile)


def test_what_the_text_reports_say_is_on_the_page(submission: dict[str, Any]) -> None:
    """Verdicts, intervals, goals, points, steps, layers, provenance."""
    text = " ".join("".join(Page(render(submission)).data).split())
    for part in (
        "1.92x [1.90, 1.94]",
        "no significant change",
        "accuracy drops by at most 3.00 points",
        "sparsity=0.9 bits=4",
        "structured_prune",
        "fc_out",
        "– latency, p99: needs 662 samples, has 500",
        submission["provenance"]["weights"]["optimized"],
    ):
        assert part in text


def test_light_and_dark_are_both_styled(submission: dict[str, Any]) -> None:
    """Every colour variable of one scheme exists in the other."""
    schemes = re.findall(r":root \{(.*?)\}", render(submission), re.DOTALL)
    light, dark = (set(re.findall(r"(--[\w-]+):", scheme)) for scheme in schemes)
    assert light == dark


def test_five_hundred_points_stay_small(submission: dict[str, Any]) -> None:
    """Below 1.5 MB, with at most 60 rows in the chart of intervals."""
    point = submission["selection"]["points"][0]
    many = [{**copy.deepcopy(point), "index": i, "label": f"point {i}"} for i in range(500)]
    submission["selection"] |= {"points": many, "chosen": 499}
    text = render(submission)
    assert len(text.encode()) < 1_500_000
    assert "439 more points are in the table" in text


def test_without_jinja2_the_message_names_the_installation(
    submission: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that can be pasted."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(EnvironmentProblem, match="jinja2") as caught:
        render(submission)
    assert "pip install" in caught.value.hint
    assert "[report]" in caught.value.hint


def test_the_courses_format_is_rendered(course: dict[str, Any]) -> None:
    """Without charts, marked as unverified."""
    page = Page(render(course))
    assert "svg" not in page.tags
    assert "unverified" in "".join(page.data)


EXTREMES = [
    {"accuracy": 0.5, "interval": [0.5, 0.5], "size_bytes": 1, "speedup": 1.0, "speedup_interval": [1.0, 1.0]},
    {
        "accuracy": 0.0,
        "interval": [-9e99, 9e99],
        "size_bytes": 10**17,
        "speedup": 1e300,
        "speedup_interval": [0.0, 1e308],
    },
    {"accuracy": 1.0, "interval": [1.0, 0.0], "size_bytes": 7, "speedup": 1e-300, "speedup_interval": [-5.0, 1e-300]},
]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_charts_stay_inside_their_frames_whatever_the_figures(count: int) -> None:
    """Coordinates are finite and ticks are few."""
    points = [(numbers, "other", "p") for numbers in EXTREMES[:count]]
    chart = scatter("stored size", "size_bytes", "B", points)
    for mark in chart.marks:
        assert all(0 <= x <= chart.width for x in (mark.x, mark.left, mark.right))
        assert all(math.isfinite(y) and 0 <= y <= chart.height for y in (mark.y, mark.low, mark.high))
    rows = forest(points)
    assert all(0 <= x <= rows.width for row in rows.rows for x in (row.x, row.low, row.high))
    assert max(len(chart.x_ticks), len(chart.y_ticks), len(rows.ticks)) <= 12


def test_ticks_are_round(submission: dict[str, Any]) -> None:
    """Powers of two for bytes, tens for shares."""
    points = [
        (
            {
                "accuracy": p["accuracy"]["test"]["accuracy"],
                "interval": p["accuracy"]["test"]["interval"],
                "size_bytes": s,
            },
            "other",
            "p",
        )
        for p, s in zip(submission["selection"]["points"], (9_216, 40_960, 102_400, 401_000), strict=True)
    ]
    chart = scatter("stored size", "size_bytes", "B", points)
    assert [tick.text for tick in chart.x_ticks] == ["8 KiB", "32 KiB", "128 KiB"]
    assert [tick.text for tick in chart.y_ticks] == ["85 %", "90 %", "95 %"]
