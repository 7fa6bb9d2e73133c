"""A comparison of frameworks for people: the same words everywhere, hostile texts shown as they are."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.report.frameworks import make_frameworks_view
from pipeline.report.frameworks_charts import ratios, roofline
from pipeline.report.frameworks_html import render_html
from pipeline.report.frameworks_text import render_markdown, render_terminal
from pipeline.report.text import cells_of
from tests.compared import document, row

HOSTILE = '<script>alert(1)</script>|`x`\x1b[31m"'


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """One faster, one slower, one without a peer."""
    return document(row(2.0), row(0.5), row(None))


def test_it_says_how_many_are_faster_and_which_stand_out(found: dict[str, Any]) -> None:
    """And what bounds each side."""
    view = make_frameworks_view(found)
    assert view.sentences[0] == "tinytorch against PyTorch 2.0 at 2 pieces of work: faster 1, slower 1"
    assert view.sentences[1].startswith("furthest ahead: linear 512x512 0, 2.0")
    assert view.sentences[2].startswith("furthest behind: linear 512x512 1, 0.5")
    assert view.sentences[3:] == ("tinytorch is bound by: overhead 3", "PyTorch is bound by: memory 1, overhead 1")
    assert any("torch is not installed" in note for note in view.notes)


def test_nothing_compared_is_said_so() -> None:
    """Without PyTorch the times of ours stand alone."""
    alone = document(row(None), torch=None)
    view = make_frameworks_view(alone)
    assert view.sentences == ("nothing was compared: PyTorch is not installed; the times of tinytorch stand alone",)
    assert "not installed" in render_markdown(alone)
    assert "PyTorch's time over ours</h2>" not in render_html(alone)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_a_terminal_of_any_width_shows_verdicts(found: dict[str, Any], width: int) -> None:
    """Lines keep the width, but for single long words."""
    text = render_terminal(found, width=width)
    assert {"faster", "slower"} <= set(re.findall(r"\w+", text))
    assert all(cells_of(line) <= width or len(line.split()) <= 2 for line in text.splitlines())


def test_rates_are_told_of_training_and_decoding() -> None:
    """Samples and tokens a second."""
    cases = [{"op": "train_mlp", "args": {"batch_size": 32}}, {"op": "decode", "args": {}}]
    rates = [each.rate for each in make_frameworks_view(document(row(2.0), row(2.0), cases=cases)).rows]
    assert rates[0].endswith("samples/s")
    assert rates[1].endswith("tokens/s")
    assert float(rates[0].split()[0].replace(",", "")) == pytest.approx(32 / 50e-6, rel=0.01)


def test_hostile_texts_are_shown_as_they_are() -> None:
    """In every layout, and nothing in the page can load or run."""
    hostile = document(row(2.0), title=HOSTILE, name=HOSTILE, description=HOSTILE)
    page = render_html(hostile)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "\x1b" not in page + render_markdown(hostile) + render_terminal(hostile)
    assert "<script>" not in render_markdown(hostile)


def test_charts_are_well_formed_and_still(found: dict[str, Any]) -> None:
    """XML by itself, the same bytes each time; one mark for each piece of work that was compared."""
    view = make_frameworks_view(found)
    drawn = ratios(view.rows), roofline(view.rows, view.peaks)
    assert drawn == (ratios(view.rows), roofline(view.rows, view.peaks))
    first, second = (ElementTree.fromstring(svg) for svg in drawn)
    assert len(first.findall("circle")) == 2
    assert len(second.findall("circle")) == 5


def test_a_chart_copes_with_extremes() -> None:
    """One row, ratios of a million, and intervals without width."""
    broken = row(2.0)
    broken["ratio"] |= {"estimate": 1e300, "interval": [1e300, 1e300], "per_process": [1e300] * 3}
    view = make_frameworks_view(document(broken))
    assert ElementTree.fromstring(ratios(view.rows)) is not None
    assert "NaN" not in ratios(view.rows)
