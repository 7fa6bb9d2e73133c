"""What 4 bits cost on the digits by method: rounding to the nearest, cancelling errors (gptq), training with it (qat).

Errors are those of the test images' logits against the float network's; qat is held against rounding after as many
epochs of ordinary training, because training alone changes accuracy as well. Every figure is a mean over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.bench.target import Target
from tinytorch.core.fitting import FitSettings, fit
from tinytorch.data import load_dataset_module
from tinytorch.data.split import Dataset, Split
from tinytorch.models import load_model_module
from tinytorch.models.network import Network
from tinytorch.passes import finetune, gptq, qat, quantize

WEIGHT_ONLY = {"bits": 4, "activations": "none"}
GROUPS = {**WEIGHT_ONLY, "weights": "per_group", "group_size": 32}
EPOCHS = 3  # that qat and the training it is held against may take

_records: list[str] = []


@dataclass(frozen=True)
class Case:
    """A network and how long its baseline is trained."""

    name: str
    arch: str
    args: Mapping[str, Any]
    epochs: int


CASES = (
    Case("64-16-10", "mlp", {"hidden": [16]}, 20),
    Case("64-128-128-10", "mlp", {"hidden": [128, 128]}, 20),
    Case("64-512-512-10", "mlp", {"hidden": [512, 512]}, 20),
    Case("cnn, 8 channels", "cnn", {"width": 8}, 10),
)


def run(quick: bool = False) -> list[Target]:
    """Return the factors by which gptq reduces the squared error of the logits, and each method's accuracy."""
    data = load_dataset_module("digits").load(None, 0)
    seeds = range(2 if quick else 5)
    _records.clear()
    return [target for case in CASES for target in _targets(case, data, seeds)]


def facts() -> str:
    """Return test accuracy and agreement with the float network by method."""
    return "\n".join(_records)


def _targets(case: Case, data: Dataset, seeds: range) -> list[Target]:
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in seeds:
        model = _trained(case, data.train, seed)
        expected = model.predict(data.test.images())
        for method, make in METHODS.items():
            found.setdefault(method, []).append(_figures(make(model, data.train, seed), expected, data.test))
    for method, rows in found.items():
        accuracy, error, agreement = np.mean(rows, axis=0)
        _records.append(
            f"{case.name:<16} {method:<22} accuracy {accuracy:7.2%}  same answer as fp32 {agreement:7.2%}  "
            f"squared error of the logits {error:.5f}"
        )
    return [
        _gain(f"{case.name}: error of rtn over gptq, {scales}", found[f"rtn {scales}"], found[f"gptq {scales}"])
        for scales in ("per channel", "in groups of 32")
    ]


def _gain(what: str, before: list[tuple[float, float, float]], after: list[tuple[float, float, float]]) -> Target:
    ratios = [old[1] / new[1] for old, new in zip(before, after, strict=True)]
    mean = math.exp(float(np.mean(np.log(ratios))))
    return Target(what, mean, (min(ratios), max(ratios)), 2.0, "x", at_least=True)


def _trained(case: Case, train: Split, seed: int) -> Network:
    network = load_model_module(case.arch).build(train.shape, 10, np.random.default_rng(seed), **case.args)
    fit(network, train, None, FitSettings(epochs=case.epochs), seed)
    assert isinstance(network, Network)
    return network


def _figures(network: Network, expected: np.ndarray, test: Split) -> tuple[float, float, float]:
    """Return accuracy, squared error relative to the spread of the logits, and the share of equal answers."""
    logits = network.predict(test.images())
    spread = np.square(expected - expected.mean(axis=1, keepdims=True)).sum()
    answers = logits.argmax(axis=1)
    return (
        float((answers == test.labels).mean()),
        float(np.square(logits - expected).sum() / spread),
        float((answers == expected.argmax(axis=1)).mean()),
    )


def _by(technique: Any, **settings: Any) -> Callable[[Network, Split, int], Network]:
    def make(model: Network, train: Split, seed: int) -> Network:
        result: Network = technique.apply(model, technique.Settings(**settings), {"train": train}, seed)[0]
        return result

    return make


def _trained_then_rounded(model: Network, train: Split, seed: int) -> Network:
    return _by(quantize, **WEIGHT_ONLY)(_by(finetune, epochs=EPOCHS)(model, train, seed), train, seed)


METHODS: dict[str, Callable[[Network, Split, int], Network]] = {
    "fp32": lambda model, train, seed: model,
    "rtn per channel": _by(quantize, **WEIGHT_ONLY),
    "gptq per channel": _by(gptq, **WEIGHT_ONLY),
    "rtn in groups of 32": _by(quantize, **GROUPS),
    "gptq in groups of 32": _by(gptq, **GROUPS),
    "finetune, then rtn": _trained_then_rounded,
    "qat per channel": _by(qat, **WEIGHT_ONLY, epochs=EPOCHS),
}
