"""`why` of a run or of a key: the first component that differs from the nearest earlier result, and its origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.keys import Difference
from pipeline.execute.history import named
from pipeline.store.local import LocalStore
from tests.project import Project

SMOKE = "experiments/smoke.yaml"
UNTIL = ("--until", "evaluate")  # nothing is timed


def why(project: Project, *arguments: str) -> Any:
    (node,) = project.json("why", *arguments)["nodes"]
    return node


def test_what_was_computed_first_is_compared_with_nothing(project: Project) -> None:
    """There was nothing of its kind."""
    node = why(project, "smoke", "train")
    assert (node["status"], node["reason"], node["nearest"], node["differences"]) == ("ran", "new", None, [])
    assert "nothing of its kind was there before it" in project.run("why", "smoke", "train").stdout


def test_a_parameter_is_named_where_it_is_and_as_the_origin_further_down(project: Project) -> None:
    """Through every node in between."""
    project.run("run", SMOKE, *UNTIL, "--set", "optimize.prune.sparsity=0.5")
    assert why(project, "smoke", "optimize prune")["differences"][0] == "parameter sparsity 0.25 → 0.5"
    node = why(project, "smoke", "evaluate optimized")
    assert node["differences"] == ["input model changed"]
    assert [cause["difference"] for cause in node["because"]] == [
        "input model changed",
        "parameter sparsity 0.25 → 0.5",
    ]
    text = project.run("why", "smoke", "evaluate optimized").stdout
    assert "because      optimize prune structured sparsity=0.5: parameter sparsity 0.25 → 0.5" in text


def test_a_step_without_effect_does_not_hide_the_origin(project: Project) -> None:
    """Its output is its input: what made that is asked, not the step once more."""
    same = ("--set", "optimize.quantize.bits=32", "--set", "optimize.quantize.allow_no_effect=true", *UNTIL)
    project.run("run", SMOKE, *same)
    project.run("run", SMOKE, *same, "--set", "model.train.epochs=3")
    causes = why(project, "smoke", "evaluate optimized")["because"]
    assert causes[-1]["node"].startswith("train mlp")
    assert causes[-1]["difference"] == "parameter fit.epochs 2 → 3"


def test_a_source_file_is_named(project: Project) -> None:
    """With its path, to be opened."""
    project.edit("tinytorch/passes/quantize.py", "def apply(", "def _more() -> int:\n    return 1\n\n\ndef apply(")
    project.run("run", SMOKE, *UNTIL)
    node = why(project, "smoke", "quantize")
    assert node["differences"] == ["source file tinytorch/passes/quantize.py changed"]
    assert [change["component"] for change in node["changes"]] == ["code"]


def test_a_result_is_found_by_the_beginning_of_its_key(project: Project) -> None:
    """With what a run here tells of its inputs' origin; `plan` gives the keys."""
    project.run("run", SMOKE, *UNTIL, "--set", "model.train.lr=0.01")
    nodes = project.json("plan", SMOKE, *UNTIL, "--set", "model.train.lr=0.01")["nodes"]
    (key,) = (node["key"] for node in nodes if node["node"] == "evaluate baseline")
    node = why(project, key[:12])
    assert node["key"] == key
    assert node["node"] == "evaluate baseline"
    assert node["because"][-1]["difference"] == "parameter fit.lr 0.001 → 0.01"
    (project.folder / "runs" / "damaged").mkdir()
    (project.folder / "runs" / "damaged" / "run.json").write_text("{")
    assert why(project, key) == node


def test_of_many_nodes_only_what_made_them_differ_is_shown(project: Project) -> None:
    """What their keys are made of would be hundreds of lines; each node's own are a word away."""
    project.run("run", SMOKE, "--set", "model.train.epochs=3", "--until", "optimize")
    said = project.run("why", "smoke").stdout
    assert "parameter fit.epochs 2 → 3" in said
    assert "made of" not in said.replace("what the key of each is made of", "")
    assert said.endswith(" nodes; what the key of each is made of: name one of them, or --json\n")
    assert "parameter    fit.epochs = 3" in project.run("why", "smoke", "train").stdout


def test_a_failed_node_shows_its_error(project: Project) -> None:
    """The last line; the document has the whole traceback."""
    project.edit(
        "tinytorch/passes/quantize.py",
        "    wanted = wanted_settings(",
        "    raise RuntimeError('no')\n    wanted = wanted_settings(",
    )
    project.run("run", SMOKE, *UNTIL, expect=1)
    assert "Traceback" in why(project, "smoke", "quantize")["error"]
    assert "error        RuntimeError: no" in project.run("why", "smoke", "quantize").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("smok",), "did you mean the run 'smoke'?"),
        (("0123456789abcdef",), "no result here has a key"),
        (("smoke", "quantise"), "nodes like it: optimize quantize bits=8"),
        (("missing.yaml",), "missing.yaml"),
    ],
)
def test_what_is_not_there_is_bad_input(arguments: tuple[str, ...], said: str, project: Project) -> None:
    """With what is."""
    assert said in project.run("why", *arguments, expect=2).stderr


def test_steps_of_several_points_with_one_name_are_suggested_once(project: Project) -> None:
    """Three different names are worth more than one three times."""
    sweep = ("--sweep", "optimize.prune.sparsity=0.2,0.3,0.4")
    said = project.run("why", SMOKE, "quantise bits=8", *sweep, expect=2).stderr
    assert said.count("optimize quantize bits=8") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Difference("version", "stage version", 1, 2), "version of the stage 1 → 2"),
        (Difference("params", "fit.epochs", 1, None), "parameter fit.epochs 1 → absent"),
        (Difference("params", "files.a.bin", None, "ab"), "data file a.bin was added"),
        (Difference("params", "files.a.bin", "ab", "cd"), "data file a.bin changed"),
        (Difference("inputs", "model", "ab", "cd"), "input model changed"),
        (Difference("code", "code", "ab", "cd"), "source code changed (which file is not known any more)"),
        (Difference("environment", "numpy", "1.26", "2.0"), "library numpy 1.26 → 2.0"),
        (Difference("environment", "python", "3.11", "3.12"), "Python 3.11 → 3.12"),
        (
            Difference("environment", "OPENBLAS_CORETYPE", None, "Haswell"),
            "variable OPENBLAS_CORETYPE absent → Haswell",
        ),
        (Difference("environment", "machine", "a", "b"), "another machine, or set up differently"),
    ],
)
def test_every_component_has_its_words(change: Difference, said: str, tmp_path: Path) -> None:
    """A person sees what kind of thing differs."""
    assert list(named(change, LocalStore(tmp_path / "store"))) == [said]


def test_files_that_only_one_side_needs_are_not_called_changed(tmp_path: Path) -> None:
    """Each that both read differently stands by itself."""
    store = LocalStore(tmp_path / "store")
    store.remember("closure", {"ab": {"x": "1", "y": "1", "z": "1"}, "cd": {"x": "2", "y": "1", "v": "1", "w": "1"}})
    assert list(named(Difference("code", "code", "ab", "cd"), store)) == [
        "source file x.py changed",
        "needs source file v.py, w.py",
        "no longer needs source file z.py",
    ]
