"""Experiment files and submissions: made from valid ones, given to `pipeline validate` and `pipeline plan`."""

from __future__ import annotations

import io
import json
import re
import sys
import zlib
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from pipeline.cli.main import main
from pipeline.schemas import experiment_names, read_experiment, read_schema
from tests.fuzz.changes import change_bytes, change_lines, change_numbers, change_tree
from tests.fuzz.failure import Failure
from tests.fuzz.files import Files

__all__ = ["check_experiment", "check_submission", "make_experiment", "make_submission"]

VALID = """\
name: every-key
description: one of each
version: 1
seeds: [0, 3]
vars: {sparsity: 0.5, bits: 8, list: [8, 8]}
data: {name: synthetic, args: {samples: 60}}
model:
  arch: mlp
  args: {hidden: "${list}"}
  train: &train {epochs: 2, lr: 1e-3, optimizer: adam, batch_size: 16, label_smoothing: 0.1}
optimize:
  - prune: {sparsity: "${sparsity}", targets: ["fc*"], except: [fc_out], per_layer: {fc1: {sparsity: 0.2}}}
  - finetune: {<<: *train}
  - {use: quantize, when: "${bits} < 32", bits: "${bits}", weights: per_channel}
sweep:
  grid: {sparsity: [0.5, 0.75], bits: [32, 8, 4]}
benchmark: {batch_sizes: [1, 16], threads: [1], processes: 2, target_ci: 0.5, budget_s: 1}
goals:
  - {metric: accuracy, max_drop: 0.02}
  - {metric: compression, at_least: 4}
  - {minimize: size_bytes}
outputs: {report: [html, md], submission: best}
"""

SNIPPETS = (
    "<<: *train",
    "&a [*a]",
    "a: &a [x, x]",
    "*nothing",
    "!!python/object/apply:os.system [id]",
    "!!binary aGk=",
    "!<tag:x> y",
    "%YAML 9.9",
    "---",
    "...",
    "? [a, b]",
    "? {a: b}\n: c",
    "key: |\n  text",
    "key: >-\n  text",
    "'",
    '"',
    '"\\uD800"',
    '"\\x00"',
    "{",
    "[" * 50,
    "- " * 60,
    "- -",
    "when: ${bits} < 32 and ${sparsity} > 0.5 or not (${bits} == 4)",
    'when: "' + "(" * 300 + '"',
    'when: "${bits} ** 99999999"',
    'when: "__import__"',
    "sweep: {grid: {bits: [" + "8," * 300 + "]}}",
    "sweep: {random: {trials: 1000000000, axes: {bits: {uniform: [0, 1]}}}}",
    "sweep: {grid: {bits: {linspace: [0, 1, 1000000000]}}}",
    "search: {strategy: tpe, trials: 99999999, axes: {bits: {choice: [8, 4]}}}",
    "model: {arch: mlp, args: {hidden: [65536, 65536]}}",
    "model: {arch: resnet, args: {blocks: 1000000}}",
    "data: {name: image_folder, root: /proc/self, args: {size: 1024}}",
    "data: {name: mnist, root: .}",
    "seeds: [" + ",".join(map(str, range(300))) + "]",
    "vars: {a: '${b}', b: '${a}'}",
    "vars: {a: '${a}'}",
    "\u2028",
    "\x00",
    "\ufeff",
)

_FINE = (0, 2, 4, 6)  # valid; wrong input, of either kind; something outside is missing
_FRAME = re.compile(r'File "([^"]+)", line \d+, in (\w+)')


def make_experiment(rng: Random) -> Files:
    """Return a changed experiment file."""
    text = rng.choice(_experiments())
    if rng.random() < 0.6:
        tree = change_tree(yaml.safe_load(text), rng, _keys("experiment.v1"))
        text = yaml.dump(tree, default_flow_style=rng.choice((None, False, True)), sort_keys=False, allow_unicode=True)
    if rng.random() < 0.5:
        text = change_lines(text, rng, SNIPPETS)
    data = text.encode("utf-8", "surrogatepass")
    return {"experiment.yaml": change_bytes(data, rng) if rng.random() < 0.2 else data}


def make_submission(rng: Random) -> Files:
    """Return a changed submission."""
    tree = json.loads(rng.choice(_submissions()))
    keys = _keys("submission.v2")
    if rng.random() < 0.9:
        tree = change_tree(tree, rng, keys)
    text = json.dumps(tree, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.15:
        text = change_numbers(text, rng)
    data = text.encode("utf-8", "surrogatepass")
    return {"submission.json": change_bytes(data, rng) if rng.random() < 0.2 else data}


def check_experiment(folder: Path) -> bool:
    """Return whether the file is valid; of those that are, every fourth is planned as well."""
    is_valid = not _command("validate", "experiment.yaml")
    if is_valid and zlib.crc32((folder / "experiment.yaml").read_bytes()) % 4 == 0:
        _command("plan", "experiment.yaml", "--store", "../store")  # one for all inputs: it knows the code's digests
    return is_valid


def check_submission(folder: Path) -> bool:
    """Return whether the file is valid."""
    return not _command("validate", "submission.json")


def _command(*arguments: str) -> int:
    """Return the exit code of a command; raises Failure if that stands for a bug or for too little memory."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    said = "".join(stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]
    if code not in _FINE or "not enough memory" in said or "Traceback" in said:
        frames = [f"{Path(file).name}:{name}" for file, name in _FRAME.findall(said)]
        named = re.findall(r"^\w*(?:Error|Exception|Warning)\b", said, re.MULTILINE)
        kind = f"exit code {code} {named[-1] if named else ''} in {frames[-1] if frames else arguments[0]}"
        raise Failure(kind, said[-2000:])
    if not said.strip():
        raise Failure(f"{arguments[0]} says nothing", "")
    return code


@cache
def _experiments() -> tuple[str, ...]:
    return (VALID, *(read_experiment(name) for name in experiment_names()))


@cache
def _submissions() -> tuple[str, ...]:
    """Return valid submissions: the one the reports are tested with, and one in the course's format."""
    root = Path(__file__).parents[1]
    whole = (root / "pipeline" / "report" / "submission.json").read_text()
    metrics = {
        "parameter_count": 283,
        "model_size_mb": 0.00108,
        "accuracy": 0.5,
        "latency_ms_mean": 0.05,
        "latency_ms_std": 0.01,
        "throughput_samples_per_sec": 20000.0,
    }
    course = {
        "tinytorch_version": "0.1.0",
        "submission_type": "capstone_benchmark",
        "timestamp": "2025-03-02 09:15:00",
        "system_info": {"platform": "Linux", "python_version": "3.11.6", "numpy_version": "1.26.0"},
        "baseline": {"model_name": "mlp", "metrics": metrics},
        "optimized": {"model_name": "small_mlp", "metrics": metrics, "techniques_applied": ["pruning"]},
        "improvements": {"speedup": 1.25, "compression_ratio": 2.0, "accuracy_delta": -0.02},
    }
    return whole, whole, whole, json.dumps(course)


@cache
def _keys(schema: str) -> tuple[str, ...]:
    """Return every key that a schema names."""
    found: set[str] = set()

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            found.update(node.get("properties", {}))
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            collect(item)

    collect(read_schema(schema))
    return tuple(sorted(found))
