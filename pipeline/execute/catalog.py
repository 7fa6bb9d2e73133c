"""Binds the planner to this installation: its tables of stages, models, datasets and passes, and the data on disk."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.core.plan import Catalog
from pipeline.execute.environment import Environment, library_version
from pipeline.own.record import custom_code
from pipeline.own.use import find_installed
from pipeline.stages import STAGES
from pipeline.store.codecs import CODECS
from tinytorch.data import DATASETS
from tinytorch.models import MODELS, STORED, WEIGHTS_MODULE
from tinytorch.own import own_entries
from tinytorch.passes import PASSES, needs, resolve
from tinytorch.tasks import CLASSIFICATION, LAYERS, TABLES, task_of

__all__ = ["codec_modules", "make_catalog", "package_version", "task_modules"]


def make_catalog(environment: Environment) -> Catalog:
    """Return what the planner asks of the world; datasets' files are digested when it asks."""
    return Catalog(
        stages=STAGES,
        model_module=functools.partial(_module, "models", MODELS),
        dataset_module=functools.partial(_module, "data", DATASETS),
        resolve_step=_resolved,
        pass_module=PASSES.__getitem__,
        pass_needs=needs,
        data_files=environment.data.digests,
        codec_modules=codec_modules,
        package_version=package_version,
        custom=_custom,
        file_digest=_file_digest,
        task=task_modules,
    )


def _module(kind: str, table: Mapping[str, str], name: str) -> str:
    """Return the module of an entry, that of an installed package if there is none of ours; raises UserError."""
    if kind == "models" and name == STORED:
        return WEIGHTS_MODULE
    if name not in table and not find_installed(kind, name):
        raise UserError(
            f"there is no entry {name} of {kind} here any more",
            hint="name the file or package that has it: --use FILE.py",
        )
    return table[name]


def _custom(modules: Collection[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a submission says of code and metrics of the user's own, and the modules of the metrics."""
    metrics = [entry for entry in own_entries() if entry.kind == "metrics"]
    code = custom_code({*modules, *(entry.module for entry in metrics)})
    named = {"custom_metrics": sorted(entry.name for entry in metrics)} if metrics else {}
    marked = {"custom_code": code} if code else {}
    return {**marked, **named}, tuple(dict.fromkeys(entry.module for entry in metrics))


def _file_digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: the weights cannot be read: {error.strerror}") from error


def _resolved(step: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if step == "custom":
        _module("passes", PASSES, params["name"])
    return resolve(step, params)


def task_modules(dataset: str, aspects: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Return what networks learn from a data set, "" where it is its classes, and the modules of these aspects."""
    task = task_of(dataset)
    modules = (*(TABLES[aspect][task] for aspect in aspects), *([LAYERS[task]] if task in LAYERS else []))
    return "" if task == CLASSIFICATION else task, modules


def codec_modules(codec: str) -> tuple[str, ...]:
    """Return the modules that write and read a codec; what reads models imports every layer that one may have."""
    return (CODECS[codec], "tinytorch.serialization") if codec == "model" else (CODECS[codec],)


def package_version(module: str, extra: str) -> str:
    """Return the version of an optional module without importing it; raises EnvironmentProblem if it is missing."""
    version = library_version(module)
    if version == "absent":
        raise EnvironmentProblem(
            f"the package of {module} is not installed", hint=f'pip install "tinytorch-pipeline[{extra}]"'
        )
    return version
