"""`show` reads what anybody may have written: damaged and hostile run folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main

SAMPLE = Path(__file__).parents[1] / "report" / "submission.json"
NODE = {"label": "train mlp", "outcome": "ran", "reason": "new", "seconds": 1.5}


def shown(folder: Path, record: Any, submission: Any = None, *arguments: str) -> int:
    """Write both files (bytes as they are, other values as JSON) and show them."""
    folder.mkdir(exist_ok=True)
    for name, content in (("run.json", record), ("submission.json", submission)):
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return main(["show", str(folder), *arguments])


def test_a_record_without_a_submission_lists_its_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that failed, or wrote none."""
    assert shown(tmp_path, {"experiment": "x", "nodes": [NODE, {**NODE, "seconds": None, "outcome": "failed"}]}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop(1) == "the last run failed at train mlp"
    assert lines[0] == "x: 2 nodes"
    assert lines[1].split() == ["1.5", "s", "ran", "train", "mlp", "new"]
    assert lines[1].index("train") == lines[2].index("train")


def test_an_earlier_result_is_not_shown_as_that_of_a_failed_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table stays readable, and the first lines say that the last run did not get there."""
    record = {"experiment": "x", "nodes": [{**NODE, "outcome": "failed"}]}
    assert shown(tmp_path, record, SAMPLE.read_bytes()) == 0
    expected = "the last run failed at train mlp; what follows is the result of an earlier run"
    assert capsys.readouterr().out.splitlines()[1] == expected


DAMAGED = {
    "cut short": b'{"experiment": "x", "no',
    "empty": b"",
    "a list": b"[]",
    "no record": b"{}",
    "binary": bytes(range(256)),
    "too deep": b"[" * 100_000,
    "infinite": b'{"experiment": "x", "nodes": [], "started_at": 1e999}',
    "nodes of another kind": b'{"experiment": "x", "nodes": 3}',
    "a node of another kind": b'{"experiment": "x", "nodes": [3]}',
    "a node without a label": b'{"experiment": "x", "nodes": [{"outcome": "ran", "reason": ""}]}',
    "a time of another kind": json.dumps({"experiment": "x", "nodes": [{**NODE, "seconds": "1"}]}).encode(),
    "an endless time": b'{"experiment": "x", "nodes": [{"seconds": 1' + b"0" * 400 + b"}]}",
}


@pytest.mark.parametrize("case", DAMAGED)
@pytest.mark.parametrize("option", [[], ["--nodes"], ["--json"]], ids=str)
def test_a_damaged_record_is_bad_input(
    case: str, option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message that names the file, and what would repair it."""
    assert shown(tmp_path, DAMAGED[case], None, *option) == 2
    captured = capsys.readouterr()
    text = json.loads(captured.out)["error"]["message"] if option == ["--json"] else captured.err
    assert "run.json" in text
    assert "Traceback" not in captured.out + captured.err


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("comparisons", "speed", "verdict"), "quick"),
        (("selection", "points"), {}),
        (("baseline", "metrics", "accuracy"), None),
        (("profile", "layers"), [{}]),
    ],
)
def test_a_submission_that_no_run_writes_is_invalid(
    path: tuple[str, ...], value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is checked before it is laid out: exit code 4, the place named."""
    submission = json.loads(SAMPLE.read_text(encoding="utf-8"))
    node = submission
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    assert shown(tmp_path, {"experiment": "x", "nodes": []}, submission) == 4
    assert ".".join(path[:2]) in capsys.readouterr().err


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither from the record nor from the submission."""
    evil = "a\x1b[2J\x07\r\u202e"
    submission = json.loads(SAMPLE.read_text(encoding="utf-8"))
    submission["experiment"]["name"] = submission["baseline"]["model_name"] = evil
    submission["warnings"] = [evil]
    node = {"label": evil, "outcome": evil, "reason": evil, "seconds": 1}
    assert shown(tmp_path, {"experiment": evil, "nodes": [node]}, submission, "--nodes") == 0
    assert not set(capsys.readouterr().out) & set("\x1b\x07\r\u202e")


def test_a_submission_that_is_a_folder_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a bug of ours."""
    (tmp_path / "submission.json").mkdir()
    assert shown(tmp_path, {"experiment": "x", "nodes": []}) == 2
    assert "it is a folder" in capsys.readouterr().err


def test_a_run_of_a_part_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its nodes are not all there are."""
    asked = {"until": "train", "only": ["bits=8"], "force": [], "fresh": False}
    assert shown(tmp_path, {"experiment": "x", "nodes": [], "asked": asked}) == 0
    assert "the last run was of a part only (--until train --only 'bits=8')" in capsys.readouterr().out
