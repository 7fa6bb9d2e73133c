"""Experiment files: made from valid ones, given to `pipeline validate` and `pipeline plan`."""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path
from random import Random

import yaml

from pipeline.schemas import experiment_names, read_experiment
from tests.fuzz.changes import change_bytes, change_lines, change_tree
from tests.fuzz.commands import command, keys
from tests.fuzz.files import Files

__all__ = ["check_experiment", "make_experiment"]

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
    "model: {arch: mlp, args: {hidden: [" + "4096," * 16 + "]}}",
    "model: {arch: cnn, args: {depth: 3, width: 512, kernel_size: 11}}",
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


def make_experiment(rng: Random) -> Files:
    """Return a changed experiment file."""
    text = rng.choice(_experiments())
    if rng.random() < 0.6:
        tree = change_tree(yaml.safe_load(text), rng, keys("experiment.v1"))
        text = yaml.dump(tree, default_flow_style=rng.choice((None, False, True)), sort_keys=False, allow_unicode=True)
    if rng.random() < 0.5:
        text = change_lines(text, rng, SNIPPETS)
    data = text.encode("utf-8", "surrogatepass")
    return {"experiment.yaml": change_bytes(data, rng) if rng.random() < 0.2 else data}


def check_experiment(folder: Path) -> bool:
    """Return whether the file is valid; of those that are, every fourth is planned as well."""
    is_valid = not command("validate", "experiment.yaml")
    if is_valid and zlib.crc32((folder / "experiment.yaml").read_bytes()) % 4 == 0:
        command("plan", "experiment.yaml", "--store", "../store")  # one for all inputs: it knows the code's digests
    return is_valid


@cache
def _experiments() -> tuple[str, ...]:
    return (VALID, *(read_experiment(name) for name in experiment_names()))
