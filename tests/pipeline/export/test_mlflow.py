"""`pipeline export mlflow` against a real MLflow server, read back with MLflow's own client."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.export import mlflow as target
from pipeline.export.mlflow_runs import planned_runs
from pipeline.export.mlflow_server import Server
from pipeline.export.target import Source
from tests.pipeline.export.export_sources import sample_source
from tests.pipeline.export.real_mlflow import running
from tests.project import Project

pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that nobody else uses."""
    with running(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def client(server: str) -> Any:
    """MLflow's own client of the server."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server)


def arguments(url: str, name: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    target.configure(parser)
    return parser.parse_args(["--to", url, "--experiment", name])


def two_points(folder: Path, **changes: Any) -> Source:
    """Return the sample with the first two of its points, the first one chosen."""
    selection = sample_source(folder).submission["selection"]
    return sample_source(folder, selection={**selection, "chosen": 0, "points": selection["points"][:2]}, **changes)


def runs_in(client: Any, name: str) -> list[Any]:
    """Return all runs of an experiment by their name, the parent first."""
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id])
    return sorted(found, key=lambda run: ("mlflow.parentRunId" in run.data.tags, run.info.run_name))


def test_a_sweep_is_a_parent_with_children(server: str, client: Any, tmp_path: Path) -> None:
    """Each point is a child run with its own values and figures; the parent has the submitted point's."""
    source = sample_source(tmp_path)
    sent = target.send(source, arguments(server, "sweep")).document
    parent, *children = runs_in(client, "sweep")
    points = source.submission["selection"]["points"]
    assert parent.info.run_id == sent["run_id"]
    assert [run.info.run_name for run in children] == sorted(point["label"] for point in points)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    for run in children:
        point = points[int(run.data.tags["pipeline.point"])]
        assert run.data.params == {**{name: str(value) for name, value in point["point"].items()}, "seed": "0"}
        assert run.data.metrics["change/speedup"] == point["speedup"]["estimate"]
        assert run.data.metrics["optimized/size_bytes"] == point["stored_bytes"]
    speed = source.submission["comparisons"]["speed"]
    assert parent.data.metrics["change/speedup_low"] == speed["speedup"]["interval"][0]
    assert parent.data.tags["pipeline.verdict.speed"] == speed["verdict"]


def test_sending_twice_changes_nothing(server: str, client: Any, tmp_path: Path) -> None:
    """The same submission is found again, and no run, value or file is added."""
    source, args = two_points(tmp_path), arguments(server, "twice")
    first = target.send(source, args).document
    before = [run.to_dictionary() for run in runs_in(client, "twice")]
    second = target.send(source, args).document
    assert (first["created"], second["created"]) == (3, 0)
    assert first["children"] == second["children"]
    assert [run.to_dictionary() for run in runs_in(client, "twice")] == before


def test_another_result_is_another_run(server: str, client: Any, tmp_path: Path) -> None:
    """A submission that differs in anything is sent beside the first one."""
    target.send(two_points(tmp_path / "a"), arguments(server, "other"))
    target.send(two_points(tmp_path / "b", warnings=["another"]), arguments(server, "other"))
    assert len(runs_in(client, "other")) == 6


def test_an_interrupted_export_is_completed(
    server: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun is finished by the next export, without a second run or a second value."""
    source, args = two_points(tmp_path), arguments(server, "interrupted")
    finish, left = Server.finish, iter([True, False])

    def dies(self: Server, run_id: str, run: Any) -> None:
        if not next(left):
            raise KeyboardInterrupt
        finish(self, run_id, run)

    with monkeypatch.context() as patch:
        patch.setattr(Server, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            target.send(source, args)
    assert {run.info.status for run in runs_in(client, "interrupted")} == {"FINISHED", "RUNNING"}
    target.send(source, args)
    runs = runs_in(client, "interrupted")
    assert ([run.info.status for run in runs], len(runs)) == (["FINISHED"] * 3, 3)
    for run in runs:
        assert all(len(client.get_metric_history(run.info.run_id, name)) == 1 for name in list(run.data.metrics)[:3])


def test_every_planned_figure_arrives(server: str, client: Any, tmp_path: Path) -> None:
    """Names, params and tags are taken by the server as they were planned, long and odd ones, too."""
    odd = {"name": "x", "document": {"vars": {"a=b/../c*": "v" * 7000, "é ü": [1, 2]}, "steps": [{"p": {}}]}}
    experiment = {**sample_source(tmp_path).submission["experiment"], **odd}
    source = two_points(tmp_path, experiment=experiment)
    target.send(source, arguments(server, "odd"))
    (parent, *_), planned = runs_in(client, "odd"), planned_runs(source)[0]
    assert parent.data.params == planned.params
    assert parent.data.metrics == {name: value for name, value, _ in planned.metrics}
    assert planned.tags.items() <= {"pipeline.point": "", **parent.data.tags}.items()


def test_curves_and_files_of_a_run_arrive(finished: Project, server: str, client: Any, tmp_path: Path) -> None:
    """Through the command: each epoch is a step, and the files are those of the run's folder."""
    answer = finished.json("export", "mlflow", "smoke", "--to", server)
    run = client.get_run(answer["run_id"])
    assert answer["page"].endswith(answer["run_id"])
    assert (answer["experiment"]["name"], answer["children"], answer["files_reason"]) == ("smoke", {}, None)
    history = client.get_metric_history(run.info.run_id, "training/train_loss")
    assert [value.step for value in history] == [1, 2]
    assert run.data.tags["pipeline.training"] == "1-2 train mlp seed=0"
    for name in ("submission.json", "evidence.safetensors", "report.html"):
        fetched = Path(client.download_artifacts(run.info.run_id, name, str(tmp_path)))
        assert fetched.read_bytes() == (finished.folder / "runs/smoke" / name).read_bytes()


def test_a_refusal_says_what_the_server_said(server: str, tmp_path: Path) -> None:
    """An error of the server's is shown with its words."""
    with pytest.raises(EnvironmentProblem, match=r"refuses \(400\): .*500 characters"):
        target.send(sample_source(tmp_path), arguments(server, "x" * 600))
