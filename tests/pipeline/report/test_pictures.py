"""Charts as specifications and as pictures, drawn without a browser."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.report.charts import CHARTS, drawable
from pipeline.report.charts.scales import powers_of_two, round_values
from pipeline.report.material import make_material
from pipeline.report.palette import PALETTES, painted
from pipeline.report.vega import chart_specs, picture

alt = pytest.importorskip("altair")
pytest.importorskip("vl_convert")


ABLATION = json.loads((Path(__file__).parent / "ablation.json").read_text(encoding="utf-8"))


def test_every_specification_is_valid_by_vega_lites_schema(submission: dict[str, Any]) -> None:
    """A run does not validate them, this test does."""
    for name, spec in chart_specs(make_material(submission, None, ablation=ABLATION)).items():
        data = {
            key: [] for key in ("points", "axes", "latency", "ratios", "steps", "layers", "maps", "epochs", "gains")
        }
        made = alt.LayerChart if "layer" in spec else alt.Chart
        made.from_dict({**painted(spec, PALETTES["light"]), "datasets": data}, validate=True)
        assert spec["width"] == "container", name
        assert "datasets" not in spec, name  # a chart with data of its own would lose it to the page's tables


def test_a_chart_is_there_for_what_there_is_to_draw(submission: dict[str, Any]) -> None:
    """One point has no front; what was not kept has no curve."""
    assert not {"latency", "loss", "learning", "step_accuracy"} & drawable(make_material(submission, None)).keys()
    submission["selection"]["points"] = [
        point for point in submission["selection"]["points"] if point["index"] == submission["selection"]["chosen"]
    ]
    found = drawable(make_material(submission, None)).keys()
    assert "sweep" not in found
    assert {"processes", "step_size"} <= found <= CHARTS.keys()


def test_a_name_stands_where_it_covers_no_other_point() -> None:
    """Above its point, or beside it where another point lies above."""
    places = [("submitted", 10.0, 0.9), ("other", 10.0, 0.903), ("baseline", 1000.0, 0.95)]
    rows = [{"kind": kind, "size": size, "acc": acc, "front": False} for kind, size, acc in places]
    sides = {}
    for layer in CHARTS["by_size"].draw(rows, 400)["layer"]:
        if layer["mark"]["type"] == "text":
            sides[str(layer["transform"][0]["filter"])] = layer["mark"].get("align", "center")
    assert [next(side for told, side in sides.items() if kind in told) for kind in ("submitted", "baseline")] == [
        "left",
        "center",
    ]


@pytest.mark.parametrize("scheme", PALETTES)
def test_a_picture_has_the_colours_of_its_scheme_and_every_title(submission: dict[str, Any], scheme: str) -> None:
    """As an SVG document that is well-formed and asks for nothing."""
    material = make_material(submission, None)
    text = picture(material, "svg", "A & B", scheme).decode()
    ElementTree.fromstring(text)
    assert PALETTES[scheme]["@optimized"] in text
    assert not re.findall(r'"@\w+"', text)
    assert not re.search(r"href=|url\((?!#clip)", text)
    for name in drawable(material):
        assert CHARTS[name].title in text
    assert "A &amp; B" in text


def test_texts_that_no_picture_can_hold_are_replaced(submission: dict[str, Any], hostile: dict[str, Any]) -> None:
    """They would end the process that draws, not only the drawing."""
    for document in (hostile, copy.deepcopy(submission)):
        for i, point in enumerate(document["selection"]["points"]):
            point["label"] += f"\x00\x1b\ud800\ufffe\uffff{i}</text><script>"
            point["point"] = {f"a\x07\uffff{i}": "\x00\uffff"}
        document["effects"][0]["layers"][0]["name"] = "\x00\uffff<b>"
        text = picture(make_material(document, None), "svg", "\x00\uffff<script>").decode()
        ElementTree.fromstring(text)
        assert "<script" not in text


def test_extreme_figures_can_be_drawn(submission: dict[str, Any]) -> None:
    """Whatever a valid submission holds."""
    for point, size in zip(submission["selection"]["points"], (1, 10**17, 5, 7), strict=True):
        point["stored_bytes"] = size
        point["speedup"] = {"estimate": 1e300 if size > 5 else 5e-324, "interval": [-1e308, 1e308]}
    ElementTree.fromstring(picture(make_material(submission, None), "svg", "x"))


def test_ticks_are_round_and_few() -> None:
    """Powers of two for bytes; ones, twos and fives, or powers of ten."""
    assert powers_of_two(6_000, 400_000) == [8192, 32768, 131072]
    assert round_values(900, 4_000) == [1000, 2000]
    assert round_values(900, 4_000_000, 4) == [1000, 10_000, 100_000, 1_000_000]
    assert len(round_values(1e-9, 1e18)) <= 6


def test_what_stands_for_a_colour_is_replaced_wherever_it_stands() -> None:
    """And nothing else."""
    assert painted({"a": ["@ink", "ink", 1], "b": {"c": "@soft"}}, {"@ink": "#000", "@soft": "#111"}) == {
        "a": ["#000", "ink", 1],
        "b": {"c": "#111"},
    }


def test_specifications_do_not_depend_on_what_was_drawn_before(submission: dict[str, Any]) -> None:
    """Names that altair counts up would change the bytes of a page."""
    material = make_material(submission, None)
    assert json.dumps(chart_specs(material)) == json.dumps(chart_specs(material))
