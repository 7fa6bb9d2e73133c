"""`pipeline export wandb`: offline runs, read back with wandb's own messages and listed by its `sync`."""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.export import wandb as target
from pipeline.export.figures import figures
from tests.pipeline.export.export_sources import sample_source
from tests.project import Project

pytest.importorskip("wandb")

_BLOCK, _MAGIC = 32768, b":W&B\xe1\xbe\x00"  # a file is a LevelDB log behind seven bytes


@dataclass
class Read:
    """What a run's file holds."""

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    is_finished: bool = False


def records(data: bytes) -> Iterator[Any]:
    """Yield wandb's records; each is split into parts that do not cross a block."""
    from wandb.proto import wandb_internal_pb2

    assert data[:7] == _MAGIC
    at, whole = 7, b""
    while at + 7 <= len(data):
        if (left := _BLOCK - at % _BLOCK) < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def read(path: Path) -> Read:
    """Return what a run's file holds."""
    found = Read()
    for record in records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "summary":
            for item in record.summary.update:
                found.summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
        elif kind == "history":
            items = record.history.item
            found.history.append({item.nested_key[0]: json.loads(item.value_json) for item in items})
        elif kind == "exit":
            found.is_finished = True
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The runs of a sweep of four points, and its submission; wandb writes them in a process of its own."""
    folder = tmp_path_factory.mktemp("wandb")
    source = sample_source(folder / "run")
    (folder / "out").mkdir()
    target.export(source, folder / "out", argparse.Namespace(project="shrinking"))
    return folder / "out", source.submission


def runs_in(folder: Path) -> list[Read]:
    """Return the runs, that of the result first."""
    return [
        read(path) for path in sorted(folder.rglob("run-*.wandb"), key=lambda path: path.name.removesuffix(".wandb"))
    ]


def test_the_result_and_each_point_are_runs(written: tuple[Path, Any]) -> None:
    """In one group, with the settings, the figures and the verdicts of each, all finished."""
    result, *points = runs_in(written[0])
    submission = written[1]
    assert (result.run.project, result.run.job_type) == ("shrinking", "result")
    assert {run.run.run_group for run in [result, *points]} == {submission["experiment"]["name"]}
    assert all(run.is_finished for run in [result, *points])
    assert result.config["experiment"] == submission["experiment"]["document"]
    for name, value in figures(submission).values.items():
        assert result.summary[name] == pytest.approx(value)
    assert result.summary["verdict.speed"] == submission["comparisons"]["speed"]["verdict"]
    for run, point in zip(points, submission["selection"]["points"], strict=True):
        assert run.run.display_name == point["label"]
        assert point["point"].items() <= run.config.items()
        assert run.summary["change/speedup"] == pytest.approx(point["speedup"]["estimate"])


def test_wandb_would_sync_them(written: tuple[Path, Any]) -> None:
    """`wandb sync` finds each run; nothing is sent here."""
    folders = [str(path) for path in (written[0] / "wandb").iterdir()]
    command = [sys.executable, "-m", "wandb", "sync", "--dry-run", *folders]
    environment = {**os.environ, "WANDB_ERROR_REPORTING": "false"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    if "No such option" in done.stderr:
        pytest.skip("this version of wandb cannot say what it would send")
    assert "Would sync 5 run(s)" in done.stdout + done.stderr


def test_the_same_result_has_the_same_ids(written: tuple[Path, Any], tmp_path: Path) -> None:
    """Sent again it is the same run; another result is another one."""
    ids = [run.run.run_id for run in runs_in(written[0])]
    again = [run.id for run in target.planned(sample_source(tmp_path / "a"))]
    other = [run.id for run in target.planned(sample_source(tmp_path / "b", warnings=["x"]))]
    assert ids == again
    assert not set(ids) & set(other)


def test_training_curves_are_history(finished: Project, tmp_path: Path) -> None:
    """Through the command: each epoch is a step, and no path of this machine or log of wandb is left."""
    answer = finished.json("export", "wandb", "smoke", "--out", f"{tmp_path}/out")
    (run,) = runs_in(tmp_path / "out")
    assert list(answer["runs"]) == [run.run.run_id]
    assert [step["_step"] for step in run.history] == [1, 2]
    assert run.history[0]["training/train_loss"] > run.history[1]["training/train_loss"]
    files = [path for path in (tmp_path / "out" / "wandb").rglob("*") if path.is_file()]
    assert [path.suffix for path in files] == [".wandb"]
    assert str(tmp_path).encode() not in files[0].read_bytes()
    assert str(finished.folder).encode() not in files[0].read_bytes()
    finished.run("export", "wandb", "smoke", "--out", f"{tmp_path}/out", "--replace")
