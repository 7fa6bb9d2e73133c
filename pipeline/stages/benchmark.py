"""The benchmark stage: time baseline against optimized, for every batch size and thread count, in fresh processes.

It prepares files and queries and gathers the records; how something is timed is in pipeline/measure, what the samples
say in pipeline/stats.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.stage import Inputs
from pipeline.measure.queries import draw_queries
from pipeline.measure.quiet import Patience
from pipeline.measure.sampling import Material, collect
from pipeline.measure.setting import check_threads, measured_machine, timestamp
from pipeline.measure.summary import Question, comparison, measured_under, raw_arrays
from tinytorch.data.split import Split
from tinytorch.serialization import save

__all__ = ["PROTOCOL", "SCENARIOS", "execute"]

PROTOCOL = "paired-clean/1"

# What a scenario times is a query of `batch_size` samples, the next when one is done; the names are MLPerf's.
SCENARIOS = {
    "single_stream": "latency of one query after the other",
    "multi_stream": "latency of queries of several samples",
    "offline": "throughput over everything",
}


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the benchmark record and every raw sample.

    Raises UserError for an unknown scenario, EnvironmentProblem for more threads than cores, WorkerFailed if a worker
    process dies.
    """
    if spec["scenario"] not in SCENARIOS:
        raise UserError(f"scenario must be one of {', '.join(SCENARIOS)}, not {spec['scenario']!r}")
    check_threads(spec["threads"])
    measured_at = timestamp()
    images = Split.from_arrays(inputs["sample"])
    records: list[dict[str, Any]] = []
    samples: dict[str, NDArray[Any]] = {}
    conditions: list[dict[str, Any]] = []
    processes: list[Mapping[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        material = Material(
            folder / "baseline.safetensors", folder / "optimized.safetensors", folder / "queries.npy", folder
        )
        save(inputs["baseline"], material.baseline)
        save(inputs["optimized"], material.optimized)
        for question in _questions(spec):
            np.save(material.queries, draw_queries(images, question.batch_size, question.seed), allow_pickle=False)
            collected = collect(question, material, patience=Patience(spec["wait_s"], inputs.say))
            samples |= raw_arrays(len(records), question, collected.processes)
            runs, busy, waited_s = collected.processes, collected.busy, collected.waited_s
            records.append(comparison(question, runs, busy, collected.memory, collected.quantities, waited_s))
            conditions.append(measured_under(runs, busy, waited_s))
            processes += collected.processes
    benchmark = {
        "protocol": PROTOCOL,
        "measured_at": measured_at,
        "machine": measured_machine(processes[0]),
        "clock": processes[0]["clock"],
        "comparisons": records,
        "conditions": conditions,
    }
    return {"benchmark": benchmark, "samples": samples}


def _questions(spec: Mapping[str, Any]) -> list[Question]:
    """Return what is compared; the first batch size with the first thread count is the primary comparison."""
    return [
        Question(
            scenario=spec["scenario"],
            batch_size=batch_size,
            threads=threads,
            processes=spec["processes"],
            target_ci=spec["target_ci"],
            budget_s=spec["budget_s"],
            threshold=spec["threshold"],
            seed=spec["seed"],
        )
        for batch_size in spec["batch_sizes"]
        for threads in spec["threads"]
    ]
