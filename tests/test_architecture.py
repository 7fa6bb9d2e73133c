"""The shape of the code, as tests: layers, cycles, tables, sizes, public names. README's map says the same in words."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "tinytorch")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# Lower never imports higher; the longest matching prefix counts.
RANKS = {
    "tinytorch": 0,
    "tinytorch.errors": 0,
    "tinytorch.arguments": 0,
    "tinytorch.own": 0,
    "tinytorch.kernels": 0,
    "tinytorch.core": 1,
    "tinytorch.core.transformers": 2,  # generates by the runtime's kernels
    "tinytorch.data": 1,
    "tinytorch.runtime": 2,
    "tinytorch.models": 2,
    "tinytorch.serialization": 3,
    "tinytorch.weights": 3,
    "tinytorch.passes": 4,
    "tinytorch.tasks": 4,
    "tinytorch.perf": 5,
    "tinytorch.benchmarking": 6,
    "tinytorch.olympics": 6,
    "tinytorch.capstone": 7,
    "pipeline": 10,
    "pipeline.core": 10,
    "pipeline.schemas": 10,
    "pipeline.stats": 10,
    "pipeline.measure": 10,
    "pipeline.config": 11,
    "pipeline.own": 11,
    "pipeline.store": 11,
    "pipeline.submission": 12,
    "pipeline.stages": 13,
    "pipeline.report": 13,
    "pipeline.export": 13,
    "pipeline.execute": 14,
    "pipeline.search": 14,
    "pipeline.run": 15,
    "pipeline.sensitivity": 15,
    "pipeline.leaderboard": 15,
    "pipeline.verify": 15,
    "pipeline.cli": 16,
    "pipeline.__main__": 17,
}

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
MOST_METHODS = 20
# file or qualified name -> why it may be larger
SIZE_EXEMPTIONS = {
    "tinytorch.core.tensor.Tensor": "the course's Tensor has this many operations",
}
# where a function may import: the command line and exports load what a command needs, extras are optional
LOCAL_IMPORT_PREFIXES = ("pipeline.cli.", "pipeline.export.")
OPTIONAL_EXTRAS = {
    "PIL",
    "altair",
    "dask",
    "distributed",
    "fsspec",
    "jinja2",
    "mlperf_loadgen",
    "onnxruntime",
    "openvino",
    "optuna",
    "torch",
    "vl_convert",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        yield from runtime_nodes(node)


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        return [f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names]
    return []


def first_party_imports(module: str) -> set[str]:
    names = {name for node in runtime_nodes(tree_of(MODULES[module])) for name in imported(node)}
    return {name for name in names if name in MODULES and name != module}


def rank(module: str) -> int:
    while module not in RANKS:
        module = module.rpartition(".")[0]
    return RANKS[module]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_own_layer_or_below(module: str) -> None:
    """No import points upwards."""
    upwards = {name for name in first_party_imports(module) if rank(name) > rank(module)}
    assert upwards == set()


def test_no_import_cycles() -> None:
    """The import graph is acyclic."""
    graph = {module: first_party_imports(module) for module in MODULES}
    while ready := [module for module, needs in graph.items() if not needs & graph.keys()]:
        for module in ready:
            del graph[module]
    assert graph == {}


@pytest.mark.parametrize("module", ["tinytorch.core.fitting", "tinytorch.serialization"])
def test_what_trains_reaches_neither_kernels_nor_text(module: str) -> None:
    """Code that a key counts: a new kernel or an edited transformer trains no image network again."""
    reached, waiting = {module}, [module]
    while waiting:
        new = first_party_imports(waiting.pop()) - reached
        reached |= new
        waiting += new
    assert not reached & {"tinytorch.kernels.native", "tinytorch.core.transformers", "tinytorch.core.attention"}


def test_the_framework_does_not_know_the_pipeline() -> None:
    """Tinytorch never imports pipeline."""
    guilty = [
        m
        for m in MODULES
        if m.startswith("tinytorch") and any(n.startswith("pipeline") for n in first_party_imports(m))
    ]
    assert guilty == []


def test_only_the_worker_side_of_measure_imports_the_framework() -> None:
    """What times is stdlib, numpy and tinytorch; the planner's part of measure needs none of it."""
    workers = (
        "framework_cases",
        "framework_torch",
        "framework_worker",
        "generate_worker",
        "generating",
        "layers",
        "loadgen_worker",
        "model",
        "parity",
        "peer_torch",
        "peer_worker",
        "planned",
        "worker",
    )
    allowed = {f"pipeline.measure.{name}" for name in workers}
    guilty = {
        module
        for module in MODULES
        if module.startswith("pipeline.measure") and any(n.startswith("tinytorch") for n in first_party_imports(module))
    }
    assert guilty <= allowed


def test_pipeline_core_needs_only_the_standard_library() -> None:
    """The pure core imports nothing that is installed."""
    for module in (m for m in MODULES if m.startswith("pipeline.core")):
        roots = {n.partition(".")[0] for node in runtime_nodes(tree_of(MODULES[module])) for n in imported(node)}
        assert roots <= sys.stdlib_module_names | {"pipeline"}, module


@pytest.mark.parametrize("module", MODULES)
def test_functions_import_at_the_top(module: str) -> None:
    """Imports inside functions are for the command line, exports and optional extras."""
    if module.startswith(LOCAL_IMPORT_PREFIXES):
        return
    functions = (n for n in ast.walk(tree_of(MODULES[module])) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    local = {name.partition(".")[0] for function in functions for node in ast.walk(function) for name in imported(node)}
    assert local <= OPTIONAL_EXTRAS


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_listed_in_order_and_exist(module: str) -> None:
    """`__all__` is sorted and names what the module defines or re-exports."""
    tree = tree_of(MODULES[module])
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets)
    ]
    public = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
    assert bool(listed) or not public, "a module with public names has __all__"
    for names in listed:
        assert list(names) == sorted(names)
        assert set(names) <= set(_bound_names(tree)) or "__getattr__" in _bound_names(tree)


def _bound_names(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@pytest.mark.parametrize("module", MODULES)
def test_files_functions_and_classes_stay_small(module: str) -> None:
    """A file has at most 400 lines, a function 60, a class 20 methods; an exemption has its reason above."""
    tree = tree_of(MODULES[module])
    too_large = []
    lines = len(MODULES[module].read_text().splitlines())
    if lines > LONGEST_FILE and module not in SIZE_EXEMPTIONS:
        too_large.append(f"{lines} lines")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or 0) - node.body[0].lineno + 1
            if size > LONGEST_FUNCTION:
                too_large.append(f"{node.name}: {size} lines")
        elif isinstance(node, ast.ClassDef) and f"{module}.{node.name}" not in SIZE_EXEMPTIONS:
            methods = sum(isinstance(item, ast.FunctionDef) for item in node.body)
            if methods > MOST_METHODS:
                too_large.append(f"{node.name}: {methods} methods")
    assert too_large == []


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_are_annotated(module: str) -> None:
    """Every public function says what it takes and gives."""
    bare = []
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            unannotated = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
            if unannotated or node.returns is None:
                bare.append(node.name)
    assert bare == []


def _folder_modules(package: str, leave_out: set[str]) -> set[str]:
    return {m for m in MODULES if m.rpartition(".")[0] == package and m.rpartition(".")[2] not in leave_out}


def test_every_stage_is_in_its_table() -> None:
    """No stage file is missing from STAGES, and no line of it points nowhere."""
    from pipeline.stages import STAGES

    assert {info.module for info in STAGES.values()} == _folder_modules("pipeline.stages", set())


def test_every_command_is_in_its_table() -> None:
    """No command file is missing from COMMANDS."""
    from pipeline.cli import COMMANDS

    shared = {
        "answer",
        "board",
        "console",
        "experiment",
        "graph",
        "limits",
        "live",
        "main",
        "points",
        "progress",
        "runs",
        "subset",
        "space",
        "tables",
        "use_argument",
    }
    assert {f"pipeline.cli.{name.replace('-', '_')}" for name in COMMANDS} == _folder_modules("pipeline.cli", shared)


def test_every_pass_is_in_its_table() -> None:
    """No pass file is missing from PASSES: a module of the folder that has `apply` is a pass."""
    from tinytorch.passes import PASSES

    with_apply = {m for m in _folder_modules("tinytorch.passes", set()) if "apply" in _bound_names(tree_of(MODULES[m]))}
    assert set(PASSES.values()) == with_apply


def test_every_model_is_in_its_table() -> None:
    """No model file is missing from MODELS: a module of the folder that has `build` is a model."""
    from tinytorch.models import MODELS

    with_build = {m for m in _folder_modules("tinytorch.models", set()) if "build" in _bound_names(tree_of(MODULES[m]))}
    assert set(MODELS.values()) == with_build


def test_every_dataset_is_in_its_table() -> None:
    """No dataset file is missing from DATASETS: a module of the folder that has `load` and `files` is a dataset."""
    from tinytorch.data import DATASETS

    names = {m: _bound_names(tree_of(MODULES[m])) for m in _folder_modules("tinytorch.data", set())}
    assert set(DATASETS.values()) == {m for m, bound in names.items() if {"load", "files"} <= bound}


def test_every_layer_can_be_stored() -> None:
    """Each Layer with parameters or settings has a line in the serialization table."""
    from tinytorch.serialization import LAYERS

    assert LAYERS.keys() >= {
        "Linear",
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "Flatten",
        "Network",
        "Residual",
        "QuantizedLinear",
    }


@pytest.mark.parametrize(
    "package", ["pipeline.cli.main", "pipeline.stages", "tinytorch", "tinytorch.passes", "tinytorch.models"]
)
def test_tables_are_read_without_heavy_imports(package: str) -> None:
    """Listing what exists needs neither numpy nor jsonschema, scipy or rich."""
    heavy = "('numpy', 'jsonschema', 'scipy', 'rich')"
    code = f"import sys, json, {package}; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(run.stdout) == []
