"""What `pipeline export mlflow` does where there is no MLflow server, or something else; needs no MLflow."""

from __future__ import annotations

import argparse
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.export import mlflow as target
from pipeline.export.mlflow_runs import planned_runs
from pipeline.export.mlflow_server import Server
from tests.pipeline.export.export_sources import sample_source


class Odd(http.server.BaseHTTPRequestHandler):
    """A server that is none of MLflow's: its answer depends on the first part of the path."""

    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        """Answer with what the path asks for."""
        self.seen.append(self.headers.get("Authorization"))
        kind = self.path.split("/")[1]
        code = {"moved": 302, "forbidden": 403}.get(kind, 200)
        self.send_response(code)
        if kind == "moved":
            self.send_header("Location", "http://192.0.2.1/elsewhere")
        self.end_headers()
        self.wfile.write({"text": b"hello", "list": b"[1]", "deep": b"[" * 100_000}.get(kind, b"{}"))

    def do_POST(self) -> None:
        """Answer alike."""
        self.do_GET()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def odd() -> Iterator[str]:
    """The address of the odd server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("text", "does not answer as an MLflow server does"),
        ("list", "does not answer as an MLflow server does"),
        ("deep", "does not answer as an MLflow server does"),
        ("empty", "gives no experiment_id"),
        ("moved", r"refuses \(302\): it redirects to http://192.0.2.1/elsewhere, which is not followed"),
        ("forbidden", r"refuses \(403\)"),
    ],
)
def test_what_is_no_tracking_server_is_said(odd: str, kind: str, says: str) -> None:
    """Nothing but the answers of an MLflow server is taken for one."""
    with pytest.raises(EnvironmentProblem, match=says):
        Server(f"{odd}/{kind}").experiment("x")


def test_nobody_there_is_said(tmp_path: Path) -> None:
    """The address, and what to do."""
    args = argparse.Namespace(to="http://127.0.0.1:9", experiment=None)
    with pytest.raises(EnvironmentProblem, match=r"http://127.0.0.1:9 cannot be reached") as caught:
        target.send(sample_source(tmp_path), args)
    assert "mlflow server" in caught.value.hint


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/", "127.0.0.1:5000", "http://", "http://u:p@host"])
def test_only_plain_addresses_are_taken(url: str) -> None:
    """No other scheme, and no password that would be shown."""
    with pytest.raises(UserError):
        Server(url)


def test_an_address_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --to and MLflow's own variable nothing is guessed."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match="no tracking server is named"):
        target.send(sample_source(tmp_path), argparse.Namespace(to=None, experiment=None))


def test_credentials_are_those_of_the_environment(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own variables are read."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    with pytest.raises(EnvironmentProblem):
        Server(f"{odd}/empty").experiment("x")
    assert Odd.seen[-1] == "Bearer secret"


def test_a_single_point_has_no_children(tmp_path: Path) -> None:
    """Only a sweep is a parent with children."""
    source = sample_source(tmp_path)
    selection = source.submission["selection"]
    one = {**selection, "chosen": 0, "points": selection["points"][:1]}
    assert [run.point for run in planned_runs(sample_source(tmp_path, selection=one))] == [""]
