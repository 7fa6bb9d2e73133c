"""`pipeline export checklist`: every answer stands on something that the submission holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.export import checklist as target
from pipeline.export.checklist_questions import QUESTIONS, Answer, answers
from tests.pipeline.export.export_sources import sample_source
from tests.project import Project


def at(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) points at."""
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def answer_to(question: str, folder: Path, **changes: Any) -> Answer:
    """Return the answer to the question with this word, for the sample with these changes."""
    (found,) = [answer for answer in answers(sample_source(folder, **changes)) if question in answer.question]
    return found


def test_every_place_is_in_the_submission(finished: Project, tmp_path: Path) -> None:
    """For the sample and for a real run; and who says yes has a place."""
    document = finished.json("export", "checklist", "smoke", "--out", f"{tmp_path}/out")
    real = json.loads((finished.folder / "runs/smoke/submission.json").read_text())
    sample = sample_source(tmp_path / "sample")
    found = [(real, answer) for answer in document["answers"]]
    found += [(sample.submission, answer.to_json()) for answer in answers(sample)]
    for submission, answer in found:
        assert answer["places"] or answer["status"] in ("author", "no"), answer
        for place in answer["places"]:
            at(submission, place)


def test_a_real_run_has_its_raw_measurements(finished: Project, tmp_path: Path) -> None:
    """The evidence beside it is looked at: without it, or with another, they are not published."""
    document = finished.json("export", "checklist", "smoke", "--out", f"{tmp_path}/out")
    (raw,) = [answer for answer in document["answers"] if "raw" in answer["question"]]
    assert raw["status"] == "yes"
    assert (tmp_path / "out" / "checklist.md").read_text().count("- [") == document["counts"].pop("yes") + sum(
        document["counts"].values()
    )
    reference = {"file": "evidence.safetensors", "digest": "0" * 64, "size_bytes": 1}
    assert answer_to("raw", tmp_path / "a", evidence=reference).status == "partly"


def test_one_seed_is_not_enough(tmp_path: Path) -> None:
    """The number of runs is a yes only where a seed was repeated."""
    provenance = sample_source(tmp_path / "a").submission["provenance"]
    several = {**provenance, "seeds": {"submitted": 0, "tried": [0, 1, 2]}}
    assert answer_to("number of training", tmp_path / "b").status == "partly"
    assert answer_to("number of training", tmp_path / "c", provenance=several).status == "yes"


@pytest.mark.parametrize(("name", "status"), [("digits", "yes"), ("synthetic", "yes"), ("mnist", "author")])
def test_only_what_is_known_of_the_data_is_said(tmp_path: Path, name: str, status: str) -> None:
    """Where files of others are from is the author's to say."""
    provenance = sample_source(tmp_path / "a").submission["provenance"]
    changed = {**provenance, "data": {**provenance["data"], "name": name}}
    assert answer_to("obtained", tmp_path / "b", provenance=changed).status == status


def test_a_noisy_measurement_is_a_no(tmp_path: Path) -> None:
    """Where the control finds a difference, the checklist says so."""
    comparisons = sample_source(tmp_path / "a").submission["comparisons"]
    noisy = {**comparisons, "speed": {**comparisons["speed"], "noisy": True}}
    assert answer_to("where there is nothing", tmp_path / "b", comparisons=noisy).status == "no"


def test_the_questions_are_asked_once(tmp_path: Path) -> None:
    """Each of the table is answered, in its order."""
    asked = [question for questions in QUESTIONS.values() for question in questions]
    assert [answer.question for answer in answers(sample_source(tmp_path))] == asked
    assert len(set(asked)) == len(asked)


def test_hostile_texts_are_shown_as_texts(tmp_path: Path) -> None:
    """A command, a version or a name is never markup."""
    source = sample_source(tmp_path / "a")
    evil = "`<script>` @all [x](y)\n# big"
    provenance = {**source.submission["provenance"], "command": evil, "versions": {"python": evil}}
    (tmp_path / "out").mkdir()
    target.export(sample_source(tmp_path / "b", provenance=provenance), tmp_path / "out", argparse.Namespace())
    text = (tmp_path / "out" / "checklist.md").read_text()
    assert "<script" not in text
    assert "@all" not in text
    assert "\n# big" not in text
