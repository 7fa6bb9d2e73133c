"""An ablation as people read it: tables, findings, charts' numbers."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.ablation import ablation_view, render
from pipeline.submission.validate import schema_problems
from tests.pipeline.report.conftest import HOSTILE

HERE = Path(__file__).parent


@pytest.fixture
def ablation() -> dict[str, Any]:
    """The ablation of three steps, as a run wrote it."""
    document: dict[str, Any] = json.loads((HERE / "ablation.json").read_text())
    return document


def test_the_example_is_valid(ablation: dict[str, Any]) -> None:
    """What these tests read is what a run may write."""
    assert schema_problems("ablation.v1", ablation, "x", "E502") == []


def test_each_step_is_shown_in_each_aspect(ablation: dict[str, Any]) -> None:
    """Alone, in order and left out, in the recipe's order."""
    view = ablation_view(ablation)
    assert [aspect.name for aspect in view.aspects] == ["alone", "in order", "left out"]
    assert all([row.step for row in aspect.rows] == ["prune", "finetune", "quantize"] for aspect in view.aspects)


def test_what_was_not_timed_has_its_reason(ablation: dict[str, Any]) -> None:
    """A step in the middle is not timed after those before it."""
    finetune = ablation_view(ablation).aspects[1].rows[1]
    assert (finetune.speedup, finetune.verdict) == ("–", "")
    assert finetune.reason == "steps are timed alone and left out, not in the order of the recipe"


def test_findings_follow_from_the_figures(ablation: dict[str, Any]) -> None:
    """Which step brings most, which one accuracy needs, and that steps overlap."""
    said = "\n".join(ablation_view(ablation).findings)
    assert "most of the size: prune; without it the model is 9.70x as large" in said
    assert "accuracy needs finetune: +66.85 points" in said
    assert "less than 86.3x, the product of what each reaches alone" in said


@pytest.mark.parametrize(("p_value", "is_said"), [(0.01, True), (0.03, False)])
def test_what_is_said_of_accuracies_is_corrected_for_all_steps(
    ablation: dict[str, Any], p_value: float, is_said: bool
) -> None:
    """Among several steps one looks harmful by chance: 0.03 becomes 0.06 beside another one."""
    ablation["steps"][0]["left_out"]["accuracy"]["test"] |= {"verdict": "significantly worse", "p_value": p_value}
    said = "\n".join(ablation_view(ablation).findings)
    assert ("accuracy suffers from prune" in said) == is_said
    assert "accuracy needs finetune" in said


def test_a_step_that_changes_nothing_is_named(ablation: dict[str, Any]) -> None:
    """The same size, no slower, as often right: nothing shows what it is for."""
    finetune = ablation["steps"][1]["left_out"]
    finetune["accuracy"]["test"] |= {"verdict": "no significant change"}
    assert any("nothing shows what finetune is for" in text for text in ablation_view(ablation).findings)
    finetune["speed"]["speedup"]["interval"] = [1.01, 1.02]
    assert not any("nothing shows" in text for text in ablation_view(ablation).findings)


def test_a_comparison_that_cannot_be_made_is_a_dash_with_its_reason(ablation: dict[str, Any]) -> None:
    """The other rows stay."""
    ablation["steps"][2] |= {"alone": None, "reasons": {"alone": "quantize: no layer here"}}
    text = render(ablation)
    assert "quantize: not every comparison can be made: quantize: no layer here" in text
    assert ablation_view(ablation).aspects[0].rows[2].numbers is None


@pytest.mark.parametrize("width", [40, 60, 100])
def test_tables_fit_the_width(ablation: dict[str, Any], width: int) -> None:
    """Where they do not, rows become blocks."""
    assert max(map(len, render(ablation, width=width).splitlines())) <= width


def test_a_single_step_is_shown_once(ablation: dict[str, Any]) -> None:
    """Alone, in order and left out are the same comparison then."""
    ablation |= {"steps": ablation["steps"][:1], "compared": 1}
    view = ablation_view(ablation)
    assert [aspect.key for aspect in view.aspects] == ["alone"]
    assert view.findings == ()
    assert "corrected" not in view.notes[0]


def test_hostile_names_stay_text(ablation: dict[str, Any]) -> None:
    """A step's name drives no terminal."""
    hostile = copy.deepcopy(ablation)
    hostile["steps"][0]["id"] = HOSTILE
    hostile["point"]["label"] = HOSTILE
    assert "\x1b" not in render(hostile)


def test_reports_have_a_section_of_it(submission: dict[str, Any], ablation: dict[str, Any]) -> None:
    """Markdown and page lay out the same figures; without an ablation neither has the section."""
    pytest.importorskip("jinja2")
    pytest.importorskip("altair")
    from pipeline.report import html, markdown

    with_it = markdown.render(submission, ablation), html.render(submission, None, "", ablation)
    for text in with_it:
        assert "What each step contributes" in text
        assert "each step on its own, against the baseline" in text
    for text in (markdown.render(submission), html.render(submission)):
        assert "What each step contributes" not in text
