"""The benchmark stage: time baseline against optimized, for every batch size and thread count, in fresh processes.

It prepares files and queries and gathers the records; how something is timed is in pipeline/measure, what the samples
say in pipeline/stats.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.stage import Inputs
from pipeline.measure.queries import Images, draw_queries
from pipeline.measure.quiet import Patience
from pipeline.measure.sampling import Material, collect, plan_sessions, slowest_call_ns
from pipeline.measure.scenario import SCENARIOS, pass_samples, phases_of, samples_per_query
from pipeline.measure.setting import check_threads, measured_machine, timestamp
from pipeline.measure.summary import Question, comparison, measured_under, raw_arrays
from tinytorch.serialization import save
from tinytorch.tasks import load_task

__all__ = ["PROTOCOL", "execute"]

PROTOCOL = "paired-clean/1"


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the benchmark record and every raw sample.

    Raises UserError for an unknown scenario, EnvironmentProblem for more threads than cores, WorkerFailed if a worker
    process dies.
    """
    if spec["scenario"] not in SCENARIOS:
        raise UserError(f"scenario must be one of {', '.join(SCENARIOS)}, not {spec['scenario']!r}")
    check_threads(spec["threads"])
    measured_at = timestamp()
    images = load_task("splits", spec.get("task")).read_split(inputs["sample"])
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
        for asked in _questions(spec):
            _write_queries(asked, images, material)
            sessions = plan_sessions(asked, material)
            material = replace(material, sessions=sessions)
            question = _prepared(asked, images, material)
            phases = phases_of(question.scenario, question.processes, question.budget_s)
            patience = Patience(spec["wait_s"], inputs.say)
            collected = collect(question, material, phases, patience)
            samples |= raw_arrays(len(records), question, collected.processes)
            runs, busy, waited_s = collected.processes, collected.busy, collected.waited_s
            found = comparison(question, runs, busy, collected.memory, collected.quantities, waited_s, sessions)
            records.append(found)
            conditions.append(measured_under(question, runs, busy, waited_s))
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


def _prepared(question: Question, images: Images, material: Material) -> Question:
    """Return the question with the samples of a query, and write its queries; a scenario may choose by the speed."""
    if not SCENARIOS[question.scenario].is_in_passes:
        return question
    sample_bytes = images.images(np.array([0])).nbytes
    samples = pass_samples(question.batch_size, slowest_call_ns(question, material), sample_bytes)
    sized = replace(question, samples_per_query=samples)
    _write_queries(sized, images, material)
    return sized


def _write_queries(question: Question, images: Images, material: Material) -> None:
    np.save(material.queries, draw_queries(images, question.samples_per_query, question.seed), allow_pickle=False)


def _questions(spec: Mapping[str, Any]) -> list[Question]:
    """Return what is compared; the first batch size with the first thread count is the primary comparison."""
    return [
        Question.of(
            spec,
            spec["scenario"],
            batch_size,
            threads,
            samples_per_query=samples_per_query(spec["scenario"], batch_size),
            latency_limit_ms=spec.get("latency_limit_ms"),
            rate_per_s=spec.get("rate_per_s"),
        )
        for batch_size in spec["batch_sizes"]
        for threads in spec["threads"]
    ]
