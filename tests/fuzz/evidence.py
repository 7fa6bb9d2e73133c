"""Submissions with evidence: arrays of samples and answers changed, every digest computed again, figures recomputed."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.store.codecs import arrays as codec
from pipeline.submission.evidence import FILE, reference_to
from pipeline.submission.read import read_submission
from pipeline.submission.trust import trust_in
from pipeline.submission.validate import check_submission, schema_version
from tests.fuzz.changes import change_bytes, change_tree
from tests.fuzz.commands import keys
from tests.fuzz.files import PIPE, Files
from tests.fuzz.models import change_array
from tests.pipeline.submission.rules.conftest import make_honest

__all__ = ["check_evidence", "make_evidence"]

_NAMES = ("samples.", "predictions.baseline", "conditions.x", "", "samples.0.parity.reference")
_NAMES += ("predictions.baseline.test_losses", "predictions.optimized.test_bytes", "samples.0.baseline-int8.0.ttft_ns")
_CONDITIONS = ("question", "loops", "generate", "skipped", "gauges", "kv_cache", "busy_before")  # keys of theirs
_DTYPES = ("float64", "float32", "float16", "bool", "complex64", "int32", "uint64")


def make_evidence(rng: Random) -> Files:
    """Return a submission and a file of evidence, one or both of them changed."""
    document, arrays = copy.deepcopy(_honest(of_texts=rng.random() < 0.5))
    if rng.random() < 0.85:
        _change_arrays(arrays, rng)
    data = codec.encode(arrays)
    if rng.random() < 0.1:
        data = change_bytes(data, rng)
    if rng.random() < 0.3:
        document = change_tree(document, rng, keys("submission.v2"))
    if rng.random() < 0.9 and isinstance(document, dict):
        document["evidence"] = reference_to(arrays)
    text = json.dumps(document).encode("utf-8", "surrogatepass")
    return {"submission.json": text, FILE: PIPE if rng.random() < 0.01 else data}


def check_evidence(folder: Path) -> bool:
    """Return whether the figures follow from the evidence."""
    path = folder / "submission.json"
    try:
        document = read_submission(path)
        check_submission(document)
        return schema_version(document) == 2 and trust_in(document, path) == "recomputed"
    except PipelineError:
        return False


def _change_arrays(arrays: dict[str, np.ndarray], rng: Random) -> None:
    """Change, remove, rename or exchange arrays; or what the text among them says."""
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        name, other = rng.choice(sorted(arrays)), rng.choice(sorted(arrays))
        choice = rng.randrange(8)
        if choice == 0:
            del arrays[name]
        elif choice == 1:
            arrays[name], arrays[other] = arrays[other], arrays[name]
        elif choice == 2:
            arrays[rng.choice((f"{name}x", *_NAMES))] = arrays[name]
        elif choice == 3 and "conditions" in arrays:
            arrays["conditions"] = _changed_text(arrays["conditions"], rng)
        elif choice == 4:
            with np.errstate(all="ignore"):
                arrays[name] = arrays[name].astype(rng.choice(_DTYPES))
        elif choice == 5 and arrays[name].dtype.kind == "f" and arrays[name].size:
            at = rng.randrange(arrays[name].size)
            arrays[name] = arrays[name].copy()
            arrays[name].flat[at] = rng.choice((np.nan, np.inf, -np.inf, -1.0, 0.0, 700.0, 701.0, 3e38))
        else:
            arrays[name] = change_array(arrays[name], rng)
        if not arrays:
            return


def _changed_text(array: np.ndarray, rng: Random) -> np.ndarray:
    try:
        tree: Any = json.loads(array.tobytes())
    except ValueError:
        return array
    return np.frombuffer(json.dumps(change_tree(tree, rng, (*keys("submission.v2"), *_CONDITIONS))).encode(), np.uint8)


@cache
def _honest(*, of_texts: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a submission and the arrays that its figures follow from."""
    return make_honest(of_texts=of_texts)
