"""One component of a key is changed at a time: exactly what depends on it runs again, and `why` names the component."""

from __future__ import annotations

import json
import os
import shutil
import site
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.killing import nodes_of
from tests.project import Project, copy_project

TINY = """
name: tiny
data: {name: mnist, root: images}
model: {arch: mlp, args: {hidden: [8]}, train: {epochs: 1}}
optimize:
  - prune: {sparsity: 0.25}
  - quantize: {bits: 8}
benchmark: {processes: 2, target_ci: 0.9, budget_s: 0.1, wait_s: 0}
"""
EVERYTHING = Counter(data=1, train=1, profile=1, optimize=2, evaluate=3, benchmark=1, submit=1, report=1)
PUBLISHED = Counter(submit=1, report=1)
AFTER_DATA = EVERYTHING - Counter(data=1)
AFTER_QUANTIZE = Counter(evaluate=1, benchmark=1) + PUBLISHED


Change = Callable[[Project, pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutation:
    """A change of one component: how often which stage runs then.

    `why` has part of the name of the first node that is concerned, the component, and how that is put in words before
    and after the run.
    """

    change: Change
    reruns: Counter[str]
    why: tuple[str, str, str, str]


def edit(path: str, old: str, new: str) -> Change:
    """Return what replaces a text in a file of the project."""
    return lambda project, patch: project.edit(path, old, new)


def variable(name: str, value: str) -> Change:
    """Return what sets an environment variable."""
    return lambda project, patch: patch.setenv(name, value)


def other_version(package: str) -> Change:
    """Return what puts the same package with another version before the installed one."""

    def change(project: Project, patch: pytest.MonkeyPatch) -> None:
        installed = next(Path(folder) for folder in site.getsitepackages() if Path(folder, package).is_dir())
        for name in (package, f"{package}.libs"):
            if (installed / name).exists():
                (project.folder / name).symlink_to(installed / name)
        (project.folder / f"{package}-99.0.dist-info").mkdir()

    return change


def one_pixel(name: str) -> Change:
    """Return what changes the last pixel of a file of images."""

    def change(project: Project, patch: pytest.MonkeyPatch) -> None:
        path = project.folder / "images" / name
        data = bytearray(path.read_bytes())
        data[-1] ^= 0xFF
        path.write_bytes(data)

    return change


def other_default(project: Project, patch: pytest.MonkeyPatch) -> None:
    """Change what a learning rate is when the file says nothing."""
    path = project.folder / "schemas/experiment.v1.schema.json"
    schema = json.loads(path.read_text())
    schema["$defs"]["train"]["properties"]["lr"]["default"] = 0.5
    path.write_text(json.dumps(schema))


def one_core(project: Project, patch: pytest.MonkeyPatch) -> None:
    """Let every process of the project use one core only."""
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one core only")
    pin = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    (project.folder / "sitecustomize.py").write_text(pin)


MODELS_RUN = Counter(profile=1, optimize=2, evaluate=3, benchmark=1) + PUBLISHED  # by all that runs stored models
QUANTIZE, PRUNE = "tinytorch/passes/quantize.py", "tinytorch/passes/structured_prune.py"
STAGE = '"pipeline.stages.train",\n            {},\n'
MUTATIONS = {
    "a pass, to the same effect": Mutation(
        edit(QUANTIZE, 'frozenset({"train"})', 'frozenset(["train"])'),
        Counter(optimize=1),
        (
            "quantize",
            "code",
            "code of tinytorch.passes.quantize changed",
            "source file tinytorch/passes/quantize.py changed",
        ),
    ),
    "a pass": Mutation(
        edit(PRUNE, "argsort(importance, ", "argsort(-importance, "),
        Counter(optimize=2) + AFTER_QUANTIZE,
        (
            "prune",
            "code",
            "code of tinytorch.passes.structured_prune changed",
            "source file tinytorch/passes/structured_prune.py changed",
        ),
    ),
    "a helper of one pass, to the same effect": Mutation(
        edit("tinytorch/passes/groups.py", "(MaxPool2d, AvgPool2d)", "(AvgPool2d, MaxPool2d)"),
        Counter(optimize=1),
        ("prune", "code", "code of tinytorch.passes.groups changed", "source file tinytorch/passes/groups.py changed"),
    ),
    "a helper of all that runs models": Mutation(
        edit("tinytorch/kernels/quantized.py", "8: 127", "8: 63"),
        MODELS_RUN,
        (
            "prune",
            "code",
            "code of tinytorch.kernels.quantized changed",
            "source file tinytorch/kernels/quantized.py changed",
        ),
    ),
    "a parameter": Mutation(
        edit("tiny.yaml", "bits: 8", "bits: 4"),
        Counter(optimize=1) + AFTER_QUANTIZE,
        ("quantize", "params", "bits 8 → 4", "bits 8 → 4"),
    ),
    "a byte of the training data": Mutation(
        one_pixel("train-images-idx3-ubyte"),
        EVERYTHING,
        ("data", "params", "data file train-images-idx3-ubyte changed", "data file train-images-idx3-ubyte changed"),
    ),
    "a byte of the test data": Mutation(
        one_pixel("t10k-images-idx3-ubyte"),
        EVERYTHING - Counter(train=1, optimize=2),
        ("data", "params", "data file t10k-images-idx3-ubyte changed", "data file t10k-images-idx3-ubyte changed"),
    ),
    "the seed": Mutation(
        edit("tiny.yaml", "name: tiny", "name: tiny\nseeds: [1]"),
        AFTER_DATA,
        ("train", "params", "seed 0 → 1", "seed 0 → 1"),
    ),
    "a library that only the report needs": Mutation(
        other_version("jinja2"), Counter(report=1), ("report", "environment", "jinja2 3.", "jinja2 3.")
    ),
    "a library that all stages need": Mutation(
        other_version("numpy"), EVERYTHING, ("data", "environment", "numpy ", "numpy ")
    ),
    "a default of the schema": Mutation(
        other_default, AFTER_DATA, ("train", "params", "lr 0.001 → 0.5", "lr 0.001 → 0.5")
    ),
    "the version of a stage, to the same effect": Mutation(
        edit("pipeline/stages/__init__.py", STAGE.format(1), STAGE.format(2)),
        Counter(train=1),
        ("train", "version", "stage version 1 → 2", "version of the stage 1 → 2"),
    ),
    "a switch of BLAS": Mutation(
        variable("MKL_CBWR", "COMPATIBLE"),
        EVERYTHING,
        ("data", "environment", "MKL_CBWR absent → COMPATIBLE", "MKL_CBWR absent → COMPATIBLE"),
    ),
    "Python's switches": Mutation(
        variable("PYTHONOPTIMIZE", "1"), EVERYTHING, ("data", "environment", "python 3.", "Python 3.")
    ),
    "the machine": Mutation(
        one_core,
        Counter(profile=1, benchmark=1) + PUBLISHED,
        ("profile", "environment", "this is another machine", "another machine"),
    ),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the tiny experiment has run once; copy it before changing anything."""
    project = copy_project(tmp_path_factory.mktemp("tiny"))
    (project.folder / "tiny.yaml").write_text(TINY)
    write_images(project.folder / "images")
    project.run("run", "tiny.yaml", expect=(0, 5))
    assert Counter(node["stage"] for node in nodes_of(project)) == EVERYTHING
    return project


def write_images(folder: Path) -> None:
    """Write a data set in MNIST's format: noise."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 20)):
        pixels = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + pixels.tobytes())
        labels = bytes(number % 3 for number in range(count))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels)


@pytest.fixture
def changed(
    request: pytest.FixtureRequest, tiny: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, Mutation]:
    """A copy of the finished project in which one component has changed."""
    mutation = MUTATIONS[request.param]
    shutil.copytree(tiny.folder, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project")
    mutation.change(project, monkeypatch)
    return project, mutation


def is_measured(mutation: Mutation) -> bool:
    return bool(mutation.reruns.keys() & {"profile", "benchmark"})


@pytest.mark.parametrize("changed", MUTATIONS, indirect=True)
def test_a_changed_component_is_named(changed: tuple[Project, Mutation]) -> None:
    """`why` says it of the first node whose key it is in."""
    project, mutation = changed
    node, component, words, _ = mutation.why
    why = project.json("why", "tiny.yaml", node)["nodes"][0]
    assert words in why["reason"]
    assert {change["component"] for change in why["changes"]} == {component}


RUNS = [
    pytest.param(name, marks=[pytest.mark.slow] if is_measured(mutation) else [])
    for name, mutation in MUTATIONS.items()
]


@pytest.mark.parametrize("changed", RUNS, indirect=True)
def test_a_changed_component_reruns_just_what_depends_on_it(changed: tuple[Project, Mutation]) -> None:
    """`plan` says no less; what comes out the same stops the rerun; then nothing is to do, and `why` still knows."""
    project, mutation = changed
    nodes = project.json("plan", "tiny.yaml")["nodes"]
    assert mutation.reruns <= Counter(each["node"].partition(" ")[0] for each in nodes if each["status"] != "cached")
    for expected in (mutation.reruns, Counter()):
        project.run("run", "tiny.yaml", expect=(0, 5))
        assert Counter(node["stage"] for node in nodes_of(project) if node["outcome"] == "ran") == expected
    node, _, _, words = mutation.why
    of_run = project.json("why", "tiny", node)["nodes"][0]
    (of_key,) = project.json("why", of_run["key"])["nodes"]
    assert words in of_run["differences"][0]
    assert of_key["differences"] == of_run["differences"]
