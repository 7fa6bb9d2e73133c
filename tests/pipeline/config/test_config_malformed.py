"""Malformed experiment files and the message each of them gives: its place, and what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.config.check import check
from pipeline.config.load import load, loads
from pipeline.core.errors import ConfigError, render_problem, render_problems

VALID = """\
name: demo
vars: {sparsity: 0.5}
data: {name: digits}
model:
  arch: mlp
  args: {hidden: [32]}
  train: {epochs: 20, lr: 1e-3}
optimize:
  - prune: {sparsity: "${sparsity}", targets: ["fc*"], except: [fc_out]}
  - finetune: {epochs: 5}
  - quantize: {bits: 8}
goals:
  - {metric: accuracy, max_drop: 0.02}
"""


def problems_of(text: str) -> list[str]:
    try:
        found = check(loads(text, "bad.yaml"))
    except ConfigError as error:
        found = list(error.problems)
    return [f"{problem.path.removeprefix('bad.yaml:')} {problem.yaml_path} {problem.message}" for problem in found]


def test_the_valid_file_is_valid() -> None:
    """What the cases below break is whole."""
    assert problems_of(VALID) == []


# What is replaced in VALID, by what, and the one problem this gives: "line:column path message".
CASES = {
    "misspelt top-level key": ("goals:", "gaols:", '12:1 gaols unknown key "gaols"; did you mean "goals"?'),
    "misspelt nested key": ("lr: 1e-3", "lr_rate: 1e-3", '7:23 model.train.lr_rate unknown key "lr_rate"'),
    "misspelt step": (
        "- finetune",
        "- fintune",
        '10:5 optimize[1].fintune unknown key "fintune"; did you mean "finetune"?',
    ),
    "accuracy in per cent": (
        "max_drop: 0.02",
        "at_least: 95",
        "13:34 goals[0].at_least accuracy is a share from 0 to 1, not 95; write 0.95 for 95 %",
    ),
    "a bound that decides nothing": (
        "metric: accuracy, max_drop: 0.02",
        "metric: latency_ms, at_most: -1",
        "13:35 goals[0].at_most latency_ms is always above 0, so a bound of -1 decides nothing",
    ),
    "competition that does not exist": (
        "goals:",
        "competition: tiny_digit\ngoals:",
        '12:14 competition there is no competition "tiny_digit"; did you mean "tiny_digits"?',
    ),
    "competition by a path": (
        "goals:",
        "competition: ../x\ngoals:",
        '12:14 competition "../x" is not possible: a name has letters, digits and _ only',
    ),
    "missing key": ("data: {name: digits}\n", "", '1:1 data the key "data" is missing (the dataset)'),
    "missing nested key": ("  arch: mlp\n", "", '4:1 model.arch the key "arch" is missing (the architecture\'s name)'),
    "text for a number": (
        "lr: 1e-3",
        "lr: high",
        '7:27 model.train.lr must be a number, not the text "high" (the learning rate)',
    ),
    "number for a list": (
        "hidden: [32]",
        "hidden: 32",
        "6:18 model.args.hidden hidden must be a list of 0 to 16 integers, not 32",
    ),
    "text for a list": (
        "except: [fc_out]",
        "except: fc_out",
        '9:64 optimize[0].prune.except must be a list, not the text "fc_out"',
    ),
    "word for a boolean": (
        "{bits: 8}",
        "{allow_no_effect: no}",
        '11:33 optimize[2].quantize.allow_no_effect must be true or false, not the text "no"',
    ),
    "fraction for a whole number": (
        "{epochs: 5}",
        "{epochs: 2.5}",
        "10:24 optimize[1].finetune.epochs must be a whole number, not 2.5 (the number of passes over the training",
    ),
    "number out of range": (
        "lr: 1e-3",
        "lr: 0",
        "7:27 model.train.lr must be above 0 and at most 10, not 0 (the learning rate)",
    ),
    "variable out of range": (
        "sparsity: 0.5",
        "sparsity: 1.5",
        "2:18 optimize[0].prune.sparsity must be at least 0 and below 1, not 1.5 (the share of weights to remove)",
    ),
    "not a choice": (
        "{bits: 8}",
        "{weights: perchannel}",
        '11:25 optimize[2].quantize.weights must be one of per_channel, per_group, per_tensor, not "perchannel"; '
        'did you mean "per_channel"?',
    ),
    "not a choice, a number": (
        "bits: 8",
        "bits: 16",
        "11:22 optimize[2].quantize.bits must be one of 4, 8, 32, not 16",
    ),
    "wrong version": ("name: demo", "name: demo\nversion: 2", "2:10 version must be 1, not 2"),
    "empty list": (
        "name: demo",
        "name: demo\nseeds: []",
        "2:8 seeds must not be empty (the random seeds)",
    ),
    "entry twice": (
        "name: demo",
        "name: demo\nseeds: [3, 3]",
        "2:12 seeds[1] 3 is in this list already; each entry counts once",
    ),
    "entry twice, written differently": (
        "name: demo",
        "name: demo\nbenchmark: {batch_sizes: [8, 8.0]}",
        "2:30 benchmark.batch_sizes[1] 8 is in this list already; each entry counts once",
    ),
    "impossible name": (
        "name: demo",
        "name: a/b",
        '1:7 name "a/b" is not possible: a name has letters, digits and . _ - only, and begins with a letter or digit',
    ),
    "name with a line break": (
        "name: demo",
        'name: "demo\\n"',
        '1:7 name "demo\n" is not possible: a name has letters',
    ),
    "infinity": ("lr: 1e-3", "lr: .inf", "7:27 model.train.lr numbers are finite here; .inf is not"),
    "duplicate key": (
        "lr: 1e-3",
        "lr: 1e-3, epochs: 3",
        '7:33 model.train.epochs the key "epochs" is given twice; the first is on line 7',
    ),
    "unknown variable": (
        "${sparsity}",
        "${sparsty}",
        '9:23 optimize[0].prune.sparsity no variable is called "sparsty"; did you mean "sparsity"?',
    ),
    "variable inside a text": (
        "name: demo",
        'name: "a${sparsity}"',
        "1:7 name ${sparsity} must be the whole value: a variable is not put into a text",
    ),
    "unused variable": ("sparsity: 0.5", "sparsity: 0.5, bits: 8", '2:23 vars.bits nothing uses the variable "bits"'),
    "unknown layer": ('"fc*"', '"conv*"', '9:48 optimize[0].prune.targets[0] "conv*" matches no layer'),
    "layer that cannot be pruned": (
        "[fc_out]",
        "[relu1]",
        '9:65 optimize[0].prune.except[0] "relu1" matches only layers this step does not work on (relu1)',
    ),
    "misspelt layer": (
        "[fc_out]",
        "[fcout]",
        '9:65 optimize[0].prune.except[0] "fcout" matches no layer; did you mean "fc_out"?',
    ),
    "unknown dataset": (
        "name: digits",
        "name: digit",
        '3:14 data.name there is no dataset "digit"; did you mean "digits"?',
    ),
    "dataset without its folder": (
        "name: digits",
        "name: mnist",
        "3:1 data mnist needs a root: the folder with its files",
    ),
    "folder without a use": (
        "digits}",
        "digits, root: x}",
        "3:28 data.root digits reads no files, so a root means nothing to it",
    ),
    "unknown architecture": (
        "arch: mlp",
        "arch: mpl",
        '5:9 model.arch there is no architecture "mpl"; did you mean "mlp"?',
    ),
    "unknown argument": (
        "hidden:",
        "hiden:",
        '6:10 model.args.hiden architecture mlp has no argument "hiden"; did you mean "hidden"?',
    ),
    "two steps in one": (
        "- finetune: {epochs: 5}",
        "- {finetune: {}, quantize: {}}",
        "10:20 optimize[1].quantize a step has one name, not 2; write finetune and quantize as items of their own",
    ),
    "empty step": ("- finetune: {epochs: 5}", "- {}", "10:5 optimize[1] a step needs one of prune, "),
    "step without settings": (
        "finetune: {epochs: 5}",
        "finetune:",
        "10:14 optimize[1].finetune must be a mapping, not nothing",
    ),
    "step as a word": (
        "finetune: {epochs: 5}",
        "finetune",
        '10:5 optimize[1] must be a mapping, not the text "finetune" (one step)',
    ),
    "sweep as a reference": (
        "data: {name: digits}",
        'sweep: "${sparsity}"\ndata: {name: digits}',
        '3:8 sweep must be a mapping, not the text "${sparsity}" (the settings to try)',
    ),
    "same id twice": (
        "- finetune: {epochs: 5}\n  - quantize: {bits: 8}",
        "- {finetune: {}, id: a}\n  - {quantize: {}, id: a}",
        '11:24 optimize[2].id step 1 has the id "a" already',
    ),
    "training after quantization": (
        "- finetune: {epochs: 5}\n  - quantize: {bits: 8}",
        "- quantize: {bits: 8}\n  - finetune: {epochs: 5}",
        "11:5 optimize[2].finetune finetune comes after quantize, and integer weights cannot be trained",
    ),
    "setting without effect": (
        "lr: 1e-3",
        "momentum: 0.5",
        "7:23 model.train.momentum momentum has no effect here: it is for optimizer: sgd",
    ),
    "unknown metric": (
        "metric: accuracy",
        "metric: acuracy",
        "13:14 goals[0].metric must be one of accuracy, speedup, compression, size_bytes, latency_ms, throughput, "
        'tokens_per_second, ttft_ms, perplexity, not "acuracy"; did you mean "accuracy"?',
    ),
    "goal without a bound": (
        ", max_drop: 0.02",
        "",
        "13:5 goals[0] this goal needs a bound: at_least, at_most, max_drop or max_increase",
    ),
    "drop of another metric": (
        "metric: accuracy",
        "metric: speedup",
        "13:33 goals[0].max_drop max_drop is for accuracy; bound speedup by at_least or at_most",
    ),
    "goal of two kinds": (
        "metric: accuracy, max_drop: 0.02",
        "metric: accuracy, minimize: size_bytes",
        "13:5 goals[0] a goal has exactly one of metric, minimize and maximize",
    ),
    "impossible goal": (
        "max_drop: 0.02",
        "at_least: 0.9, at_most: 0.5",
        "13:48 goals[0].at_most no value is at least 0.9 and at most 0.5",
    ),
    "unknown axis": (
        "goals:",
        "sweep: {grid: {bits: [8, 4]}}\ngoals:",
        '12:16 sweep.grid.bits "bits" is neither one of vars nor the path of a setting (vars has sparsity)',
    ),
    "unknown axis path": (
        "goals:",
        "sweep: {grid: {model.train.lrr: [1]}}\ngoals:",
        '12:16 sweep.grid["model.train.lrr"] "model.train.lrr" is neither one of vars nor the path of a setting; '
        'did you mean "model.train.lr"?',
    ),
    "axis of the whole experiment": (
        "goals:",
        "sweep: {grid: {name: [a, b]}}\ngoals:",
        "12:16 sweep.grid.name name belongs to the experiment as a whole and cannot be swept",
    ),
    "axes that overlap": (
        "goals:",
        "sweep: {grid: {model.train: [{}], model.train.lr: [1]}}\ngoals:",
        '12:35 sweep.grid["model.train.lr"] this and model.train overlap: one replaces the other',
    ),
    "empty axis": ("goals:", "sweep: {grid: {sparsity: []}}\ngoals:", "12:26 sweep.grid.sparsity must not be empty"),
    "value of an axis out of range": (
        "goals:",
        "sweep: {grid: {sparsity: [0.5, 2]}}\ngoals:",
        "12:32 optimize[0].prune.sparsity must be at least 0 and below 1, not 2 (the share of weights to remove)",
    ),
    "name in an axis": (
        "goals:",
        "sweep: {grid: {model.arch: [mlp, mlpp], model.args: [{}]}}\ngoals:",
        '12:34 model.arch there is no architecture "mlpp"; did you mean "mlp"?',
    ),
    "exclusion of nothing": (
        "goals:",
        "sweep: {grid: {sparsity: [0.5]}, exclude: [{sparsity: 0.75}]}\ngoals:",
        "12:44 sweep.exclude[0] no point of the sweep has sparsity: 0.75; the nearest value is 0.5",
    ),
    "exclusion of everything": (
        "goals:",
        "sweep: {grid: {sparsity: [0.5]}, exclude: [{sparsity: 0.5}]}\ngoals:",
        "12:34 sweep.exclude everything is excluded; no point is left",
    ),
    "too many points": (
        "goals:",
        "sweep: {grid: {sparsity: [0.1, 0.2, 0.3], model.train.lr: [1e-3, 1e-4]}, max_points: 5}\ngoals:",
        "12:1 sweep 2 model.train.lr x 3 sparsity = 6 points: more than max_points: 5",
    ),
    "a tab": ("  arch: mlp", "\tarch: mlp", "5:1  a tab cannot be used here"),
    "an open bracket": (
        "[32]}",
        "[32}",
        "6:18  this bracket is not closed, or a comma is missing after one of its items",
    ),
    "an open quote": ("name: demo", "name: 'demo", "1:7  this quote is never closed"),
    "a missing colon": ("name: demo", "name demo", "2:5  a second ':' cannot follow here"),
    "a word alone": ("goals:", "what\ngoals:", "12:1  this line is neither 'key: value' nor a list item"),
    "a second colon": ("name: demo", "name: demo: x", "1:11  a second ':' cannot follow here"),
    "a reference without quotes": ('"${sparsity}"', "${sparsity}", "9:12  this bracket is not closed"),
    "wrong indentation": ("  arch: mlp", " - arch: mlp", "6:3  this does not continue what is before it"),
    "a tag": (
        "lr: 1e-3",
        "lr: !!python/name:os.system 1",
        "7:27 model.train.lr the tag !!python/name:os.system is not allowed",
    ),
    "an unknown alias": ("lr: 1e-3", "lr: *lr", "7:27  *lr refers to an anchor &lr that is not defined above"),
    "two documents": ("goals:", "---\ngoals:", "12:1  a second document starts here; a file holds one"),
    "a key that is no word": ("lr: 1e-3", "1: 2", "7:23 model.train a key that is not a word"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_file_gives_one_placed_message(case: str) -> None:
    """The message names line, column and path of the culprit and says what was expected."""
    old, new, expected = CASES[case]
    assert VALID.count(old) >= 1, "the case edits the file"
    found = problems_of(VALID.replace(old, new, 1))
    assert len(found) == 1, found
    assert found[0].startswith(expected)


FILES = {
    "empty": (b"", "1:1", "the file is empty; an experiment has name, data, model and optimize"),
    "comments only": (b"# nothing\n", "1:1", "the file is empty"),
    "a list": (b"- 1\n", "1:1", "an experiment is a mapping with name, data, model and optimize, not a list"),
    "a word": (b"hello\n", "1:1", "an experiment is a mapping with name, data, model and optimize, not a single value"),
    "a submission": (
        b'{"submission_type": "capstone_benchmark", "baseline": {}, "optimized": {}, "experiment": {}}',
        "1:1",
        "this is a submission, not an experiment",
    ),
    "a competition": (b'{"type": "object", "x-competition": {}}', "1:1", "this is a competition, not an experiment"),
    "binary": (b"\x7fELF\x02\x00\x00\xff\xfe", "1:1", "this is a binary file, not an experiment file"),
    "a NUL": (b"name: x\ndata: a\x00b\n", "2:8", "there is a control character (U+0000) here"),
    "Latin-1": ("name: x\n# für\n".encode("latin-1"), "2:4", "this is not UTF-8 text: byte 0xfc is not valid here"),
    "UTF-16": ("name: x".encode("utf-16"), "1:1", "this is a binary file, not an experiment file"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_experiment_gives_one_message(case: str, tmp_path: Path) -> None:
    """What cannot be an experiment at all is said in one line, at its place."""
    content, place, expected = FILES[case]
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load(path)
    (problem,) = error.value.problems
    assert problem.path == f"{path}:{place}"
    assert problem.message.startswith(expected)


def message_of(path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load(path)
    (problem,) = error.value.problems
    assert problem.path == f"{path}:1:1"
    return render_problem(problem).partition("\n")[2]


def test_a_missing_file_names_a_similar_one(tmp_path: Path) -> None:
    """A misspelt file name is answered with the nearest of its folder."""
    (tmp_path / "prune_quant.yaml").touch()
    message = message_of(tmp_path / "prune_qant.yaml")
    assert message == f"      there is no such file\n      = did you mean {tmp_path / 'prune_quant.yaml'}?"


def test_an_experiment_is_found_by_the_name_of_its_run(tmp_path: Path) -> None:
    """`prune_quant` is what a run is called; the file lies in `experiments`."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "prune_quant.yaml").touch()
    wanted = tmp_path / "experiments" / "prune_quant.yaml"
    assert message_of(tmp_path / "prune_quant").endswith(f"= did you mean {wanted}?")


def test_a_folder_lists_its_experiments(tmp_path: Path) -> None:
    """A folder is not read; its YAML files are named."""
    (tmp_path / "a.yaml").touch()
    assert message_of(tmp_path) == "      this is a folder, not an experiment file\n      = it holds a.yaml"


def test_an_unreadable_file_says_why(tmp_path: Path) -> None:
    """A link that leads to itself cannot be opened by anyone, the superuser included."""
    path = tmp_path / "loop.yaml"
    path.symlink_to(path)
    assert "the file cannot be read: " in message_of(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    """Missing permission is named."""
    path = tmp_path / "secret.yaml"
    path.touch(mode=0o000)
    assert "the file cannot be read: Permission denied" in message_of(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no regular file is refused without opening it."""
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    assert message_of(path) == "      this is not a regular file"


def test_all_problems_are_listed_in_the_order_of_the_file() -> None:
    """A duplicate key, a typo, a range, a layer, an axis and a goal are all told at once."""
    text = (
        VALID.replace("lr: 1e-3", "lr: 1e-3, lr: 2, epoch: 3")
        .replace("0.5}", "1.5}")
        .replace("[fc_out]", "[fx]")
        .replace("8}", "7}")
        .replace("goals:", "sweep: {grid: {sparsity: [0.5, 3], nope: [1]}}\ngoals:")
        .replace("accuracy", "speedup")
    )
    found = problems_of(text)
    assert [line.split()[0] for line in found] == ["2:18", "7:33", "7:40", "9:65", "11:22", "12:32", "12:36", "14:33"]


def test_a_problem_is_rendered_with_a_caret_below_its_value() -> None:
    """The message looks as the format's description shows it."""
    problems = check(loads(VALID.replace('"${sparsity}"', "1.5").replace("vars: {sparsity: 0.5}\n", ""), "bad.yaml"))
    assert render_problems(problems) == (
        "error: bad.yaml:8:23  optimize[0].prune.sparsity\n"
        '    8 |   - prune: {sparsity: 1.5, targets: ["fc*"], except: [fc_out]}\n'
        "      |                       ^^^ must be at least 0 and below 1, not 1.5 (the share of weights to remove)\n"
        "more: pipeline explain E114"
    )


def test_a_key_indented_too_little_is_recognised() -> None:
    """The beginner's slip of putting settings beside the step's name gets its own hint."""
    text = VALID.replace("  - finetune: {epochs: 5}", "  - finetune:\n    epochs: 5")
    hints = [problem.hint for problem in check(loads(text))]
    assert '"finetune" is empty: indent "epochs" further to put it inside, or write finetune: {epochs: ...}' in hints


def test_a_missing_colon_is_looked_for_in_the_line_above() -> None:
    """YAML takes a line without a colon together with the next one; the hint names the line to repair."""
    with pytest.raises(ConfigError) as error:
        loads(VALID.replace("name: demo", "name demo"))
    assert error.value.problems[0].hint == "is a ':' missing in line 1?"


def test_a_misspelt_key_lists_what_is_valid() -> None:
    """The hint has all keys of the place."""
    (problem,) = check(loads(VALID.replace("{epochs: 5}", "{epoch: 5}")))
    assert problem.hint == (
        "keys here: epochs, lr, optimizer, batch_size, weight_decay, momentum, schedule, label_smoothing, grad_clip, "
        "augment, workers"
    )
