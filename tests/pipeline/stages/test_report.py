"""The report stage: one text for each format that is asked for."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.core.stage import Inputs
from pipeline.report import load_reporter
from pipeline.stages import STAGES, report

SAMPLE = json.loads((Path(__file__).parents[1] / "report" / "submission.json").read_text(encoding="utf-8"))


def test_only_what_is_asked_for_is_rendered() -> None:
    """And it is what the reporter of that name renders."""
    outputs = report.execute({"formats": ["md"]}, Inputs.of(submission=SAMPLE))
    assert outputs == {"md": load_reporter("md")(SAMPLE)}


def test_every_declared_output_can_be_rendered() -> None:
    """The table of stages promises nothing that is not there."""
    formats = list(STAGES["report"].outputs)
    assert list(report.execute({"formats": formats}, Inputs.of(submission=SAMPLE, evidence={}))) == formats
