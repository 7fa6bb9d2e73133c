"""Data sets by name.

`DATASETS` maps a name to the module that loads it, resolved only when it is asked for: listing imports no NumPy, and
a change to one data set leaves the cached results of the others alone. Every module offers ``ARGS`` (argument ->
default), ``load(root, seed, **args)``, ``shape(**args)``, ``classes_count(**args)`` and ``files(root, **args)``.
"""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType

from tinytorch.own import own_module

__all__ = ["DATASETS", "OF_ONE_FILE", "load_dataset_module"]

DATASETS: dict[str, str] = {
    "cifar10": "tinytorch.data.cifar10",
    "digits": "tinytorch.data.digits",
    "image_folder": "tinytorch.data.image_folder",
    "mnist": "tinytorch.data.mnist",
    "synthetic": "tinytorch.data.synthetic",
    "text": "tinytorch.data.text",
}

# Data sets that are a file, and no folder: the `root` of their functions is its path, None their default.
OF_ONE_FILE = frozenset({"text"})


def load_dataset_module(name: str) -> ModuleType:
    """Return the module of the data set `name`; raises ValueError with the valid names and the nearest one."""
    if name in DATASETS:
        return own_module("data", name) or importlib.import_module(DATASETS[name])
    near = difflib.get_close_matches(name, DATASETS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"no data set is named {name!r}{hint} (valid: {', '.join(sorted(DATASETS))})")
