"""What does not go together: data of images or of texts, and architectures, training, steps, measurements and goals."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.build import build
from pipeline.config.check import check
from pipeline.config.load import loads
from pipeline.core.plan import Plan, make_plan
from pipeline.execute.catalog import task_modules
from tests.golden.plan_ids import _CATALOG
from tinytorch.models import MODELS
from tinytorch.passes import PASSES, needs
from tinytorch.tasks import IMAGE_MODELS, TEXT_MODELS, TEXT_PASSES

TEXTS = """\
name: x
data: {name: text, args: {context: 16}}
model: {arch: gpt, args: {layers: 1, embed_dim: 8, heads: 2}, train: {warmup: 5}}
optimize: [{quantize: {bits: 8}}]
goals: [{metric: perplexity, max_increase: 0.01}, {minimize: perplexity}]
"""
IMAGES = """\
name: x
data: {name: digits}
model: {arch: mlp}
optimize: [{quantize: {bits: 8}}]
"""


def problems(text: str) -> list[tuple[str, str, str]]:
    return [(problem.code, problem.yaml_path, problem.message) for problem in check(loads(text, "x.yaml"))]


def plan(text: str) -> Plan:
    return make_plan(build(loads(text, "x.yaml")), _CATALOG._replace(task=task_modules))


def test_an_experiment_with_a_text_is_valid() -> None:
    """So is one with images."""
    assert problems(TEXTS) == problems(IMAGES) == []


@pytest.mark.parametrize(
    ("old", "new", "code", "path", "message"),
    [
        ("arch: gpt, args: {layers: 1, embed_dim: 8, heads: 2}", "arch: mlp", "E132", "model.arch", "mlp reads images"),
        ("{warmup: 5}", "{schedule: one_cycle}", "E114", "model.train.schedule", "constant or cosine"),
        ("{warmup: 5}", "{workers: 2}", "E119", "model.train.workers", "workers has no effect here"),
        ("quantize: {bits: 8}", "finetune: {epochs: 1}", "E137", "optimize[0].finetune", "finetune trains on images"),
        (
            "quantize: {bits: 8}",
            "prune: {sparsity: 0.5}",
            "E137",
            "optimize[0].prune",
            "structured_prune does",
        ),
        (
            "quantize: {bits: 8}",
            "budget: {target: {speedup: 2}}",
            "E137",
            "optimize[0].budget",
            "no layer's time is known",
        ),
        ("goals:", "benchmark: {peers: [torch]}\ngoals:", "E119", "benchmark.peers", "not for texts"),
        ("goals:", "benchmark: {harness: loadgen}\ngoals:", "E119", "benchmark.harness", "not for texts"),
        ("data: {name: text,", "data: {name: text, root: a,", "E131", "data.root", "single file, and has no root"),
        ("max_increase: 0.01", "at_most: 0.5", "E118", "goals[0].at_most", "never below 1"),
        ("max_increase: 0.01", "max_drop: 0.01", "E118", "goals[0].max_drop", "max_drop is for accuracy"),
        ("context: 16", "contxt: 16", "E111", "data.args.contxt", 'did you mean "context"'),
        ("context: 16", "vocab_size: 9", "E131", "data.args.vocab_size", "from 257"),
    ],
)
def test_what_does_not_go_with_a_text(old: str, new: str, code: str, path: str, message: str) -> None:
    """One problem, at its place."""
    assert old in TEXTS
    (found,) = problems(TEXTS.replace(old, new))
    assert found[:2] == (code, path)
    assert message in found[2]


@pytest.mark.parametrize(
    ("more", "code", "path", "message"),
    [
        ("goals: [{metric: perplexity, at_most: 9}]", "E118", "goals[0].metric", "perplexity is a metric of texts"),
        ("goals: [{minimize: perplexity}]", "E118", "goals[0].minimize", "perplexity is a metric of texts"),
        ("benchmark: {scenario: generate}", "E119", "benchmark.scenario", "generate continues texts"),
    ],
)
def test_what_does_not_go_with_images(more: str, code: str, path: str, message: str) -> None:
    """Perplexity, and texts to continue."""
    (found,) = problems(IMAGES + more)
    assert found[:2] == (code, path)
    assert message in found[2]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("arch: mlp", "arch: mlp, train: {accumulation: 2}", "model.train.accumulation"),
        ("name: digits", "name: digits, path: a.txt", "data.path"),
    ],
)
def test_settings_for_texts_beside_images(old: str, new: str, path: str) -> None:
    """A file, and what only texts are trained by."""
    ((_, found, _),) = problems(IMAGES.replace(old, new))
    assert found == path


def test_a_sweep_is_checked_in_every_point() -> None:
    """A value that only some points have is found, too."""
    ((code, path, _),) = problems(TEXTS + "sweep: {grid: {model.train.workers: [1, 2]}}")
    assert (code, path) == ("E119", "model.train.workers")


def test_all_of_ours_are_divided_among_the_tasks() -> None:
    """A new architecture is for one of them; passes for texts exist and train nothing."""
    assert MODELS.keys() == IMAGE_MODELS | TEXT_MODELS
    assert not IMAGE_MODELS & TEXT_MODELS
    assert PASSES.keys() >= TEXT_PASSES
    assert not any(needs(name) >= {"train", "validation"} for name in TEXT_PASSES)


def test_nodes_of_a_text_know_their_task_and_its_code() -> None:
    """In spec and code: what reads a language model counts its layers, although the step reads no data."""
    for node in plan(TEXTS).nodes:
        is_marked = node.stage in ("train", "profile", "optimize", "evaluate", "benchmark")
        assert (node.spec.get("task") == "language") == is_marked, node.label
        assert ("tinytorch.models.language_model" in node.code_roots) == is_marked, node.label


def test_nodes_of_images_are_not_marked() -> None:
    """Their ids are those they had before there were texts; their code is that of images only."""
    for node in plan(IMAGES).nodes:
        assert "task" not in node.spec
        assert not any("language" in root or "tokens" in root for root in node.code_roots)


def test_a_path_is_the_file_of_a_text(tmp_path: Path) -> None:
    """It is handed to the stage, and in no id: its content is."""
    file = tmp_path / "a.txt"
    (run,) = build(loads(TEXTS.replace("name: text,", f"name: text, path: {file},"), "x.yaml")).runs
    assert run.data.root == str(file)
    (data,) = (
        node for node in plan(TEXTS.replace("name: text,", "name: text, path: b,")).nodes if node.stage == "data"
    )
    (without,) = (node for node in plan(TEXTS).nodes if node.stage == "data")
    assert (data.id, data.local) == (without.id, {"root": "b"})
