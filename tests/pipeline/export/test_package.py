"""`pipeline export package`: the folder holds what it says, and its example runs."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli.export import MARK
from pipeline.export.model_card import card
from pipeline.export.package_tree import Check, Packaged
from tests.pipeline.export.export_sources import sample_source
from tests.project import ROOT, Project
from tests.tools.console import skeleton
from tinytorch.serialization import load

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def package(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the smoke run."""
    folder = tmp_path_factory.mktemp("package") / "package"
    finished.run("export", "package", "smoke", "--out", str(folder))
    return folder


def run_python(folder: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_shows_what_is_printed(finished: Project, tmp_path: Path) -> None:
    """The page on exports has the command's output, but for the figures; its own commands are run where onnx is."""
    page = (ROOT / "pipeline/docs/how-to/exports.md").read_text()
    (shown,) = re.findall(r"```text\n\$ pipeline export package first --out deploy\n(.*?)```", page, re.DOTALL)
    printed = finished.run("export", "package", "smoke", "--out", f"{tmp_path}/deploy").stdout
    found = printed.replace(f"{tmp_path}/", "").splitlines()
    assert [line.split() for line in skeleton(found)] == [line.split() for line in skeleton(shown.splitlines())]


def test_the_manifest_names_every_file(package: Path) -> None:
    """With the SHA-256 and the bytes of each, but for itself and the mark of the export."""
    manifest = json.loads((package / "package.json").read_text())
    found = {path.name: path.read_bytes() for path in package.iterdir() if path.name not in ("package.json", MARK)}
    assert manifest["files"] == {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in found.items()
    }
    assert manifest["files"]["model.safetensors"]["sha256"] == manifest["weights"]


def test_onnxruntime_gives_the_same_outputs(package: Path) -> None:
    """For images that are not in the package, too, and for batches of any length."""
    model = load(package / "model.safetensors")
    session = runtime.InferenceSession(package / "model.onnx", providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).normal(size=(33, *model.input_shape)).astype(np.float32)
    for part in (images, images[:1]):
        np.testing.assert_allclose(session.run(None, {"input": part})[0], model.predict(part), rtol=1e-5, atol=1e-5)


def test_the_example_runs(package: Path) -> None:
    """It prints the classes of the packaged images, and how far its outputs are from ours."""
    said = run_python(package.parent, f"{package.name}/example.py")
    classes, off = re.fullmatch(r"classes \[(.*)\]; off by (\S+)\n", said).groups()  # type: ignore[union-attr]
    assert [int(one) for one in classes.split(",")] == np.load(package / "outputs.npy").argmax(axis=1).tolist()
    assert float(off) < 1e-5
    code = [line for line in (package / "example.py").read_text().splitlines() if line]
    assert len(code) <= 10


def test_the_code_in_the_card_runs(package: Path, tmp_path: Path) -> None:
    """With the kernels that were timed, on the packaged images."""
    (code,) = re.findall(r"```python\n(.*?)```", (package / "README.md").read_text(), re.DOTALL)
    said = run_python(package, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}")
    assert said.strip("[]\n").split() == [str(one) for one in np.load(package / "outputs.npy").argmax(axis=1)]


def test_the_checks_are_of_the_whole_test_split(package: Path) -> None:
    """The exact model has the submission's accuracy; the fast one is near."""
    exact, fast = json.loads((package / "package.json").read_text())["checks"]
    submission = package.parents[0]
    assert (exact["is_same"], exact["top1_agreement"], exact["samples"]) == (True, 1.0, 359)
    assert (fast["file"], fast["is_exact"], fast["is_same"]) == ("model_fast.onnx", False, True)
    assert submission.is_dir()


def test_the_same_run_gives_the_same_bytes(finished: Project, package: Path, tmp_path: Path) -> None:
    """No clock, path or chance is in the files."""
    finished.run("export", "package", "smoke", "--out", str(tmp_path / "again"))
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert again == {path.name: path.read_bytes() for path in package.iterdir()}


def test_only_an_unchanged_earlier_export_is_replaced(finished: Project, tmp_path: Path) -> None:
    """Without --replace nothing is; with it, no folder of another kind, with a change, or with somebody's own file."""
    out = tmp_path / "out"
    export = ("export", "package", "smoke", "--out", str(out))
    finished.run(*export)
    assert "--replace" in finished.run(*export, expect=2).stderr
    finished.run(*export, "--replace")
    other = ("export", "onnx", "smoke", "--out", str(out), "--replace")
    assert "an export of another kind: 'package'" in finished.run(*other, expect=2).stderr
    (out / "notes.txt").write_text("mine")
    assert "notes.txt was added" in finished.run(*export, "--replace", expect=2).stderr
    (out / "notes.txt").unlink()
    (out / "README.md").write_text("mine")
    assert "README.md was changed" in finished.run(*export, "--replace", expect=2).stderr
    (out / ".export.json").unlink()
    assert "no earlier export" in finished.run(*export, "--replace", expect=2).stderr
    assert (out / "README.md").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_not_checked_is_said() -> None:
    """Without onnxruntime there is a reason in place of figures, and no problem."""
    check = Check("model.onnx", True, 10, None, None, None, None, "onnxruntime is not installed")
    exported = Packaged({"model.onnx": "x"}, (check,), {}).exported(Path("out"))
    assert "model.onnx: not checked: onnxruntime is not installed" in exported.text
    assert exported.problem == ""


def test_outputs_that_differ_are_a_problem() -> None:
    """The answer names the file; the command then ends with 3."""
    check = Check("model.onnx", True, 10, 3.0, 0.1, 1, False)
    exported = Packaged({"model.onnx": "x"}, (check,), {}).exported(Path("out"))
    assert "model.onnx: other outputs" in exported.problem


def test_a_card_shows_hostile_texts_as_texts(tmp_path: Path) -> None:
    """Names, descriptions and warnings of a submission are never markup."""
    evil = "<script>alert(1)</script> @all [x](javascript:x)\n# big"
    source = sample_source(tmp_path, warnings=[evil])
    experiment = {**source.submission["experiment"], "description": evil}
    inputs: dict[str, Any] = {"type": "float32", "shape": ["batch", 1], "scale": 1.0, "mean": [0.0], "std": [1.0]}
    text = card({**source.submission, "experiment": experiment}, Packaged({}, (), inputs))
    assert "<script" not in text
    assert "@all" not in text
    assert "[x]" not in text
    assert "\n# big" not in text
