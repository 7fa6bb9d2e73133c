"""The digest of code: what counts as a change of a module and which modules belong to a stage."""

from __future__ import annotations

import pytest

from pipeline.core.code import ImportGraph, ModuleFacts, Source, module_facts

ORIGINAL = '''
"""A module."""
import os

def double(x):
    """Return twice x."""
    return 2 * x  # fast
'''


def facts(text: str, module: str = "pipeline.a.b", is_package: bool = False) -> ModuleFacts:
    return module_facts(Source(module, text.encode(), is_package))


def test_comments_docstrings_and_layout_do_not_count() -> None:
    """Only the syntax tree without docstrings and positions is code."""
    edited = 'import os\n\n\ndef double(x):\n    """Double it."""\n    # slower\n    return (2 *\n        x)\n'
    assert facts(ORIGINAL).digest == facts(edited).digest


def test_a_changed_constant_counts() -> None:
    """An edit of behaviour is never missed."""
    assert facts(ORIGINAL).digest != facts(ORIGINAL.replace("2 * x", "3 * x")).digest


def test_a_string_that_is_no_docstring_counts() -> None:
    """Only the first statement of a module, class or function can be a docstring."""
    assert facts("x = 'a'").digest != facts("x = 'b'").digest


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("TABLE = {'a': 'pipeline.a'}", False),
        ("TABLE: dict[str, str] = {'a': 'pipeline.a', 'b': 'pipeline.b'}", False),
        ("TABLE = {'a': 'pipeline.a', 'b': 1}", True),
        ("TABLE = {'a': 'numpy.linalg'}", True),
        ("TABLE = {'a': 'a file.txt'}", True),
        ("TABLE = {}", True),
        ("def f():\n    return {'a': 'pipeline.a'}", True),
    ],
)
def test_a_table_of_modules_does_not_count(text: str, counts: bool) -> None:
    """A new line in it concerns nobody: the entry that a node uses is one of its roots."""
    assert (facts(f"import os\n{text}").digest != facts("import os").digest) is counts


def test_imports_are_found_wherever_they_stand() -> None:
    """An import inside a function is followed like one at the top; an imported name may be a module."""
    text = "import a.b\ndef f():\n    from c import d\n"
    assert {"a.b", "c", "c.d"} <= set(facts(text).imports)


def test_imports_for_type_checkers_are_not_followed() -> None:
    """What does not run at run time is no dependency; the else branch is."""
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\nelse:\n    import b\n"
    assert "a" not in facts(text).imports
    assert "b" in facts(text).imports


@pytest.mark.parametrize(
    ("is_package", "expected"), [(False, "pipeline.a.c"), (True, "pipeline.a.b.c")], ids=["module", "package"]
)
def test_relative_imports_are_resolved(is_package: bool, expected: str) -> None:
    """A relative import counts from the module's package."""
    assert expected in facts("from .c import x", is_package=is_package).imports


@pytest.mark.parametrize(
    "text",
    [
        "import p.extra",
        "import p.extra as e",
        "from p import extra",
        "from . import extra",
        "from .extra import *",
        "import importlib\nimportlib.import_module('p.extra')",
        "from importlib import import_module\nimport_module('.extra', __package__)",
        "__import__('p.extra')",
        "command = [python, '-m', 'p.extra']",
        "from p.lazy import Extra",
        "from p.lazy import *",
        "import p.lazy as l\nl.Extra",
        "from p.star import *",
    ],
)
def test_a_module_is_reached_by_whatever_means(text: str) -> None:
    """Names written out in calls and commands, and what a package imports only when it is asked, are dependencies."""
    texts = {
        "p": "",
        "p.a": text,
        "p.extra": "Extra = 1",
        "p.lazy": "HOME = {'Extra': 'p.extra'}\ndef __getattr__(name): ...",
        "p.star": "__all__ = ['extra']",
        "p.star.extra": "from p import extra",
    }
    known = {name: facts(content, name, is_package=name in ("p", "p.star")) for name, content in texts.items()}
    assert "p.extra" in ImportGraph(known.get).closure(["p.a"])


@pytest.mark.parametrize("text", ["from p.lazy import Own", "from p import lazy", "import p.lazy_not"])
def test_a_lazy_package_is_not_followed_for_what_it_defines_itself(text: str) -> None:
    """A version number does not bring the whole framework."""
    texts = {"p": "", "p.a": text, "p.extra": "", "p.lazy": "Own = 1\nHOME = 'p.extra'\ndef __getattr__(n): ..."}
    known = {name: facts(content, name, is_package=name == "p") for name, content in texts.items()}
    assert "p.extra" not in ImportGraph(known.get).closure(["p.a"])


def test_a_closure_follows_imports_and_parent_packages() -> None:
    """A module brings all it imports, and the packages whose __init__ runs on the way; what is not ours is left out."""
    graph = {
        "p": ModuleFacts("0", ()),
        "p.a": ModuleFacts("1", ("p.b", "numpy")),
        "p.b": ModuleFacts("2", ("p.a",)),
        "p.c": ModuleFacts("3", ()),
    }
    assert ImportGraph(graph.get).closure(["p.a"]) == {"p": "0", "p.a": "1", "p.b": "2"}


def test_an_unknown_root_is_an_error() -> None:
    """Code that cannot be found must not be cached as if it had none."""
    with pytest.raises(LookupError, match=r"no source for the module p\.x"):
        ImportGraph({}.get).closure(["p.x"])
