"""The evidence itself: the file that was named, arrays of a real measurement, answers to the same items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.keys import digest_bytes
from pipeline.measure.generation import DEFAULTS, generate_arrays
from pipeline.measure.job import ARMS
from pipeline.measure.summary import raw_arrays
from pipeline.store.codecs import arrays as codec
from pipeline.submission.evidence import SIDES, Evidence
from pipeline.submission.language import LANGUAGE_ARRAYS
from pipeline.submission.rules.restore import processes_of, question_of
from pipeline.submission.rules.texts import parity_of

__all__ = ["answers", "broken_file", "broken_samples", "broken_setting"]

Broken = tuple[str, tuple[str | int, ...], str]

_WHERE = ("evidence",)
_LEAST_TICKS = 100  # of the clock's resolution in a sample: the protocol asks for 1000, calibrated before
_FEWEST = 8  # samples of which a series may be like another by chance
_SERIES = ("wall_ns", "tail_ns", "ttft_ns", "decode_ns")  # the ends of names of times by the wall clock
_SPLITS = ("validation", "test")
_SETTINGS = ("scenario", "processes", "target_ci", "budget_s", "threshold", "latency_limit_ms", "rate_per_s")


def broken_file(reference: Mapping[str, Any], data: bytes) -> Iterator[Broken]:
    """Yield what is not as the submission says of the file."""
    if len(data) != reference["size_bytes"]:
        yield "R010", ("evidence", "size_bytes"), f"found {reference['size_bytes']}, expected {len(data)}"
    if digest_bytes(data) != reference["digest"]:
        yield "R010", ("evidence", "digest"), f"found {reference['digest']}, expected {digest_bytes(data)}"


def answers(document: Mapping[str, Any], evidence: Evidence) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Return which answers are right, by model and split; raises ValueError if they are not to the same items."""
    names = {*_SPLITS, *(f"{split}_labels" for split in _SPLITS)}
    told = set(LANGUAGE_ARRAYS) if "language" in document else set()
    for side in SIDES:
        if set(evidence.predictions[side]) != names | told:
            wanted = "predictions, labels and losses" if told else "predictions and labels"
            raise ValueError(f"has no {wanted} of the {side} model, or others beside them")
        for name in sorted(names):
            array = evidence.predictions[side][name]
            if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
                raise ValueError(f"has {name} of the {side} model that are no list of whole numbers")
    classes = document["provenance"]["data"]["classes"]
    found: dict[str, dict[str, NDArray[np.bool_]]] = {side: {} for side in SIDES}
    for split in _SPLITS:
        labels = evidence.predictions[SIDES[0]][f"{split}_labels"]
        for side in SIDES:
            predicted = evidence.predictions[side][split]
            if not np.array_equal(labels, evidence.predictions[side][f"{split}_labels"]):
                raise ValueError(f"has other {split} labels for each model")
            if len(predicted) != len(labels):
                raise ValueError(f"has {len(predicted)} {split} predictions for {len(labels)} labels")
            if min(predicted.min(), labels.min()) < 0 or max(predicted.max(), labels.max()) >= classes:
                raise ValueError(f"has {split} answers that are none of the {classes} classes")
            found[side][split] = predicted == labels
    return found


def broken_samples(document: Mapping[str, Any], evidence: Evidence) -> Iterator[Broken]:
    """Yield what shows that samples were not taken as the protocol says; they have been restored before."""
    expected: dict[str, NDArray[Any]] = {}
    clock = document["benchmark"]["clock"]
    for index, under in enumerate(evidence.conditions):
        processes = processes_of(index, evidence)
        question = question_of(under)
        expected |= raw_arrays(index, question, processes)
        if question.scenario == "generate":
            parity = parity_of(index, evidence, question.new_tokens or 0)
            expected |= generate_arrays(index, processes, parity)
        for number, process in enumerate(processes):
            yield from _few_ticks(index, number, process, _LEAST_TICKS * clock["resolution_ns"])
            wall, cpu = np.array(process["wall_ns"]), np.array(process["cpu_ns"])
            for arm, times, busy in zip(ARMS, wall.T, cpu.T, strict=True):
                name = f"{index}.{arm}.{number}"
                over = busy > times + 10 * max(clock["cpu_resolution_ns"], 1_000) + times // 20
                if question.threads == 1 and process["is_cpu_time_fine"] and np.mean(over) > 0.1:
                    yield "R013", _WHERE, f"found CPU times of {name} above the wall clock's, expected fewer"
    for name in sorted(expected.keys() | evidence.samples.keys()):
        if not _equal(expected.get(name), evidence.samples.get(name)):
            yield "R011", _WHERE, f"found samples {name[:80]!r} that are not those expected, as a run writes them"
    yield from _duplicates(evidence)
    digest = digest_bytes(codec.encode(dict(evidence.samples)))
    if digest != document["provenance"]["samples"]:
        yield "R014", ("provenance", "samples"), f"found {document['provenance']['samples']}, expected {digest}"
    for side in SIDES:
        digest = digest_bytes(codec.encode(dict(evidence.predictions[side])))
        stated = document["provenance"]["predictions"][side]
        if digest != stated:
            yield "R014", ("provenance", "predictions", side), f"found {stated}, expected {digest}"


def _few_ticks(index: int, number: int, process: Mapping[str, Any], least: float) -> Iterator[Broken]:
    """Yield series whose samples the clock can hardly tell from each other."""
    series = dict(zip(ARMS, np.array(process["wall_ns"]).T, strict=True))
    for name, times in process.get("generate", {"variants": {}})["variants"].items():
        series[name] = times["decode_ns"]
    for name, times in series.items():
        if (median := np.median(times)) < least:
            where = f"{index}.{name}.{number}"
            yield "R013", _WHERE, f"found samples of {where} of {median:g} ns, expected at least {least:g} ns"


def _equal(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if one is None or other is None or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.tobytes() == other.tobytes()


def _duplicates(evidence: Evidence) -> Iterator[Broken]:
    seen: dict[tuple[str, bytes], str] = {}
    for name, array in sorted(evidence.samples.items()):
        if not name.endswith(_SERIES) or len(array) < _FEWEST:  # CPU time may be that of a coarse clock
            continue
        if not name.endswith("tail_ns") and array.min() == array.max():
            yield "R012", _WHERE, f"found {len(array)} equal samples in {name[:80]!r}, expected different ones"
        # Halves count, too: half of a series copied is a copy.
        half = len(array) - len(array) // 2
        for part in (array[:half], array[half:]) if len(array) >= 4 * _FEWEST else (array,):
            # Samples of one query each are the single queries, too: like is compared with like.
            other = seen.setdefault((name.rpartition(".")[2], part.tobytes()), name)
            if other != name:
                yield "R012", _WHERE, f"found in {name[:80]!r} the samples of {other[:80]!r}, expected its own"


def broken_setting(document: Mapping[str, Any], evidence: Evidence) -> Iterator[Broken]:
    """Yield where what was asked of the benchmark is not what the embedded experiment asks for."""
    asked = document["experiment"]["document"].get("benchmark")
    selection = document["selection"]
    chosen = next(point for point in selection["points"] if point["index"] == selection["chosen"])
    for index, under in enumerate(evidence.conditions):
        question = question_of(under)
        if question.seed != chosen["seed"]:
            yield "R028", _WHERE, f"found the seed {question.seed} in comparison {index}, expected {chosen['seed']}"
        if not isinstance(asked, dict) or "$" in str(asked) or any("benchmark" in key for key in chosen["point"]):
            continue  # settings that the sweep gives to each point
        for name in _SETTINGS:
            value = getattr(question, name)
            if asked.get(name) != value:
                yield "R028", _WHERE, f"found {name} {value} in comparison {index}, expected {asked.get(name)}"
        for name, usual in DEFAULTS.items() if question.scenario == "generate" else ():
            value, wanted = getattr(question, name), asked.get(name) or usual
            if value != wanted:
                yield "R028", _WHERE, f"found {name} {value} in comparison {index}, expected {wanted}"
        for name, listed in (("batch_size", "batch_sizes"), ("threads", "threads")):
            if isinstance(asked.get(listed), list) and getattr(question, name) not in asked[listed]:
                yield "R028", _WHERE, f"found {name} {getattr(question, name)}, expected one of {asked[listed]}"
