"""A submission of two points with its evidence, made by the submit stage from samples of a made-up clock."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.keys import digest_bytes
from pipeline.core.stage import InputArtifact, Inputs
from pipeline.measure.generation import VARIANTS, generate_arrays, generate_conditions, with_generate
from pipeline.measure.job import ARMS
from pipeline.measure.summary import Question, comparison, measured_under, raw_arrays
from pipeline.stages import submit
from pipeline.stats.accuracy import accuracy_record
from pipeline.store.codecs import arrays as codec
from pipeline.submission.write import dump_submission

Honest = tuple[dict[str, Any], dict[str, np.ndarray]]

SAMPLE = json.loads((Path(__file__).parents[2] / "report" / "submission.json").read_text(encoding="utf-8"))
ITEMS = 360
SETTINGS: dict[str, Any] = {"processes": 6, "target_ci": 0.05, "budget_s": 10.0, "threshold": 0.02}
GAUGES = {"elapsed_s": 1.0, "others": 0.0, "stolen": 0.0, "paused": None, "pauses": None}
EXPERIMENT = {
    "name": "sample",
    "description": "Two points.",
    "seeds": [7],
    "goals": [
        {"metric": "accuracy", "max_drop": 0.05},
        {"metric": "speedup", "at_least": 1.5},
        {"minimize": "size_bytes"},
    ],
    "benchmark": {"scenario": "single_stream", "batch_sizes": [1], "threads": [1], **SETTINGS},
}
TEXTS = {"prompt_tokens": 8, "new_tokens": 16, "kv_cache": "float32"}
SKIPPED = ("optimized", "none")
OF_TEXTS = {
    **EXPERIMENT,
    "data": {"name": "text"},
    "goals": [
        {"metric": "perplexity", "max_increase": 0.5},
        {"metric": "tokens_per_second", "at_least": 100},
        {"metric": "ttft_ms", "at_most": 5},
        {"minimize": "size_bytes"},
    ],
    "benchmark": {**EXPERIMENT["benchmark"], "scenario": "generate", **TEXTS},
}
LAYER = {"name": "fc1", "kind": "Linear", "settings": {}, "bits_before": 32}


def _process(number: int, speedup: float) -> dict[str, Any]:
    rng = np.random.default_rng([number, int(100 * speedup)])
    wall = (300_000 * np.exp(rng.normal(0, 0.005, (80, 3))) / np.array([1.0, speedup, 1.0])).astype(int)
    cpu = wall - rng.integers(100, 900, wall.shape)
    wall[:5, 1] += 500_000
    return {
        "copies": 4,
        "loops": 3,
        "empty_ns": 300,
        "windows": 2,
        "steady": True,
        "first": ARMS[number % 2],
        "cold_ns": 500_000 + number,
        "order": [[0, 1, 2]] * 80,
        "copy": [row % 4 for row in range(80)],
        "wall_ns": wall.tolist(),
        "cpu_ns": cpu.tolist(),
        "tail_ns": (100_000 * np.exp(rng.exponential(0.1, (3, 120)))).astype(int).tolist(),
        "is_cpu_time_fine": True,
        "conditions": {"pinned": [1], "hash_seed": str(number), "quota": None, "gauges": GAUGES},
    }


def _benchmark(speedup: float, *, of_texts: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    scenario = "generate" if of_texts else "single_stream"
    texts = {**TEXTS, "samples_per_query": TEXTS["new_tokens"] - 1} if of_texts else {}
    question = Question(scenario, 1, 1, seed=7, **SETTINGS, **texts)
    processes = [(_text_process if of_texts else _process)(number, speedup) for number in range(6)]
    memory = {arm: {"peak_rss_bytes": 31_457_280, "how": "VmHWM"} for arm in ARMS[:2]}
    arms = SAMPLE["benchmark"]["comparisons"][0]["arms"]
    quantities = {arm: {key: arms[arm][key] for key in ("quantities", "quantity_reasons")} for arm in ARMS}
    busy = [0.5, *[0.0] * 5]
    record = {
        **{key: SAMPLE["benchmark"][key] for key in ("protocol", "clock")},
        "measured_at": SAMPLE["measurement"]["measured_at"],
        "machine": SAMPLE["machine"],
        "comparisons": [comparison(question, processes, busy, memory, quantities, 0.5)],
        "conditions": [measured_under(question, processes, busy, 0.5)],
    }
    samples = raw_arrays(0, question, processes)
    if of_texts:
        parity = _parity()
        record["comparisons"] = [with_generate(record["comparisons"][0], question, processes, parity)]
        record["conditions"][0]["generate"] = generate_conditions(parity)
        samples |= generate_arrays(0, processes, parity)
    return record, samples


def _text_process(number: int, speedup: float) -> dict[str, Any]:
    """Return a process of the scenario generate: a sample is all new tokens of a prompt but the first."""
    process, rng = _process(number, speedup), np.random.default_rng([7, number])
    wall = np.array(process["wall_ns"])
    variants = {
        f"{model}-{cache}": {
            what: (scale * np.exp(rng.normal(0, 0.01, 9 + number)) / (1 + (model == "optimized"))).astype(int).tolist()
            for what, scale in (("ttft_ns", 90_000), ("decode_ns", 2_000_000 if cache == "none" else 400_000))
        }
        for model, cache in VARIANTS
        if (model, cache) != SKIPPED
    }
    first = (100_000 * np.exp(rng.normal(0, 0.01, wall.shape)) / np.array([1.0, speedup, 1.0])).astype(int)
    timed = {"loops": 1, "empty_ns": 0, "tail_ns": wall.T.tolist()}
    return {**process, **timed, "generate": {"ttft_ns": first.tolist(), "variants": variants}}


def _parity() -> dict[str, Any]:
    tokens = np.random.default_rng(3).integers(0, 10, 2 * TEXTS["new_tokens"])
    other = np.where(np.arange(len(tokens)) % 5 == 4, (tokens + 1) % 10, tokens)
    variants = {}
    for model, cache in VARIANTS:
        said = (tokens if model == "baseline" else other).tolist()
        variants[f"{model}-{cache}"] = {
            "computed_by": "avx2" if cache == "float32" else "numpy",
            "reference_reason": None if cache == "float32" else "made up",
            "cache_bytes": 0 if cache == "none" else 4096,
            "largest_difference": 0.0 if (model, cache) == VARIANTS[0] else 1e-6 if model == "baseline" else 0.5,
            "skipped": "a generation takes too long" if (model, cache) == SKIPPED else None,
            "greedy": said,
            "forced": said,
        }
    return {"reference": tokens.tolist(), "texts": 2, "largest_logit": 8.0, "variants": variants}


def _size(stored: int, bits: int) -> dict[str, Any]:
    return {
        "stored_bytes": stored,
        "parameters": 1000,
        "nonzero_parameters": 1000,
        "macs": 960,
        "weight_bytes": 1000 * bits // 8,
        "bits_per_weight": float(bits),
        "working_set_bytes": 1000 * bits // 8,
    }


def _effect(stored: int, bits: int) -> dict[str, Any]:
    same = {f"{name}_{when}": 960 for name in ("macs", "nonzero", "parameters") for when in ("before", "after")}
    totals = {f"{name}_{when}": 1000 for name in ("nonzero", "parameters") for when in ("before", "after")}
    layer = {**LAYER, **same, "bits_after": bits, "bytes_before": 3840, "bytes_after": 960 * bits // 8}
    return {
        "technique": "quantize",
        "settings": {"bits": bits},
        "simulated": False,
        **totals,
        "macs_before": 960,
        "macs_after": 960,
        "stored_bytes_before": 4600,
        "stored_bytes_after": stored,
        "layers": [layer],
        "warnings": ["made up"],
    }


def _losses(predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return losses that models with these answers can have, in windows of ten tokens."""
    rng, found = np.random.default_rng(11), {}
    for split in ("validation", "test"):
        is_right = predictions[split] == predictions[f"{split}_labels"]
        losses = np.where(is_right, rng.uniform(0.01, 0.6, ITEMS), rng.uniform(0.8, 4.0, ITEMS))
        found[f"{split}_losses"] = losses.reshape(-1, 10).astype(np.float32)
        found[f"{split}_bytes"] = np.full(ITEMS // 10, 25, np.int64)
    return found


def _predictions(correct: tuple[int, int]) -> dict[str, np.ndarray]:
    labels = {split: np.arange(ITEMS) % 10 for split in ("validation", "test")}
    found = {f"{split}_labels": values for split, values in labels.items()}
    for split, count in zip(("validation", "test"), correct, strict=True):
        found[split] = np.where(np.arange(ITEMS) < count, labels[split], (labels[split] + 1) % 10)
    return found


# (bits, stored bytes, speed-up, correct on validation and test) of the points; the baseline is right on 350 and 349
Points = tuple[tuple[int, int, float, tuple[int, int]], ...]
POINTS: Points = ((8, 1400, 1.9, (349, 347)), (4, 900, 1.7, (346, 345)))


def _handed_over(points: Points, *, of_texts: bool) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for i, (bits, stored, speedup, correct) in enumerate(points):
        values[f"benchmark.{i}"], values[f"samples.{i}"] = _benchmark(speedup, of_texts=of_texts)
        values[f"profile.{i}"] = None
        values[f"effect.{i}.0"] = _effect(stored, bits)
        values[f"history.{i}"] = [{"epoch": 1, "train_loss": 0.5, "validation_accuracy": 0.9, "lr": 0.001}]
        values[f"history.{i}.0"] = []
        values[f"data.info.{i}"] = {
            "name": "digits",
            "digest": digest_bytes(b"digits"),
            "classes": [str(label) for label in range(10)],
            "counts": {"train": 1000, "validation": ITEMS, "test": ITEMS},
        }
        models = {"baseline": (4600, 32, (350, 349)), "optimized": (stored, bits, correct)}
        for side, (size, width, counts) in models.items():
            records = [accuracy_record(count, ITEMS) for count in counts]
            values[f"metrics.{side}.{i}"] = {
                **_size(size, width),
                **dict(zip(("validation", "test"), records, strict=True)),
            }
            predictions = _predictions(counts)
            values[f"predictions.{side}.{i}"] = predictions | (_losses(predictions) if of_texts else {})
    return values


def _inputs(points: Points, *, of_texts: bool) -> Inputs:
    artifacts: dict[str, InputArtifact] = {}
    for role, value in _handed_over(points, of_texts=of_texts).items():
        is_arrays = role.startswith(("samples", "predictions"))
        digest = digest_bytes(codec.encode(value) if is_arrays else role.encode())
        artifacts[role] = InputArtifact(digest, 1, lambda value=value: value)
    for i, (_, stored, _, _) in enumerate(points):
        for role, size in {"baseline": 4600, "optimized": stored, "data.train": 1, "data.validation": 1}.items():
            artifacts[f"{role}.{i}"] = InputArtifact(digest_bytes(f"{role}.{i}".encode()), size, lambda: None)
        artifacts[f"data.test.{i}"] = InputArtifact(digest_bytes(b"test"), 1, lambda: None)
    return Inputs(artifacts)


def _spec(points: Points, experiment: dict[str, Any]) -> dict[str, Any]:
    runs = [
        {
            "index": i,
            "label": f"bits={bits}",
            "arch": "mlp",
            "seed": 7,
            "point": {"bits": bits},
            "steps": [{"id": "quantize", "use": "quantize", "params": {}}],
        }
        for i, (bits, *_) in enumerate(points)
    ]
    return {"experiment": experiment, "name": "sample", "goals": experiment["goals"], "runs": runs}


def make_honest(points: Points = POINTS, *, of_texts: bool = False) -> Honest:
    """Return the submission as a file would hold it, and the arrays of its evidence; of language models if asked."""
    experiment = OF_TEXTS if of_texts else EXPERIMENT
    found = submit.execute(_spec(points, experiment), _inputs(points, of_texts=of_texts))
    submission = found["submission"]
    versions = submission["provenance"]["versions"]
    submission["machine"] = {**submission["machine"], "python": versions["python"], "numpy": versions["numpy"]}
    return json.loads(dump_submission(submission)), found["evidence"]


@pytest.fixture(scope="session")
def made() -> Honest:
    """What `make_honest` returns, made once."""
    return make_honest()


@pytest.fixture
def honest(made: Honest) -> Honest:
    """A copy that may be changed."""
    return copy.deepcopy(made)


@pytest.fixture(scope="session")
def made_of_texts() -> Honest:
    """The same of language models that continue texts, made once."""
    return make_honest(of_texts=True)


@pytest.fixture
def honest_texts(made_of_texts: Honest) -> Honest:
    """A copy that may be changed."""
    return copy.deepcopy(made_of_texts)
