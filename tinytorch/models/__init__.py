"""Models by name.

`MODELS` maps a name to the module that builds it, resolved only when it is asked for: listing imports no NumPy, and a
change to one model leaves the cached results of the others alone. Every module offers ``ARGS`` (argument -> default)
and ``build(input_shape, classes, rng, **args)``. Their networks are made of the layers in tinytorch.core.
"""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType

from tinytorch.own import own_module

__all__ = ["MODELS", "STORED", "WEIGHTS_MODULE", "load_model_module", "load_weights_module"]

MODELS: dict[str, str] = {
    "cnn": "tinytorch.models.cnn",
    "gpt": "tinytorch.models.gpt",
    "mlp": "tinytorch.models.mlp",
    "resnet": "tinytorch.models.resnet",
}


STORED = "stored"  # no architecture: the network, with its weights, is read from a file
WEIGHTS_MODULE = "tinytorch.weights"  # what reads weights; it knows every layer that a stored network may have


def load_model_module(name: str) -> ModuleType:
    """Return the module of the model `name`; raises ValueError with the valid names and the nearest one."""
    if name in MODELS:
        return own_module("models", name) or importlib.import_module(MODELS[name])
    near = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"no model is named {name!r}{hint} (valid: {', '.join(sorted(MODELS))})")


def load_weights_module() -> ModuleType:
    """Return the module that reads files of weights: only who needs it depends on its code."""
    return importlib.import_module(WEIGHTS_MODULE)
