"""The gallery: its pictures are there, small, drawn by the tool, and of experiments that are shipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.report.charts import CHARTS
from tests.project import ROOT, Project
from tests.tools.gallery import FOLDER, LEFT_OUT, PAGE, Picture, experiments, pictures, redrawn

TEXT = PAGE.read_text(encoding="utf-8")
PICTURES = pictures(TEXT)
_LARGEST = 100_000


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.file)
def test_a_picture_is_small_and_asks_for_nothing(picture: Picture) -> None:
    """An SVG without scripts, and without anything from elsewhere."""
    svg = (FOLDER / picture.file).read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert len(svg) < _LARGEST
    assert picture.chart in CHARTS
    assert not re.search(r"<script|<image|href=|url\(['\"]?http", svg)


def test_no_picture_is_left_over() -> None:
    """Each is shown, light and dark."""
    shown = {picture.file for picture in PICTURES}
    assert {path.name for path in FOLDER.iterdir()} == shown
    assert {name.replace("-dark", "") for name in shown} == {name for name in shown if "-dark" not in name}
    assert len(shown) % 2 == 0


def test_every_experiment_is_shown_or_left_out_for_a_reason() -> None:
    """What is shipped can be looked at."""
    shipped = {path.stem for path in (ROOT / "experiments").glob("*.yaml")}
    assert set(experiments(TEXT)) == {picture.experiment for picture in PICTURES}
    assert set(experiments(TEXT)) == shipped - LEFT_OUT.keys()


def test_pictures_and_results_are_those_of_the_run(finished: Project, tmp_path: Path) -> None:
    """Drawn twice they are the same bytes; the block below an experiment says what came out."""
    pytest.importorskip("vl_convert")
    shown = "![](gallery/smoke-step_size.svg)![](gallery/smoke-step_size-dark.svg)"
    page = f"<!-- result: smoke -->\n```text\nold\n```\n\n{shown}\n"
    texts = [redrawn(finished, page, ["smoke"], tmp_path / name) for name in ("one", "two")]
    assert texts[0] == texts[1]
    assert "smaller: " in texts[0]
    assert "old" not in texts[0]
    drawn = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert drawn[0] == drawn[1]
    assert drawn[0].keys() == {"smoke-step_size.svg", "smoke-step_size-dark.svg"}
    assert len(set(drawn[0].values())) == 2
