"""The loadgen stage: let MLPerf's LoadGen measure baseline and optimized model, beside our own comparison.

It prepares files and gathers records; how LoadGen is driven is in pipeline/measure. The logs that LoadGen wrote are an
output of their own, word for word.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.stage import Inputs
from pipeline.measure.loadgen import LoadGenQuestion, compare
from pipeline.measure.setting import check_threads, timestamp
from tinytorch.data.split import Split
from tinytorch.serialization import save

__all__ = ["execute", "first_samples"]

_MOST = 1024  # samples: what MLPerf asks of image classification
_MOST_BYTES = 64 * 1024**2


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return a record for every batch size and thread count, and LoadGen's logs by "condition/run".

    Raises EnvironmentProblem for more threads than cores, WorkerFailed if a worker process dies, LogUnreadable if
    LoadGen left no readable logs.
    """
    check_threads(spec["threads"])
    records: list[dict[str, Any]] = []
    logs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="loadgen-") as name:
        root = Path(name)
        models = {arm: root / f"{arm}.safetensors" for arm in ("baseline", "optimized")}
        for arm, path in models.items():
            save(inputs[arm], path)
        np.save(root / "samples.npy", first_samples(Split.from_arrays(inputs["sample"])), allow_pickle=False)
        for number, question in enumerate(_questions(spec)):
            folder = root / str(number)
            folder.mkdir()
            record = compare(question, models, root / "samples.npy", folder)
            logs |= {f"{number}/{run}": texts for run, texts in record.pop("logs").items()}
            records.append({"measured_at": timestamp(), **record})
    return {"loadgen": {"records": records}, "logs": logs}


def first_samples(split: Split, most: int = _MOST) -> NDArray[np.float32]:
    """Return the first samples of a split as (count, 1, *shape): at most `most` and 64 MiB, at least one."""
    size = split.images(np.array([0])).nbytes
    count = max(1, min(len(split), most, _MOST_BYTES // size))
    return split.images(np.arange(count))[:, np.newaxis]


def _questions(spec: Mapping[str, Any]) -> Iterator[LoadGenQuestion]:
    for batch_size in spec["batch_sizes"]:
        for threads in spec["threads"]:
            yield LoadGenQuestion(
                scenario=spec["scenario"],
                batch_size=batch_size,
                threads=threads,
                budget_s=spec["budget_s"],
                seed=spec["seed"],
                rate_per_s=spec.get("rate_per_s"),
                latency_limit_ms=spec.get("latency_limit_ms"),
            )
