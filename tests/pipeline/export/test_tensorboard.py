"""`pipeline export tensorboard`, read by a real TensorBoard on loopback and by its reader of event files."""

from __future__ import annotations

import argparse
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.export import tensorboard as target
from tests.pipeline.export.export_sources import sample_source
from tests.project import Project

pytest.importorskip("tensorboard")

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The logs of a sweep of four points, and its submission."""
    folder = tmp_path_factory.mktemp("tensorboard")
    source = sample_source(folder / "run")
    (folder / "logs").mkdir()
    target.export(source, folder / "logs", argparse.Namespace())
    return folder / "logs", source.submission


@pytest.fixture(scope="module")
def ask(logs: tuple[Path, Any]) -> Ask:
    """Ask a TensorBoard that has read the logs to their end; it lives in a thread of this process."""
    from tensorboard import program

    board = program.TensorBoard()
    address = ("--port", "0", "--host", "127.0.0.1")
    reads = ("--load_fast", "false", "--reload_task", "blocking", "--reload_interval", "0")
    board.configure(argv=[None, "--logdir", str(logs[0]), *address, *reads])
    url = board.launch()

    def asked(path: str, document: Any = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{url}data/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    return asked


def test_every_point_is_a_run(ask: Ask, logs: tuple[Path, Any]) -> None:
    """Beside the baseline, with the same tags."""
    points = logs[1]["selection"]["points"]
    names = [f"point_{point['index']:03d}_{point['label'].replace(' ', '_')}" for point in points]
    assert sorted(ask("runs")) == sorted([".", "baseline", *names])
    tags = ask("plugin/scalars/tags")
    assert {"figures/accuracy", "figures/size_bytes", "figures/speedup"} <= tags["baseline"].keys() & tags[
        names[0]
    ].keys()


def test_the_sweep_is_a_table(ask: Ask, logs: tuple[Path, Any]) -> None:
    """The HParams tab has each point with its values, its figures, and as finished."""
    asked = {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "colParams": [], "startIndex": 0}
    experiment = ask("plugin/hparams/experiment", {"experimentName": ""})
    assert {one["name"] for one in experiment["hparamInfos"]} == {"bits", "sparsity"}
    groups = ask("plugin/hparams/session_groups", {**asked, "sliceSize": 10})["sessionGroups"]
    points = logs[1]["selection"]["points"]
    assert [group["name"] for group in groups] == [f"{point['index']} {point['label']}" for point in points]
    assert [group["hparams"] for group in groups] == [point["point"] for point in points]
    speedups = [
        value["value"]
        for group in groups
        for value in group["metricValues"]
        if value["name"]["tag"] == "figures/speedup"
    ]
    np.testing.assert_allclose(speedups, [point["speedup"]["estimate"] for point in points], rtol=1e-6)


def test_the_summary_is_shown(ask: Ask, logs: tuple[Path, Any]) -> None:
    """Verdicts, machine and command stand as text."""
    ((shown, *_),) = [ask("plugin/text/text?run=.&tag=summary")]
    assert logs[1]["comparisons"]["speed"]["verdict"] in shown["text"]


def test_training_curves_are_scalars(finished: Project, tmp_path: Path) -> None:
    """Each epoch is a step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    finished.run("export", "tensorboard", "smoke", "--out", f"{tmp_path}/logs")
    baseline = EventAccumulator(f"{tmp_path}/logs/baseline")
    baseline.Reload()
    losses = baseline.Tensors("training/train_loss")
    assert [event.step for event in losses] == [1, 2]
    assert losses[1].tensor_proto.float_val[0] < losses[0].tensor_proto.float_val[0]


def test_the_same_result_gives_the_same_bytes(logs: tuple[Path, Any], tmp_path: Path) -> None:
    """No clock of the export is in the files or in their names."""
    (tmp_path / "logs").mkdir()
    target.export(sample_source(tmp_path / "run"), tmp_path / "logs", argparse.Namespace())
    found, again = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("events*")}
        for folder in (logs[0], tmp_path / "logs")
    )
    assert found == again


def test_odd_points_are_taken(tmp_path: Path) -> None:
    """Labels that are paths, and values of any type, of one type or of several."""
    source = sample_source(tmp_path / "a")
    values = [{"x": [1, 2]}, {"x": None}, {"x": True, "y": "a"}, {"x": 3}]
    points = [
        {**point, "label": "../../escape\0 " + "é" * 300, "point": value}
        for point, value in zip(source.submission["selection"]["points"], values, strict=True)
    ]
    changed = sample_source(tmp_path / "b", selection={**source.submission["selection"], "points": points})
    (tmp_path / "logs").mkdir()
    target.export(changed, tmp_path / "logs", argparse.Namespace())
    assert len(list((tmp_path / "logs").rglob("events*"))) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "logs"]
