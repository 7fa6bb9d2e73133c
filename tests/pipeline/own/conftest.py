"""Files and packages of a user's own, taken in for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.own.use import forget, use

MODEL = '''
"""A network of my own."""
import numpy as np
from tinytorch.core.layers import Flatten, Linear
from tinytorch.models.network import Network


def narrow(input_shape, classes, rng, *, width=4):
    """One narrow layer."""
    inputs = int(np.prod(input_shape))
    layers = {"flatten": Flatten(), "fc1": Linear(inputs, width, rng=rng), "fc_out": Linear(width, classes, rng=rng)}
    return Network(layers, input_shape)


MODELS = {"narrow": narrow}
'''

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write files of code into a folder of their own and take in the first; nothing of it is left afterwards."""
    path, modules, cwd = list(sys.path), set(sys.modules), tmp_path / "own"
    cwd.mkdir()

    def written(text: str = MODEL, name: str = "own_code.py", *, taken_in: bool = True, **beside: str) -> str:
        for other, content in {name.removesuffix(".py"): text, **beside}.items():
            (cwd / f"{other}.py").write_text(content)
        if taken_in:
            use([str(cwd / name)])
        return str(cwd / name)

    yield written
    forget()
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(cwd) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
