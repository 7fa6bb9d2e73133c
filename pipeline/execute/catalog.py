"""Binds the planner to this installation: its tables of stages, models, datasets and passes, and the data on disk."""

from __future__ import annotations

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.plan import Catalog
from pipeline.execute.environment import Environment, library_version
from pipeline.stages import STAGES
from pipeline.store.codecs import CODECS
from tinytorch.data import DATASETS
from tinytorch.models import MODELS
from tinytorch.passes import PASSES, needs, resolve

__all__ = ["codec_modules", "make_catalog", "package_version"]


def make_catalog(environment: Environment) -> Catalog:
    """Return what the planner asks of the world; datasets' files are digested when it asks."""
    return Catalog(
        stages=STAGES,
        model_module=MODELS.__getitem__,
        dataset_module=DATASETS.__getitem__,
        resolve_step=resolve,
        pass_module=PASSES.__getitem__,
        pass_needs=needs,
        data_files=environment.data.digests,
        codec_modules=codec_modules,
        package_version=package_version,
    )


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
