"""`--set` and `--sweep`: same rules as the file, messages that point at the argument, and YAML to keep them."""

from __future__ import annotations

import pytest

from pipeline.config.build import build
from pipeline.config.check import check
from pipeline.config.load import loads
from pipeline.config.overrides import override, permanent_yaml
from pipeline.core.errors import render_problem

TEXT = """\
name: demo
vars: {sparsity: 0.5, bits: 8}
data: {name: digits}
model: {arch: mlp, args: {hidden: [16, 16]}}
optimize:
  - prune: {sparsity: "${sparsity}"}
  - finetune: {epochs: 1}
  - quantize: {bits: "${bits}"}
sweep:
  grid: {sparsity: [0.0, 0.5], bits: [32, 8]}
  exclude: [{sparsity: 0.0, bits: 32}]
  include: [{sparsity: 0.75, bits: 4}]
"""


def labels(*set_: str, sweep: tuple[str, ...] = ()) -> list[str]:
    return [run.label for run in build(loads(TEXT), set_, sweep).runs]


def message(*set_: str, sweep: tuple[str, ...] = ()) -> str:
    (problem,) = check(loads(TEXT), set_, sweep)
    assert problem.path == "command line"
    return render_problem(problem)


@pytest.mark.parametrize("path", ["optimize.finetune.epochs", "optimize[1].finetune.epochs", "model.train.epochs"])
def test_a_path_is_set(path: str) -> None:
    """Dotted paths reach settings in the file and those that have only a default; a unique step needs no index."""
    run = build(loads(TEXT), [f"{path}=7"]).runs[0]
    assert 7 in (run.steps[1].params["epochs"], run.model.train.epochs)


@pytest.mark.parametrize(("text", "value"), [("[64, 32]", [64, 32]), ("[8]", [8]), ("[]", [])])
def test_values_are_yaml(text: str, value: list[int]) -> None:
    """Lists and mappings are written as in a file."""
    assert build(loads(TEXT), [f"model.args.hidden={text}"]).runs[0].model.args == {"hidden": value}


def test_a_set_variable_is_no_longer_swept() -> None:
    """What the command line fixes is fixed: the axis goes, entries with other values go with it."""
    assert labels("bits=8") == ["sparsity=0", "sparsity=0.5", "sparsity=0.75"]
    assert labels("bits=32") == ["sparsity=0.5", "sparsity=0.75"]


def test_a_variable_without_a_use_is_no_longer_swept() -> None:
    """Setting the one place that used a variable takes the variable and its axis out."""
    assert labels("optimize.prune.sparsity=0.9") == ["bits=32", "bits=8", "bits=4"]


def test_a_swept_axis_replaces_the_files() -> None:
    """`--sweep` gives an axis its values; exclusions by values it no longer has are dropped."""
    assert labels(sweep=("bits=8,4",)) == [
        "sparsity=0 bits=8",
        "sparsity=0 bits=4",
        "sparsity=0.5 bits=8",
        "sparsity=0.5 bits=4",
        "sparsity=0.75 bits=4",
    ]


def test_a_new_axis_may_hold_lists() -> None:
    """Commas separate values, and brackets keep lists together."""
    assert labels("sparsity=0.5", "bits=8", sweep=("model.args.hidden=[8],[16, 8]",)) == ["hidden=[8]", "hidden=[16,8]"]


@pytest.mark.parametrize(
    ("set_", "sweep", "caret"),
    [
        (
            "optimize.prune.sparsity=1.5",
            "",
            "^^^ must be at least 0 and below 1, not 1.5 (the share of weights to remove)",
        ),
        ("optimize.prune.sparsty=0.5", "", '^^^^^^^^^^^^^^^^^^^^^^ unknown key "sparsty"; did you mean "sparsity"?'),
        ("bits=16", "", "^^ must be one of 4, 8, 32, not 16"),
        ("bitz=8", "", '^^^^^^ "bitz" is neither one of vars nor a path of the file; did you mean "bits"?'),
        ("optimize.prun.sparsity=0", "", "optimize has no item 'prun'; it has finetune, prune, quantize"),
        ("optimize[9].prune.sparsity=0", "", "optimize has 3 items, so there is no [9]"),
        ("optimize", "", "write path=value, such as optimize.prune.sparsity=0.7"),
        ("bits=[8", "", "^ this bracket is not closed"),
        ("optimize.prune.targets=[fx]", "", '^^ "fx" matches no layer'),
        ("", "bits=8,5", "^ must be one of 4, 8, 32, not 5"),
        ("", "bitz=8,4", '^^^^^^^^ "bitz" is neither one of vars nor the path of a setting; did you mean "bits"?'),
        ("", "model.arch=mlp,mlpp", '^^^^ there is no architecture "mlpp"; did you mean "mlp"?'),
        ("", "bits=", "^ must not be empty"),
        ("", "name=a,b", "name belongs to the experiment as a whole and cannot be swept"),
    ],
)
def test_a_wrong_override_is_shown_where_it_was_typed(set_: str, sweep: str, caret: str) -> None:
    """The argument stands where the line of a file would, with the caret below the culprit."""
    text = message(*filter(None, [set_]), sweep=tuple(filter(None, [sweep])))
    shown, *marked = [line.removeprefix("      | ") for line in text.splitlines()[1:]]
    assert shown in (f"--set {set_}", f"--sweep {sweep}")
    assert caret in " ".join(line.strip() for line in marked)


def test_the_caret_is_below_the_value() -> None:
    """Columns count from the option's first dash."""
    lines = message("optimize.prune.sparsity=1.5").splitlines()
    assert lines[1].index("1.5") == lines[2].index("^")


def test_setting_inside_a_swept_section_is_refused() -> None:
    """An axis that replaces the whole section would undo the setting."""
    (problem,) = check(loads(TEXT), ["model.train.lr=0.1"], [])[:1] or [None]
    assert problem is None
    swept = loads(TEXT.replace("grid: {", "grid: {model.train: [{epochs: 1}, {epochs: 2}], "))
    (problem,) = check(swept, ["model.train.lr=0.1"])
    assert problem is not None
    assert problem.message == "the sweep replaces all of model.train; change that axis instead"


def test_the_document_itself_is_not_changed() -> None:
    """An override makes a new document."""
    document = loads(TEXT)
    override(document, ["bits=4", "name=other"], ["sparsity=0.1"])
    assert document.data == loads(TEXT).data


def test_the_yaml_that_makes_overrides_permanent_gives_the_same_runs() -> None:
    """The printed sections, put in place of the file's, build the same experiment without overrides."""
    set_, sweep = ["optimize.prune.sparsity=0.7", "model.train.lr=1e-2"], ["bits=8,4", "optimize.finetune.epochs=1,2"]
    document = loads(TEXT)
    sections = loads(permanent_yaml(document, set_, sweep)).data
    assert list(sections) == ["vars", "model", "optimize", "sweep"]
    merged = loads(TEXT)
    merged.data.update(sections)
    assert build(merged).runs == build(document, set_, sweep).runs


def test_without_overrides_there_is_nothing_to_make_permanent() -> None:
    """The text is empty."""
    assert permanent_yaml(loads(TEXT)) == ""
