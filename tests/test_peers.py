"""Peers from the experiment file to the report, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import copy_project

EXPERIMENT = """
name: peers
data: {name: digits}
model: {arch: mlp, args: {hidden: [24]}, train: {epochs: 2}}
optimize:
  - prune: {method: structured, sparsity: 0.5, targets: ["fc*"], except: [fc_out]}
  - quantize: {bits: 8}
benchmark:
  {processes: 2, target_ci: 0.5, budget_s: 0.1, wait_s: 0, peers: [onnxruntime, openvino, torch]}
"""


def test_a_run_with_peers_ends_in_a_report(tmp_path: Path) -> None:
    """All three runtimes stand in the submission and in the report; a second run measures nothing."""
    for package in ("onnx", "onnxruntime", "openvino", "torch"):
        pytest.importorskip(package)
    project = copy_project(tmp_path)
    (tmp_path / "experiments/peers.yaml").write_text(EXPERIMENT)
    shown = project.run("run", "experiments/peers.yaml").stdout
    assert "the same networks elsewhere" in shown
    submission = json.loads((tmp_path / "runs/peers/submission.json").read_text())
    project.run("validate", "runs/peers/submission.json")
    (missing,) = (c for c in submission["peers"]["comparisons"] if c["ratio"] is None)
    assert (missing["peer"], missing["network"], missing["verdict"]) == ("torch", "optimized", None)
    assert "torch executes int8 with its own quantization only" in missing["reason"]
    timed = [c["peer"] for c in submission["peers"]["comparisons"] if c["ratio"] and c["network"] == c["against"]]
    assert timed == ["onnxruntime", "onnxruntime", "openvino", "openvino", "torch"]
    assert submission["peers"]["runtimes"].keys() == {"onnxruntime", "openvino", "torch"}
    project.run("run", "experiments/peers.yaml")
    nodes = json.loads((tmp_path / "runs/peers/run.json").read_text())["nodes"]
    assert {node["outcome"] for node in nodes} == {"cached"}


def test_planning_imports_no_runtime() -> None:
    """Versions are read from the metadata of packages."""
    code = (
        "import sys; from pathlib import Path; from pipeline.execute.catalog import package_version\n"
        "found = [package_version(name, 'peers') for name in ('numpy',)]\n"
        "import pipeline.stages, pipeline.core.plan, pipeline.run\n"
        "print([m for m in ('numpy', 'onnx', 'onnxruntime', 'openvino', 'torch') if m in sys.modules], found != [''])"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"
