"""Folders of submissions for a leaderboard, and the experiment in a submission that `verify` would run."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.core.errors import PipelineError
from pipeline.submission.build import document_digest
from pipeline.submission.evidence import FILE, Evidence
from pipeline.submission.migrate import migrate
from pipeline.submission.read import read_submission
from pipeline.submission.validate import check_submission
from pipeline.submission.verify_experiment import embedded_experiment, unlike_listed
from tests.fuzz.changes import change_bytes, change_tree
from tests.fuzz.commands import command, keys
from tests.fuzz.failure import Failure
from tests.fuzz.files import PIPE, Files, Link
from tests.submission_variants import Variant, cup, made_up_template, vary, with_experiment

__all__ = ["check_embedded", "check_leaderboard", "make_embedded", "make_leaderboard"]

_COURSE = Path(__file__).parents[1] / "pipeline/submission/historic/course.json"
_MARK = "<b id=mark>"
_TEAMS = (
    "ada",
    "b" * 200,
    "a b",
    "é日本",
    f"{_MARK}x",
    "=1+1",
    "a|b",
    "`x`",
    "@ada",
    "\u202egnp",
    "-",
    ".hidden",
    "a\nb",
)
_PLACES = ("submission.json", "1/submission.json", "x/y/submission.json", "a/b/c/d/e/submission.json", "other.json")

_EXPERIMENT = """
name: sample
description: Two points.
seeds: [7]
data: {name: digits}
model: {arch: mlp, args: {hidden: [8]}, train: {epochs: 1}}
vars: {bits: 8}
optimize: [{quantize: {bits: "${bits}"}}]
sweep: {grid: {bits: [8]}}
benchmark: {processes: 2}
goals: [{metric: accuracy, max_drop: 0.05}, {metric: speedup, at_least: 1.5}, {minimize: size_bytes}]
"""

_OF_TEXTS = """
name: sample
description: Two points.
seeds: [7]
data: {name: text, args: {tokenizer: char, context: 16}}
model: {arch: gpt, args: {layers: 1, embed_dim: 8, heads: 2}, train: {epochs: 1}}
vars: {bits: 8}
optimize: [{quantize: {bits: "${bits}"}}]
sweep: {grid: {bits: [8]}}
benchmark: {scenario: generate, prompt_tokens: 4, new_tokens: 8, processes: 2}
goals: [{metric: perplexity, max_increase: 0.05}, {metric: tokens_per_second, at_least: 100}, {minimize: perplexity}]
"""


def make_leaderboard(rng: Random) -> Files:
    """Return a competition and a folder of submissions, honest ones and changed ones, and what else may lie there."""
    files: Files = {"cup.schema.json": json.dumps(cup(_template()[0])).encode()}
    for number in range(rng.randrange(1, 4)):
        document, data = _variants()[rng.randrange(len(_variants()))]
        if rng.random() < 0.2:
            document = _unverified()[rng.randrange(2)]
        if rng.random() < 0.4:
            document = change_tree(document, rng, (*keys("submission.v2"), _MARK))
        text = json.dumps(document).encode("utf-8", "surrogatepass")
        folder = f"submissions/{rng.choice(_TEAMS)}"
        place = rng.choice(_PLACES)
        if rng.random() < 0.1:
            files[f"{folder}.json"] = text
            continue
        files[f"{folder}/{place}"] = change_bytes(text, rng) if rng.random() < 0.1 else text
        if rng.random() < 0.8:
            beside = f"{folder}/{place}".rpartition("/")[0]
            files[f"{beside}/{FILE}"] = rng.choice(
                (data, data, data, data, change_bytes(data, rng), PIPE, Link("/etc"))
            )
        if rng.random() < 0.1:
            files[f"submissions/odd{number}"] = rng.choice((PIPE, Link(".."), Link("/etc/passwd"), b"x"))
    return _without_clashes(files)


def check_leaderboard(folder: Path) -> bool:
    """Return whether there is a leaderboard; no text of a stranger is markup in it."""
    arguments = ("submissions", "--competition", "./cup.schema.json", "--workers", "1", "--afresh")
    if command("leaderboard", *arguments, "--out", "out"):
        return False
    for path in (folder / "out").iterdir():
        if path.suffix in (".html", ".md") and _MARK in path.read_text("utf-8"):
            raise Failure(f"markup of a stranger in {path.name}", "")
    return True


def make_embedded(rng: Random) -> Files:
    """Return a submission whose experiment was changed, its digests computed again."""
    document = copy.deepcopy(_embedding(_OF_TEXTS if rng.random() < 0.3 else _EXPERIMENT))
    experiment = document["experiment"]
    changed = change_tree(experiment["document"], rng, (*keys("experiment.v1"), "root", "path", "data", "sweep"))
    if isinstance(changed, dict):
        experiment["document"] = changed
        experiment["digest"] = document["provenance"]["experiment"] = document_digest(changed)
    if rng.random() < 0.3:
        document["selection"] = change_tree(document["selection"], rng, keys("submission.v2"))
    return {"submission.json": json.dumps(document).encode("utf-8", "surrogatepass")}


def check_embedded(folder: Path) -> bool:
    """Return whether it could be run again; no path in it is followed, and no sweep expanded beyond what is listed."""
    try:
        document = read_submission(folder / "submission.json")
        check_submission(document)
        experiment = embedded_experiment(document, {})
    except PipelineError:
        return False
    if any(run.data.root is not None for run in experiment.runs):
        raise Failure("a folder of the submission would be read", "")
    return not list(unlike_listed(document, experiment))


def _without_clashes(files: Files) -> Files:
    """Leave out what would lie below a file."""
    return {name: data for name, data in files.items() if not any(name.startswith(f"{other}/") for other in files)}


@cache
def _embedding(experiment: str) -> dict[str, Any]:
    """Return a submission whose experiment is whole."""
    document = with_experiment(_template()[0], {**build(loads(experiment)).document, "competition": None})
    document["selection"]["points"][0]["label"] = ""  # of an only point
    return document


@cache
def _template() -> tuple[dict[str, Any], Evidence]:
    return made_up_template()


@cache
def _unverified() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a submission of the course's format, and the same migrated."""
    data = _COURSE.read_bytes()
    return json.loads(data), migrate(json.loads(data), data)


@cache
def _variants() -> tuple[tuple[dict[str, Any], bytes], ...]:
    """Return submissions with the bytes of their evidence: different ones, and a copy of the first."""
    made = [vary(*_template(), Variant(seed, slower=1 + seed / 50, flips=seed)) for seed in (0, 1, 2, 0)]
    return tuple((json.loads(document), data) for document, data in made)
