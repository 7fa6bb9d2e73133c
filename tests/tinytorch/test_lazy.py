"""The package's top level: the course's names, loaded only when used."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tinytorch


def test_importing_the_package_loads_nothing_heavy():
    """`import tinytorch` imports neither NumPy nor a module of its own."""
    code = "import sys, tinytorch; print([m for m in sys.modules if m == 'numpy' or m.startswith('tinytorch.')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", tinytorch.__all__)
def test_every_name_is_there(name):
    """Each listed name loads, and is what its module has."""
    assert getattr(tinytorch, name) is not None


def test_names_are_sorted_and_unknown_ones_refused():
    """dir() lists them; a misspelt one is an AttributeError."""
    assert tinytorch.__all__ == sorted(set(tinytorch.__all__)) == dir(tinytorch)
    lazy = {name for names in tinytorch.MODULES.values() for name in names}
    assert set(tinytorch.__all__) == {*lazy, *tinytorch.SUBMODULES, "__version__"}
    with pytest.raises(AttributeError, match="Tensorr"):
        tinytorch.Tensorr  # noqa: B018


def test_type_checkers_see_the_same_names():
    """The imports for type checkers and the lazy table name the same things from the same modules."""
    tree = ast.parse(Path(tinytorch.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    static = {alias.name: node.module for node in block.body for alias in node.names}
    assert static == {name: module for module, names in tinytorch.MODULES.items() for name in names}


def test_submodules_are_attributes():
    """tinytorch.core.layers works after importing that module, as in the course."""
    assert import_module("tinytorch.core.layers").Linear is tinytorch.Linear
