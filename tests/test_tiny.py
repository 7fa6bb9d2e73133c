"""The whole product, end to end, in seconds: run, re-run, edit, damage, re-run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, copy_project

SMOKE = "experiments/smoke.yaml"


def ran(project: Project) -> Counter[str]:
    """Run the smoke experiment; count the nodes that ran by stage."""
    project.run("run", SMOKE)
    record = json.loads((project.folder / "runs/smoke/run.json").read_text())
    return Counter(node["stage"] for node in record["nodes"] if node["outcome"] == "ran")


def planned(project: Project) -> Counter[str]:
    """Count the nodes that `plan` says will or may run, by stage."""
    nodes = project.json("plan", SMOKE)["nodes"]
    return Counter(node["node"].partition(" ")[0] for node in nodes if node["status"] != "cached")


def submission(project: Project) -> Any:
    return json.loads((project.folder / "runs/smoke/submission.json").read_text())


def test_a_run_writes_a_valid_submission_and_reports(finished: Project) -> None:
    """Everything a user was promised lies in runs/<name>/, and `validate` accepts the submission."""
    names = {path.name for path in (finished.folder / "runs/smoke").iterdir()}
    assert names >= {"submission.json", "report.html", "report.md", "run.json"}
    finished.run("validate", "runs/smoke/submission.json")


def test_a_second_run_computes_nothing_and_changes_only_the_stamp(project: Project) -> None:
    """The submission differs in its measurement's status alone."""
    before = submission(project)
    assert before["measurement"]["status"] == "fresh"
    assert ran(project) == Counter()
    after = submission(project)
    assert after["measurement"]["status"] == "reused"
    after["measurement"]["status"] = "fresh"
    assert after == before


def test_the_cached_path_imports_nothing_heavy(project: Project) -> None:
    """A fully cached run needs neither numpy nor jsonschema, scipy or rich."""
    copied_at = time.monotonic()
    while time.monotonic() < copied_at + 2.5:  # a data file is read again until it is older than two seconds
        project.run("run", SMOKE)
    code = (
        "import sys; from pipeline.cli.main import main; code = main(['run', 'experiments/smoke.yaml', '--quiet']);"
        "heavy = ('numpy', 'jsonschema', 'scipy', 'rich', 'jinja2');"
        "print([m for m in heavy if m in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] 0"


@pytest.mark.parametrize("change", ["comment", "mtime", "reorder"])
def test_a_change_without_meaning_reruns_nothing(project: Project, change: str) -> None:
    """Comments, key order and a file's times are not part of an experiment."""
    path = project.folder / SMOKE
    text = path.read_text()
    if change == "comment":
        path.write_text(text + "\n# a thought\n")
    elif change == "mtime":
        os.utime(path, (1, 1))
    else:
        sections = [""]
        for line in text.splitlines(keepends=True):
            if line[:1].isalpha():
                sections.append("")
            sections[-1] += line
        path.write_text(sections[0] + "".join(reversed(sections[1:])))
    assert planned(project) == Counter()
    assert ran(project) == Counter()


def test_an_edited_number_reruns_what_depends_on_it_and_flipping_back_nothing(project: Project) -> None:
    """`plan` says beforehand what a run then does."""
    project.edit(SMOKE, "bits: 8", "bits: 4")
    expected = Counter(optimize=1, evaluate=1, benchmark=1, submit=1, report=1)
    assert planned(project) == expected
    assert ran(project) == expected
    project.edit(SMOKE, "bits: 4", "bits: 8")
    assert planned(project) == Counter()
    assert ran(project) == Counter()


def test_a_helper_edited_without_effect_reruns_its_pass_and_stops_there(project: Project) -> None:
    """The code of what a pass imports counts; equal outputs leave everything after it cached."""
    project.edit(
        "tinytorch/passes/targets.py", "if not names:\n        return {}", "if len(names) == 0:\n        return {}"
    )
    counts = ran(project)
    assert counts["optimize"] >= 1
    assert counts.keys() == {"optimize"}


def test_an_edited_docstring_reruns_nothing(project: Project) -> None:
    """Docstrings and comments are not code."""
    project.edit("tinytorch/passes/targets.py", '"""Which layers', '"""The layers to which')
    assert ran(project) == Counter()


def test_an_edited_pass_reruns_it_and_what_its_output_feeds(project: Project) -> None:
    """A change of behaviour in the quantizer reaches evaluation, benchmark, submission and report."""
    project.edit("tinytorch/kernels/quantized.py", "127", "63")
    counts = ran(project)
    assert counts["train"] == 0
    assert counts["optimize"] >= 1
    assert counts["submit"] == counts["report"] == 1


def test_a_deleted_intermediate_is_restored(project: Project) -> None:
    """Its node runs again and gives the same bytes."""
    record = json.loads((project.folder / "runs/smoke/run.json").read_text())
    digest = next(node["outputs"]["model"] for node in record["nodes"] if node["stage"] == "train")
    path = project.folder / ".pipeline/objects" / digest[:2] / digest[2:]
    path.unlink()
    assert ran(project) == Counter(train=1)
    assert path.exists()


def test_a_deleted_result_file_is_written_again(project: Project) -> None:
    """What a user deleted from runs/ comes back from the store."""
    (project.folder / "runs/smoke/report.md").unlink()
    assert ran(project) == Counter()
    assert (project.folder / "runs/smoke/report.md").exists()


def test_the_same_experiment_elsewhere_gives_the_same_weights(finished: Project, tmp_path: Path) -> None:
    """Weights and predictions do not depend on folder, store or process."""
    other = copy_project(tmp_path)
    other.run("run", SMOKE)
    assert submission(other)["provenance"]["weights"] == submission(finished)["provenance"]["weights"]
