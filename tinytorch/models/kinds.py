"""Kinds of networks that a file may name beside `Network`, each with its module, imported when one is written or read.

So what trains on images depends neither on transformers nor on the kernels they decode with. Code that runs such a
network names its module itself, by the architecture that builds it. A module has the class, by this name, and `LEAVES`:
the layers that only it is made of.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["NETWORKS", "load_network_module"]

NETWORKS: dict[str, str] = {"LanguageModel": "tinytorch.models.language_model"}


def load_network_module(kind: str) -> ModuleType:
    """Return the module of a kind of network; raises KeyError for another name."""
    return import_module(NETWORKS[kind])
