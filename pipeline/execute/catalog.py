"""Binds the planner to this installation: its tables of stages, models, datasets and passes, and the data on disk."""

from __future__ import annotations

from pipeline.core.plan import Catalog
from pipeline.execute.environment import CodeDigests
from pipeline.execute.sources import DataFiles
from pipeline.stages import STAGES
from pipeline.store.local import LocalStore
from tinytorch.data import DATASETS
from tinytorch.models import MODELS
from tinytorch.passes import PASSES, needs, resolve

__all__ = ["make_catalog"]


def make_catalog(store: LocalStore, code: CodeDigests) -> Catalog:
    """Return what the planner asks of the world; datasets' files are digested when it asks."""
    files = DataFiles(store, code.module_digest)
    return Catalog(
        stages=STAGES,
        model_module=MODELS.__getitem__,
        dataset_module=DATASETS.__getitem__,
        resolve_step=resolve,
        pass_module=PASSES.__getitem__,
        pass_needs=needs,
        data_files=files.digests,
    )
