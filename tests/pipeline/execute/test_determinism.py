"""The same bytes in every process, folder and environment: what a cache rests on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import copy_project

ROOT = Path(__file__).parents[3]
# Wide enough for BLAS to divide the work among threads, and every pass once.
EXPERIMENT = """
name: determinism
data: {name: digits}
model: {arch: mlp, args: {hidden: [384], dropout: 0.2}, train: {epochs: 1, batch_size: 1024}}
optimize:
  - prune: {method: structured, sparsity: 0.5}
  - finetune: {epochs: 1, batch_size: 1024}
  - prune: {method: magnitude, sparsity: 0.5}
  - quantize: {bits: 4, activations: static}
"""
CODE = """
import json, sys
from pathlib import Path
from pipeline.config.build import build
from pipeline.config.load import load
from pipeline.core.plan import Plan
from pipeline.execute.scheduler import execute_plan
from pipeline.run import prepare
from pipeline.store.local import LocalStore
plan, oracle = prepare(build(load("experiment.yaml")), LocalStore(Path("store")))
nodes = tuple(node for node in plan.nodes if node.stage in ("data", "train", "optimize"))
results = execute_plan(Plan(nodes, (), "", ""), oracle, lambda event: None)
failed = [result.error for result in results.values() if result.error]
digests = {
    f"{place} {result.node.stage} {role}": artifact.digest
    for place, result in enumerate(results.values())
    for role, artifact in (result.record.outputs if result.record else {}).items()
}
print(json.dumps([list(map(str, failed)), digests]))
"""


def digests(folder: Path, code: Path = ROOT, **environment: str) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    variables = {**os.environ, "PYTHONPATH": str(code), **environment}
    done = subprocess.run([sys.executable, "-c", CODE], cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    failed, found = json.loads(done.stdout)
    assert failed == []
    return dict(found)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digests(tmp_path_factory.mktemp("first"))


@pytest.mark.parametrize("count", ["1", "2"])
def test_threads_in_the_environment_change_no_weight(tmp_path: Path, expected: dict[str, str], count: str) -> None:
    """BLAS rounds differently when it divides a sum; the executor holds it to one thread."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "GOTO_NUM_THREADS")
    assert digests(tmp_path, **dict.fromkeys(names, count)) == expected


@pytest.mark.parametrize("seed", ["1", "77"])
def test_the_order_of_hashes_changes_nothing(tmp_path: Path, expected: dict[str, str], seed: str) -> None:
    """No set or dict of strings decides about a weight."""
    assert digests(tmp_path, PYTHONHASHSEED=seed) == expected


def test_another_checkout_language_and_time_zone_change_nothing(tmp_path: Path, expected: dict[str, str]) -> None:
    """Where the code and the data lie, and what the machine speaks, is not part of a result."""
    project = copy_project(tmp_path / "ün other place")
    assert digests(project.folder, project.folder, LC_ALL="C", TZ="Asia/Tokyo") == expected
