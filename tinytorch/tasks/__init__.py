"""What networks learn from data: tables from a kind of task to the modules that know it, imported when they are needed.

`TABLES` has a table for each aspect, so that code that only reads splits depends on nothing that trains:
`splits` (``read_split(arrays)``, ``random_split(shape, classes, count, rng)``), `training` (``train(model, train,
validation, settings, seed)``) and `answers`
(``batch_for(model)`` and ``answers(session, split)``). A new kind of task is a line in each.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = [
    "CLASSIFICATION",
    "IMAGE_MODELS",
    "LANGUAGE",
    "LAYERS",
    "TABLES",
    "TEXT_MODELS",
    "TEXT_PASSES",
    "load_task",
    "task_of",
]

CLASSIFICATION, LANGUAGE = "classification", "language"

_SPLITS: dict[str, str] = {
    "classification": "tinytorch.data.split",
    "language": "tinytorch.data.tokens",
}
_TRAINING: dict[str, str] = {
    "classification": "tinytorch.tasks.classification_training",
    "language": "tinytorch.tasks.language_training",
}
_ANSWERS: dict[str, str] = {
    "classification": "tinytorch.tasks.classification_answers",
    "language": "tinytorch.tasks.language_answers",
}
TABLES: dict[str, dict[str, str]] = {"answers": _ANSWERS, "splits": _SPLITS, "training": _TRAINING}

# Layers that networks of a task have beside the usual ones: whatever reads such a network runs their code, too.
LAYERS: dict[str, str] = {
    "language": "tinytorch.models.language_model",
}

_TASKS = {"text": LANGUAGE}

# The architectures of tinytorch.models by what they read; one of the user's own, or in a file, may read anything.
IMAGE_MODELS = frozenset({"cnn", "mlp", "resnet"})
TEXT_MODELS = frozenset({"gpt"})
# The passes that know language models: they change weights, and train nothing.
TEXT_PASSES = frozenset({"block_prune", "budget", "gptq", "low_rank", "magnitude_prune", "quantize"})


def task_of(dataset: str) -> str:
    """Return what networks learn from a data set; classes, unless the table says otherwise."""
    return _TASKS.get(dataset, CLASSIFICATION)


def load_task(aspect: str, task: str | None) -> ModuleType:
    """Return the module that knows an aspect of a task (None: classification); raises KeyError for another name."""
    return importlib.import_module(TABLES[aspect][task or CLASSIFICATION])
