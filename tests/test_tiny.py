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
    time.sleep(2.5)  # a data file is read again until it is older than two seconds
    project.run("run", SMOKE)
    code = (
        "import sys; from pipeline.cli.main import main; code = main(['run', 'experiments/smoke.yaml', '--quiet']);"
        "heavy = ('numpy', 'jsonschema', 'scipy', 'rich', 'jinja2');"
        "print([m for m in heavy if m in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] in {"[] 0", "[] 5"}  # 5: the machine was too busy for a claim


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


def test_an_edited_layer_is_run_again_by_whoever_runs_models(project: Project) -> None:
    """The stored weights stay the same, the answers may not: evaluation must not be taken from the store."""
    file = project.folder / "tinytorch/runtime/quantized.py"
    file.write_text(file.read_text() + "\n_EDITED = True\n")
    expected = planned(project)
    counts = ran(project)
    assert counts["train"] == 0
    assert counts["evaluate"] == 3
    assert counts <= expected


def test_a_new_line_in_a_table_reruns_nothing_that_was_trained_or_timed(project: Project) -> None:
    """Adding a model, a dataset or a stage is what a user does; it costs nobody a night."""
    project.edit("tinytorch/models/__init__.py", '"mlp": "', '"mlp2": "tinytorch.models.mlp",\n    "mlp": "')
    project.edit("tinytorch/data/__init__.py", '"digits": "', '"digits2": "tinytorch.data.digits",\n    "digits": "')
    project.edit("pipeline/stages/__init__.py", "apply one optimization step", "apply one step")
    assert ran(project) == Counter()


def test_an_edited_schema_checks_the_submission_again(project: Project) -> None:
    """What was valid by the old schema is not taken for valid by the new one."""
    path = project.folder / "schemas/submission.v2.schema.json"
    schema = json.loads(path.read_text())
    path.write_text(json.dumps({**schema, "required": [*schema["required"], "something_new"]}))
    assert "something_new" in project.run("run", SMOKE, expect=4).stderr


@pytest.mark.parametrize(("stage", "role"), [("submit", "submission"), ("report", "html")])
def test_a_damaged_result_is_computed_again(project: Project, stage: str, role: str) -> None:
    """Nothing that runs reads it, so it is found out when the files are written; the user notices nothing."""
    record = json.loads((project.folder / "runs/smoke/run.json").read_text())
    digest = next(node["outputs"][role] for node in record["nodes"] if node["stage"] == stage)
    path = project.folder / ".pipeline/objects" / digest[:2] / digest[2:]
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"?" * len(content))
    assert ran(project) == Counter({stage: 1})
    assert path.read_bytes() == content


def test_one_report_format_may_be_asked_for(project: Project) -> None:
    """The others are not rendered."""
    project.edit(SMOKE, "name: smoke", "name: smoke\noutputs: {report: [md]}")
    assert ran(project) == Counter(submit=1, report=1)


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
