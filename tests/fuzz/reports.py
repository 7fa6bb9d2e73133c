"""What reports are made of besides a submission: ablations with records of runs, comparisons of frameworks, changed."""

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
from pipeline.report.frameworks_text import render_markdown as frameworks_markdown
from pipeline.report.markdown import render as render_markdown
from pipeline.report.paper import paper
from tests.compared import document, row
from tests.fuzz.changes import change_bytes, change_numbers, change_tree
from tests.fuzz.commands import command, keys
from tests.fuzz.failure import Failure
from tests.fuzz.files import Files

__all__ = ["check_ablation", "check_frameworks", "make_ablation", "make_frameworks"]

_EXAMPLES = Path(__file__).parents[1] / "pipeline" / "report"
_RECORD = ("experiment", "nodes", "label", "stage", "key", "outputs", "outcome", "reason", "seconds")
_COMPARED = "frameworks.json"
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
    for text in (paper(submission, ablation, record, digests, "valid", ()), render_markdown(submission, ablation)):
        _check_links(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
    if ablation is not None and "\x1b" in render(ablation):
        raise Failure("a text drives the terminal", "")
    return True


def make_frameworks(rng: Random) -> Files:
    """Return a comparison of frameworks of which some values are changed."""
    tree = json.loads(_frameworks())
    if rng.random() < 0.9:
        tree = change_tree(tree, rng, keys("frameworks.v1"))
    text = json.dumps(tree)
    data = (change_numbers(text, rng) if rng.random() < 0.1 else text).encode("utf-8", "surrogatepass")
    return {_COMPARED: change_bytes(data, rng) if rng.random() < 0.1 else data}


def check_frameworks(folder: Path) -> bool:
    """Return whether the file is valid; then all layouts show it, and no link leads out of them."""
    from pipeline.report.frameworks_html import render_html  # needs an extra

    is_valid = not command("validate", _COMPARED)
    if command("report", _COMPARED) and is_valid:
        raise Failure("what is valid has no report", "")
    found = json.loads((folder / _COMPARED).read_bytes()) if is_valid else {}
    if "rows" in found:
        _check_links(MarkdownIt("commonmark", {"html": False}).enable("table").render(frameworks_markdown(found)))
        _check_links(render_html(found))
    return is_valid


def _check_links(html: str) -> None:
    if found := _LINK.search(html):
        raise Failure("a link leads out of the report", found[0][:500])


@cache
def _frameworks() -> str:
    """Return a comparison with a row of each verdict, and one of integers; some have a rate."""
    measured = row(2.0)
    integers = {**measured, "precision": "int8", "balance": {**measured["balance"], "peak_int8_gops": 400.0}}
    rows = [measured, row(0.5), row(1.0), row(None), row(2.0, control=1.2), integers]
    args = {"widths": [784, 10], "batch_size": 32}
    cases = [{"op": op, "args": args} for op in ("mlp", "train_mlp", "mlp", "decode", "train_mlp")]
    cases.append({"op": "linear", "args": {"inputs": 512, "bits": 8}})
    return json.dumps(document(*rows, cases=cases))


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
