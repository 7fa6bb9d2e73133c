"""The code behind nodes: what counts for which stage, what is remembered, and files that change under a run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.config.build import build
from pipeline.config.load import load
from pipeline.core.code import Source, module_facts
from pipeline.core.errors import UserError
from pipeline.core.plan import Node, Plan
from pipeline.execute import modules, source_code, stamps
from pipeline.execute.modules import CodeDigests
from pipeline.execute.source_code import SourceCode
from pipeline.run import prepare
from pipeline.store.local import LocalStore
from pipeline.submission.migrate import SCHEMA as MIGRATED
from pipeline.submission.validate import SCHEMAS
from tests.pipeline.execute.ticks import wait_for_a_tick

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("modules") / "store")


@pytest.fixture(scope="module")
def plan(store: LocalStore) -> Plan:
    return prepare(build(load(ROOT / "experiments/smoke.yaml")), store)[0]


def node(plan: Plan, stage: str) -> Node:
    return next(node for node in plan.nodes if node.stage == stage)


@pytest.mark.parametrize("stage", ["profile", "optimize", "evaluate", "benchmark"])
def test_whoever_reads_a_model_depends_on_every_layer(store: LocalStore, plan: Plan, stage: str) -> None:
    """A stored model may hold any of them, and they run: an edit that leaves the weights alone changes the answers."""
    behind = CodeDigests(store).modules(node(plan, stage))
    assert behind.keys() >= {"tinytorch.runtime.quantized", "tinytorch.core.spatial", "tinytorch.serialization"}


def test_training_depends_on_how_models_are_written_but_not_on_layers_it_does_not_use(
    store: LocalStore, plan: Plan
) -> None:
    """An edited integer kernel trains nothing again."""
    behind = CodeDigests(store).modules(node(plan, "train"))
    assert behind.keys() >= {"tinytorch.serialization", "pipeline.store.codecs.model", "tinytorch.models.mlp"}
    assert behind.keys().isdisjoint({"tinytorch.runtime.quantized", "tinytorch.models.cnn"})


def test_the_submission_depends_on_its_schemas(store: LocalStore, plan: Plan) -> None:
    """It is checked against them, so an edited schema checks again."""
    behind = CodeDigests(store).modules(node(plan, "submit"))
    assert {name for name in behind if name.startswith("schemas/")} == {
        f"schemas/{name}.schema.json" for name in (*SCHEMAS.values(), MIGRATED)
    }


def test_libraries_are_those_that_the_code_imports(store: LocalStore, plan: Plan) -> None:
    """A new jinja2 renders reports again and trains nothing."""
    code = CodeDigests(store)
    assert code.libraries(node(plan, "train")) == {"numpy", "safetensors"}
    assert {"jinja2"} <= code.libraries(node(plan, "report"))


def test_the_table_of_stages_counts_by_the_line_in_use(store: LocalStore, plan: Plan) -> None:
    """A new stage, or a better summary of one, must not repeat a night of benchmarks; another codec must."""
    train = node(plan, "train")
    other = train._replace(outputs={**train.outputs, "history": "text"})
    code = CodeDigests(store)
    assert code.digest(other) != code.digest(train)
    source = (ROOT / "pipeline/stages/__init__.py").read_bytes()
    assert code.modules(train)["pipeline.stages"] != module_facts(Source("pipeline.stages", source, True)).digest


def test_no_stage_reads_the_table_of_stages() -> None:
    """It counts by a node's line only."""
    for path in (ROOT / "pipeline/stages").glob("[!_]*.py"):
        imports = module_facts(Source(f"pipeline.stages.{path.stem}", path.read_bytes(), False)).imports
        assert "pipeline.stages" not in imports, path


def computed_imports(tree: ast.AST) -> Iterator[ast.Call]:
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in ("import_module", "__import__", "run_module") and not isinstance(call.args[0], ast.Constant):
            yield call


def reads_files_beside_it(tree: ast.AST) -> bool:
    return any(getattr(n, "id", "") == "__file__" for n in ast.walk(tree)) or any(
        "resources" in ast.dump(n) for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)
    )


def test_what_nodes_run_reaches_nothing_that_cannot_be_followed(store: LocalStore, plan: Plan) -> None:
    """Only the tables import by a computed name (their entries are code roots), only these read a file beside them."""
    code = CodeDigests(store)
    behind = {name for each in plan.nodes for name in code.modules(each) if not name.startswith("schemas/")}
    trees = {name: ast.parse(Path(code._files[name][0]).read_bytes()) for name in behind}
    tables = {
        "pipeline.store.codecs",
        "tinytorch",
        "tinytorch.data",
        "tinytorch.models",
        "tinytorch.models.kinds",
        "tinytorch.passes",
        "tinytorch.tasks",
        "pipeline.report",
    }
    assert {name for name, tree in trees.items() if any(computed_imports(tree))} <= tables
    # schemas count with the submission, the digits as a data file; the worker launcher only finds its own package, and
    # of kernels that were not built the reason is read
    kernels = {"tinytorch.kernels.instructions", "tinytorch.kernels.native"}
    known = {"pipeline.schemas", "tinytorch.data.digits", "pipeline.measure.launch", *kernels}
    assert {name for name, tree in trees.items() if reads_files_beside_it(tree)} <= known


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a module into a package `extra` that counts as first-party, each time later; return its file."""
    clock = tmp_path / "clock"
    clock.mkdir()
    monkeypatch.setattr(modules, "PROJECT", tmp_path)
    monkeypatch.setattr(modules, "FIRST_PARTY", ("extra",))

    def write(text: str) -> Path:
        file = tmp_path / "extra" / "part.py"
        file.parent.mkdir(exist_ok=True)
        wait_for_a_tick(clock)
        file.write_text(text)
        return file

    return write


def extra_node() -> Node:
    return Node("1", "train", "", {}, {}, ("extra.part",))


def test_a_module_of_a_folder_without_init_is_found(store: LocalStore, package: Callable[[str], Path]) -> None:
    """Python imports it, so it counts."""
    package("import numpy\n")
    assert CodeDigests(store).modules(extra_node()).keys() == {"extra.part"}


@pytest.mark.parametrize(("text", "found"), [("x = 2\n", ("extra.part",)), ("# two\nx = 1\n", ())])
def test_an_edit_after_the_digest_was_taken_is_found_out(
    store: LocalStore, package: Callable[[str], Path], text: str, found: tuple[str, ...]
) -> None:
    """Whether the old or the new text ran is unknown; an edited comment does not matter."""
    package("x = 1\n")
    code = CodeDigests(store)
    code.digest(extra_node())
    package(text)
    assert code.edited(extra_node(), in_new_process=False) == found


def test_an_edit_does_not_reach_what_is_in_memory(
    store: LocalStore, package: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that was imported as its digest says stays valid here, but not in a process started later."""
    package("x = 1\n")
    code = CodeDigests(store)
    code.digest(extra_node())
    monkeypatch.setitem(sys.modules, "extra.part", ast)
    code.note_imported()
    package("x = 2\n")
    assert code.edited(extra_node(), in_new_process=False) == ()
    assert code.edited(extra_node(), in_new_process=True) == ("extra.part",)


def test_code_that_is_no_python_is_the_users_error(store: LocalStore, package: Callable[[str], Path]) -> None:
    """A slip in an edited pass is named by file and line."""
    package("x = 1\ny = (\n")
    with pytest.raises(UserError, match=r"part\.py:2: '\(' was never closed"):
        CodeDigests(store).modules(extra_node())


def test_what_is_remembered_depends_on_how_it_was_found(
    store: LocalStore, package: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an update that follows more imports, modules are parsed again."""
    package("x = 1\n")
    CodeDigests(store).digest(extra_node())
    again = CodeDigests(store)
    monkeypatch.setattr(again, "_reader", "newer")
    parsed = []
    monkeypatch.setattr(
        source_code, "module_facts", lambda source: parsed.append(source.module) or module_facts(source)
    )
    again.digest(extra_node())
    assert parsed == ["extra.part"]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files for settled that were written a moment ago."""
    monkeypatch.setattr(stamps, "_SETTLED_NS", -(10**18))


def unread(self: SourceCode, module: str) -> None:
    raise AssertionError(f"{module} was read")


def read_again(store: LocalStore) -> tuple[str, dict[str, str]]:
    code = CodeDigests(store)
    return code.digest(extra_node()), code.modules(extra_node())


@pytest.mark.usefixtures("settled")
def test_unchanged_files_are_not_read_again(
    store: LocalStore, package: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digest, modules and libraries are those that were found before."""
    package("import numpy\nx = 1\n")
    before, libraries = read_again(store), CodeDigests(store).libraries(extra_node())
    monkeypatch.setattr(SourceCode, "_read", unread)
    assert read_again(store) == before
    assert CodeDigests(store).libraries(extra_node()) == libraries == {"numpy"}


@pytest.mark.usefixtures("settled")
def test_every_change_of_a_file_or_folder_is_seen(store: LocalStore, package: Callable[[str], Path]) -> None:
    """Another text of the same length, another file that is imported instead, and back again."""
    file = package("from extra import other\nx = 1\n")
    first = read_again(store)
    package("from extra import other\nx = 2\n")
    second = read_again(store)
    wait_for_a_tick(file.parents[1] / "clock")
    file.with_name("other.py").write_text("y = 1\n")
    third = read_again(store)
    wait_for_a_tick(file.parents[1] / "clock")
    file.with_name("other.py").unlink()
    package("from extra import other\nx = 1\n")
    assert first != second
    assert third[1].keys() == {"extra.part", "extra.other"}
    assert read_again(store) == first


def test_files_that_were_just_written_are_read_again(
    store: LocalStore, package: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit within the clock's granularity leaves no trace but the content."""
    monkeypatch.setattr(stamps, "_SETTLED_NS", 10**18)  # whatever was written is new
    package("x = 3\n")
    read_again(store)
    monkeypatch.setattr(SourceCode, "_read", unread)
    with pytest.raises(AssertionError, match=r"extra\.part was read"):
        read_again(store)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(("text", "found"), [("x = 2\n", ("extra.part",)), ("# two\nx = 1\n", ())])
def test_an_edit_is_found_out_of_what_was_not_read(
    store: LocalStore, package: Callable[[str], Path], text: str, found: tuple[str, ...]
) -> None:
    """What is remembered of a file is enough to compare with."""
    package("x = 1\n")
    CodeDigests(store).digest(extra_node())
    code = CodeDigests(store)
    code.digest(extra_node())
    package(text)
    assert code.edited(extra_node(), in_new_process=False) == found


def test_only_modules_behind_both_digests_have_changed(tmp_path: Path) -> None:
    """Where another architecture needs other modules nobody edited any."""
    store = LocalStore(tmp_path / "store")
    store.remember("closure", {"ab": {"x": "1", "y": "1"}, "cd": {"x": "2", "z": "1"}, "ef": {"x": "2"}})
    digests = CodeDigests(store)
    assert digests.changed("ab", "cd") == ("x",)
    assert digests.changed("cd", "ef") == ()
    assert digests.changed("00", "ef") is None
