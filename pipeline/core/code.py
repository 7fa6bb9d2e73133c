"""The digest of the code that a stage runs: its module and everything it imports from this project.

A module counts by its syntax tree without comments, docstrings and positions, so a helper's edit is never missed and
a comment's edit never costs anything. Imports are followed wherever they stand in a module, except under
`if TYPE_CHECKING:`. Modules that a table names by a string (passes, models, datasets) are followed only for the entry
that a node uses: its name is one of the node's code roots. Pure: the caller supplies the sources.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pipeline.core.keys import digest_bytes, digest_value

__all__ = ["ModuleFacts", "Source", "closure", "closure_digest", "module_facts"]


@dataclass(frozen=True)
class Source:
    """The text of a first-party module: dotted name, bytes, and whether it is a package's `__init__`."""

    module: str
    data: bytes
    is_package: bool


@dataclass(frozen=True)
class ModuleFacts:
    """What a module contributes: the digest of its syntax tree and the dotted names it imports (candidates)."""

    digest: str
    imports: tuple[str, ...]


def closure(roots: Iterable[str], facts_of: Callable[[str], ModuleFacts | None]) -> dict[str, str]:
    """Return module name -> digest for `roots` and all they import; `facts_of` gives None for what is not first-party.

    A package's `__init__` runs when a submodule is imported, so every parent package is part of the closure.
    Raises LookupError when a root is unknown: a stage whose code cannot be found must not be cached.
    """
    found: dict[str, str] = {}
    pending = list(roots)
    for root in pending:
        if facts_of(root) is None:
            raise LookupError(f"no source for the module {root}")
    while pending:
        name = pending.pop()
        if name in found:
            continue
        facts = facts_of(name)
        if facts is None:
            continue
        found[name] = facts.digest
        pending += facts.imports
        pending += _parents(name)
    return found


def closure_digest(modules: dict[str, str]) -> str:
    """Return one digest for a closure."""
    return digest_value(modules)


def module_facts(source: Source) -> ModuleFacts:
    """Parse a module; raises SyntaxError when it is not valid Python."""
    tree = ast.parse(source.data)
    imports = tuple(sorted(set(_imports(tree, source))))
    _strip_docstrings(tree)
    return ModuleFacts(digest_bytes(ast.dump(tree).encode()), imports)


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _imports(tree: ast.AST, source: Source) -> Iterator[str]:
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, source)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)  # `from package import module` is a module, too


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            pending += node.orelse
        else:
            pending += ast.iter_child_nodes(node)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _absolute(node: ast.ImportFrom, source: Source) -> str:
    if not node.level:
        return node.module or ""
    parts = source.module.split(".")
    keep = len(parts) - node.level + (1 if source.is_package else 0)
    return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def _strip_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:]
