"""The profile stage: what each layer of the baseline holds, computes and takes, and what bounds it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.stage import Inputs
from pipeline.measure.job import Job
from pipeline.measure.launch import run_worker
from pipeline.measure.queries import draw_queries
from pipeline.measure.quiet import idlest
from pipeline.measure.setting import check_threads, measured_machine, timestamp
from tinytorch.serialization import save
from tinytorch.tasks import load_task

__all__ = ["execute"]

_TIMEOUT_S = 300.0  # only ends what hangs: a layer is given 0.1 s


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the profile record, timed in one fresh worker process.

    Raises EnvironmentProblem for more threads than cores, WorkerFailed if the worker process dies.
    """
    threads, batch_size = spec["threads"], spec["batch_size"]
    check_threads([threads])
    images = load_task("splits", spec.get("task")).read_split(inputs["sample"])
    measured_at = timestamp()
    with tempfile.TemporaryDirectory(prefix="profile-") as name:
        folder = Path(name)
        save(inputs["model"], folder / "model.safetensors")
        np.save(folder / "queries.npy", draw_queries(images, batch_size, seed=0), allow_pickle=False)
        place = idlest(threads)
        job = Job(
            kind="profile",
            models={"model": str(folder / "model.safetensors")},
            inputs=str(folder / "queries.npy"),
            result=str(folder / "profile.json"),
            threads=threads,
            seed=0,
            cores=place.cores if place else None,
        )
        result = run_worker(job, _TIMEOUT_S)
    machine = measured_machine(result)
    result.pop("conditions")
    return {"profile": {"measured_at": measured_at, "machine": machine, "threads": threads, **result}}
