"""What reports are made of besides a submission: the ablation and the record of a run, changed."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from markdown_it import MarkdownIt

from pipeline.cli.runs import measured_submission, read_record, stored_ablation
from pipeline.core.errors import PipelineError
from pipeline.report.ablation import render
from pipeline.report.markdown import render as render_markdown
from pipeline.report.paper import paper
from tests.fuzz.changes import change_bytes, change_numbers, change_tree
from tests.fuzz.commands import keys
from tests.fuzz.failure import Failure
from tests.fuzz.files import Files

__all__ = ["check_ablation", "make_ablation"]

_EXAMPLES = Path(__file__).parents[1] / "pipeline" / "report"
_RECORD = ("experiment", "nodes", "label", "stage", "key", "outputs", "outcome", "reason", "seconds")
_LINK = re.compile(r'(?:href|src)="(?!#[as]\d+")([^"]*)"')


def make_ablation(rng: Random) -> Files:
    """Return a submission as it was built, with an ablation and a record of which some values are changed."""
    ablation, record = json.loads(_ablation()), json.loads(_record())
    if rng.random() < 0.9:
        ablation = change_tree(ablation, rng, keys("ablation.v1"))
    if rng.random() < 0.3:
        record = change_tree(record, rng, _RECORD)
    text = json.dumps(ablation)
    data = (change_numbers(text, rng) if rng.random() < 0.1 else text).encode("utf-8", "surrogatepass")
    return {
        "submission.json": (_EXAMPLES / "submission.json").read_bytes(),
        "ablation.json": change_bytes(data, rng) if rng.random() < 0.1 else data,
        "run.json": json.dumps(record).encode("utf-8", "surrogatepass"),
    }


def check_ablation(folder: Path) -> bool:
    """Return whether a report is made of it; all its links lead to its own sources."""
    submission = measured_submission(folder / "submission.json")
    try:
        ablation, _ = stored_ablation(folder, submission)
        record = read_record(folder / "run.json")
    except PipelineError:
        return False
    digests = dict.fromkeys(("submission.json", "ablation.json"), "0" * 64)
    texts = [paper(submission, ablation, record, digests, "valid", ()), render_markdown(submission, ablation)]
    for text in texts:
        html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
        if found := _LINK.search(html):
            raise Failure("a link leads out of the report", found[0][:500])
    if ablation is not None and "\x1b" in render(ablation):
        raise Failure("a text drives the terminal", "")
    return True


@cache
def _ablation() -> str:
    document: dict[str, Any] = json.loads((_EXAMPLES / "ablation.json").read_text("utf-8"))
    submission = json.loads((_EXAMPLES / "submission.json").read_text("utf-8"))
    return json.dumps({**document, "weights": submission["provenance"]["weights"]})


@cache
def _record() -> str:
    submission = json.loads((_EXAMPLES / "submission.json").read_text("utf-8"))
    provenance = submission["provenance"]
    given = {"samples": provenance["samples"], "model": provenance["weights"]["optimized"]}
    nodes = [
        {"label": f"{stage} x", "stage": stage, "key": "c" * 64, "outputs": given, "outcome": "ran", "reason": "new"}
        for stage in ("benchmark", "submit", "ablation")
    ]
    return json.dumps({"experiment": "x", "nodes": [{**node, "seconds": 1.0} for node in nodes]})
