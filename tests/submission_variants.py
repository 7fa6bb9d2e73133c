"""Many different submissions from one real or made-up one: other times, answers and weights, every figure made anew.

A variant is what an honest run would have written had it measured and answered so: it keeps every rule.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from pipeline.core.keys import digest_bytes
from pipeline.measure.job import ARMS
from pipeline.measure.summary import raw_arrays
from pipeline.stats.accuracy import accuracy_record
from pipeline.store.codecs import arrays as codec
from pipeline.submission.build import document_digest, figures, point_record, speed_record
from pipeline.submission.compare import speed_verdicts
from pipeline.submission.competition.terms import find_competition
from pipeline.submission.evidence import FILE, Evidence, packed, reference_to, unpacked
from pipeline.submission.rules.proof import answers
from pipeline.submission.rules.recompute import candidate_of, comparisons_of, goals_of
from pipeline.submission.rules.restore import processes_of, question_of
from pipeline.submission.select import constraints_on, rule_of
from pipeline.submission.write import dump_submission
from tests.pipeline.submission.rules.conftest import POINTS, make_honest

_SPLITS = ("validation", "test")


@dataclass(frozen=True)
class Variant:
    """How a submission differs from its template: times of the optimized model by `slower`, answers changed on `flips`
    items chosen by `answers`, weights by `weights`; all else, the noise of the times above all, by `seed`.
    """

    seed: int
    slower: float = 1.0
    flips: int = 0
    answers: int | None = None
    weights: int | None = None
    measured_at: str = "2026-11-22T12:00:00Z"


def read_template(folder: Path) -> tuple[dict[str, Any], Evidence]:
    """Return a submission of one point, with its evidence."""
    document = json.loads((folder / "submission.json").read_bytes())
    return document, unpacked((folder / FILE).read_bytes())


def made_up_template() -> tuple[dict[str, Any], Evidence]:
    """Return a submission of one point from a made-up clock, for the competition of `cup`."""
    document, arrays = make_honest(POINTS[:1])
    document = with_experiment(document, {**find_competition("tiny_digits").baseline, "competition": "cup"})
    return document, unpacked(codec.encode(arrays))


def cup(document: Mapping[str, Any], terms: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of a competition that a made-up submission passes, with some terms replaced."""
    schema = copy.deepcopy(dict(find_competition("tiny_digits").schema))
    data = {key: document["provenance"]["data"][key] for key in ("name", "digest", "roles")}
    accuracy = {"optimized": {"properties": {"test": {"properties": {"accuracy": {"minimum": 0.9}}}}}}
    schema |= {"$id": "urn:tinytorch-pipeline:competitions:cup", "title": "Cup"}
    schema["properties"] = {"accuracy": {"properties": accuracy}}
    schema["x-competition"] |= {"data": data, "ranking": RANKING, **(terms or {})}
    schema["x-competition"]["baseline"]["seeds"] = [document["provenance"]["seeds"]["submitted"]]
    return schema


RANKING = {
    "primary": {"path": "comparisons.speed.speedup.estimate", "best": "highest"},
    "ties": "overlapping_intervals",
    "then": [{"path": "accuracy.optimized.test.accuracy", "best": "highest"}],
}


def with_experiment(template: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a submission whose embedded experiment has other keys."""
    document = copy.deepcopy(dict(template))
    document["experiment"]["document"] |= changes
    digest = document_digest(document["experiment"]["document"])
    document["experiment"]["digest"] = document["provenance"]["experiment"] = digest
    return document


def vary(template: Mapping[str, Any], evidence: Evidence, variant: Variant) -> tuple[bytes, bytes]:
    """Return the submission's file and that of its evidence."""
    evidence = replace(evidence, samples=_samples(evidence, variant), predictions=_predictions(evidence, variant))
    document = {**template, "provenance": dict(template["provenance"])}
    document["timestamp"] = variant.measured_at
    document["measurement"] = {**template["measurement"], "measured_at": variant.measured_at}
    document["accuracy"] = _counts(template, evidence)
    # What the steps before gave is not known here: as if they had not been evaluated.
    document["effects"] = [
        {key: value for key, value in effect.items() if key != "accuracy"} for effect in template["effects"]
    ]
    _give_digests(document, evidence, variant)
    _give_figures(document, evidence)
    arrays = packed(evidence)
    document["evidence"] = reference_to(arrays)
    return dump_submission(document).encode(), codec.encode(arrays)


def write(folder: Path, files: tuple[bytes, bytes]) -> Path:
    """Write a submission's two files; return the submission's path."""
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(files[1])
    path = folder / "submission.json"
    path.write_bytes(files[0])
    return path


def _samples(evidence: Evidence, variant: Variant) -> dict[str, np.ndarray]:
    """Return other times of every arm: each process's by a factor of its own, each sample's by a little more."""
    rng = np.random.default_rng(variant.seed)
    found = dict(evidence.samples)
    for index, under in enumerate(evidence.conditions):
        for number in range(len(under["loops"])):
            shared = np.exp(rng.normal(0, 0.003))
            for arm in ARMS:
                slower = shared * np.exp(rng.normal(0, 0.002)) * (variant.slower if arm == "optimized" else 1.0)
                wall, cpu, tail = (f"{index}.{arm}.{number}.{name}_ns" for name in ("wall", "cpu", "tail"))
                noise = slower * np.exp(rng.normal(0, 0.002, len(found[wall])))
                waited = found[wall] - found[cpu]
                found[wall] = np.maximum(np.rint(found[wall] * noise), 1).astype(np.int64)
                found[cpu] = np.maximum(found[wall] - waited, 0)
                jitter = slower * np.exp(rng.normal(0, 0.002, len(found[tail])))
                found[tail] = np.maximum(np.rint(found[tail] * jitter), 1).astype(np.int64)
        changed = replace(evidence, samples=found)
        found |= raw_arrays(index, question_of(under), processes_of(index, changed))
    return found


def _predictions(evidence: Evidence, variant: Variant) -> dict[str, dict[str, np.ndarray]]:
    """Return predictions of which the optimized model's differ on some more items."""
    rng = np.random.default_rng(variant.seed if variant.answers is None else variant.answers)
    found = {side: dict(arrays) for side, arrays in evidence.predictions.items()}
    classes = 1 + int(max(found["optimized"][f"{split}_labels"].max() for split in _SPLITS))
    for split in _SPLITS:
        predicted = found["optimized"][split].copy()
        places = rng.choice(len(predicted), variant.flips, replace=False)
        predicted[places] = (predicted[places] + rng.integers(1, classes, variant.flips)) % classes
        found["optimized"][split] = predicted
    return found


def _counts(template: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
    counted: dict[str, Any] = {}
    for side, record in template["accuracy"].items():
        predicted = evidence.predictions[side]
        right = {split: int(np.sum(predicted[split] == predicted[f"{split}_labels"])) for split in _SPLITS}
        counted[side] = {
            split: {**record[split], **accuracy_record(right[split], record[split]["evaluated"])} for split in _SPLITS
        }
    return counted


def _give_digests(document: dict[str, Any], evidence: Evidence, variant: Variant) -> None:
    rng = Random(variant.seed if variant.weights is None else variant.weights)
    provenance = document["provenance"]
    provenance["samples"] = digest_bytes(codec.encode(dict(evidence.samples)))
    provenance["predictions"] = {
        side: digest_bytes(codec.encode(dict(arrays))) for side, arrays in evidence.predictions.items()
    }
    provenance["weights"] = {**provenance["weights"], "optimized": digest_bytes(rng.randbytes(8))}
    if "tensors" in provenance:
        names = provenance["tensors"]["optimized"]
        made = {name: digest_bytes(rng.randbytes(8)) for name in names}
        provenance["tensors"] = {**provenance["tensors"], "optimized": made}


def _give_figures(document: dict[str, Any], evidence: Evidence) -> None:
    """Compute every figure from the evidence, by the functions of a run."""
    goals = goals_of(document)
    (point,) = document["selection"]["points"]
    document["selection"] = {**document["selection"], "rule": rule_of(goals), "points": [dict(point)]}
    document["selection"]["points"][0]["weights"] = document["provenance"]["weights"]["optimized"]
    chosen = candidate_of(document, comparisons_of(document, evidence), answers(document, evidence))
    (verdict,) = speed_verdicts([chosen])
    found = figures(chosen, goals, document["provenance"]["versions"])
    found["measurement"]["status"] = document["measurement"]["status"]
    found["comparisons"]["speed"] = speed_record(chosen, verdict)
    document.update(found)
    document["selection"]["points"] = [point_record(chosen, constraints_on(chosen, goals), verdict)]
