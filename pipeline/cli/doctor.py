"""Check this machine and installation: versions, BLAS, cores, what can be measured here and what cannot."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from pipeline.cli.answer import Answer
from pipeline.cli.experiment import add_store_argument, is_url
from pipeline.cli.tables import table
from pipeline.core.errors import EnvironmentProblem
from pipeline.measure import machine
from pipeline.measure.clock import measure_clock
from pipeline.measure.gauge import read_gauges
from pipeline.measure.quantities import QUANTITIES, not_offered
from pipeline.measure.quiet import idlest
from pipeline.store.remote import Remote
from tinytorch.errors import KernelsError
from tinytorch.kernels import native
from tinytorch.kernels.build_native import REBUILD, is_stale

__all__ = ["configure", "run"]

# package -> the extra that brings it, "" for those that are always installed
_PACKAGES = {
    "numpy": "",
    "PyYAML": "",
    "jsonschema": "",
    "rich": "",
    "safetensors": "",
    "threadpoolctl": "",
    "altair": "report",
    "jinja2": "report",
    "vl-convert-python": "report",
    "pillow": "images",
    "mlcommons-loadgen": "mlperf",
    "onnx": "peers",
    "onnxruntime": "peers",
    "openvino": "peers",
    "torch": "peers",
    "optuna": "search",
    "fsspec": "remote",
    "dask": "dask",
    "distributed": "dask",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_store_argument(parser)


def run(args: argparse.Namespace) -> Answer:
    """Answer with a table of checks; the exit code is 6 when something that is needed is missing."""
    location = args.store or os.environ.get("PIPELINE_STORE") or ".pipeline"
    rows = [*_versions(), *_machine(), _shared_store(location) if is_url(location) else _store(Path(location))]
    failed = any(row["status"] == "missing" for row in rows)
    text = table(("status", "what", "found"), [(row["status"], row["what"], row["found"]) for row in rows])
    return Answer(text, {"checks": rows, "machine": machine.facts()}, 6 if failed else 0)


def _row(status: str, what: str, found: str) -> dict[str, str]:
    return {"status": status, "what": what, "found": found}


def _versions() -> list[dict[str, str]]:
    rows = [_row("ok", "Python", f"{platform.python_version()} ({platform.machine()})")]
    for package, extra in _PACKAGES.items():
        try:
            rows.append(_row("ok", package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            fix = f'pip install "tinytorch-pipeline[{extra}]"' if extra else "pip install tinytorch-pipeline"
            rows.append(_row("optional" if extra else "missing", package, fix))
    return rows


def _machine() -> list[dict[str, str]]:
    facts: dict[str, Any] = machine.facts()
    np.ones((2, 2)) @ np.ones((2, 2))  # loads the BLAS library, so that it can be asked for its name
    blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    named = ", ".join(f"{pool['internal_api']} {pool['version']} ({pool.get('architecture', '?')})" for pool in blas)
    rows = [
        _row(
            "ok",
            "processor",
            f"{facts['cpu']}, {facts['cores']['allowed']} of {facts['cores']['online']} cores allowed",
        ),
        _row("ok", "instructions", " ".join(facts["flags"] or [])),
        _row("ok" if blas else "note", "BLAS", named or "numpy does not say"),
        *_kernels(),
        _row("ok", "clock", f"perf_counter_ns, resolution {measure_clock().resolution_ns} ns"),
    ]
    rows += [_row("note", key, f"not readable: {reason}") for key, reason in facts["missing"].items()]
    return [*rows, *_gauges(), *_quantities()]


def _kernels() -> list[dict[str, str]]:
    """Say which kernels run a model here, how they were compiled, and why not the native ones."""
    try:
        isa = native.isa()
    except KernelsError as error:
        return [_row("missing", "kernels", str(error))]
    if isa is None:
        build = "" if native.isas() else f"; with a C compiler, {REBUILD} builds them"
        return [_row("note", "kernels", f"NumPy, the reference: {native.why_not()}{build}")]
    digest, compiler = native.build_facts()
    others = ", ".join(name for name in native.isas() if name != isa)
    rows = [_row("ok", "kernels", f"native, {isa}" + (f" (also here: {others})" if others else ""))]
    if is_stale(digest):
        rows.append(_row("note", "kernels", f"their C source has changed since they were built: {REBUILD}"))
    rows.append(_row("ok", "compiler", compiler))
    if version := native.openmp():
        return [*rows, _row("ok", "OpenMP", f"{version}, a session can use several threads")]
    return [*rows, _row("note", "OpenMP", "the compiler has none: a session uses one thread")]


# Counter of the kernel -> what it tells of others
_GAUGES = {"load": "use of cores", "load_average": "load", "pressure": "pressure", "pauses": "pauses by a quota"}


def _gauges() -> list[dict[str, str]]:
    """Say whether a core is free now, and which gauges of other programs a benchmark here would go without."""
    place = idlest(1)
    missing = read_gauges().missing
    rows = [_row("ok" if place.is_quiet else "note", "free core", str(place))] if place else []
    return rows + [
        _row("note", what, f"not readable: {missing[key]}") for key, what in _GAUGES.items() if key in missing
    ]


def _quantities() -> list[dict[str, str]]:
    """Say which quantities besides time a benchmark here would hold, and why not the others."""
    cores = os.sched_getaffinity(0) if sys.platform == "linux" else ()
    reasons = not_offered(cores, 1)
    return [
        _row("note", what, f"not measured: {reasons[name]}") if name in reasons else _row("ok", what, "measured")
        for name, what in QUANTITIES.items()
    ]


def _shared_store(url: str) -> dict[str, str]:
    remote = Remote(url)
    try:
        remote.has("0" * 64, 0)
    except EnvironmentProblem as error:
        return _row("missing", "store", f"{error} ({error.hint})")
    return _row("ok", "store", f"{remote.name} can be read")


def _store(path: Path) -> dict[str, str]:
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = os.statvfs(existing)
    except OSError as error:
        return _row("missing", "store", f"{path}: {existing} cannot be written to: {error.strerror}")
    return _row("ok", "store", f"{path}, {free.f_bavail * free.f_frsize / 2**30:.1f} GiB free")
