"""The digest of the code that a stage runs: its module and everything it imports from this project.

A module counts by its syntax tree without comments, docstrings and positions, so a helper's edit is never missed and
a comment's edit never costs anything. Imports are followed wherever they stand in a module, except under
`if TYPE_CHECKING:`; so are module names written out in `import_module("…")` and after `"-m"` in a command, and what a
package imports only when a name is asked of it (a module-level `__getattr__`): then everything that it may import.
Modules that a table names by a string (passes, models, datasets) are followed only for the entry that a node uses: its
name is one of the node's code roots, and the table itself does not count, so that a new line costs nothing. Pure: the
caller supplies the sources.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pipeline.core.keys import digest_bytes

__all__ = ["ImportGraph", "ModuleFacts", "Source", "module_facts"]


class Source(NamedTuple):
    """The text of a first-party module: dotted name, bytes, and whether it is a package's `__init__`."""

    module: str
    data: bytes
    is_package: bool


class ModuleFacts(NamedTuple):
    """What a module contributes: the digest of its syntax tree and the dotted names it imports (candidates).

    An import that ends in ".*" means all that this package `offers`: what its `__getattr__` may import, or the modules
    that its `__all__` names. `bound` has the names that a module with a `__getattr__` defines itself; it is None for
    all others.
    """

    digest: str
    imports: tuple[str, ...]
    offers: tuple[str, ...] = ()
    bound: tuple[str, ...] | None = None


class ImportGraph:
    """Which module leads to which; `facts_of` gives None for what is not first-party."""

    def __init__(self, facts_of: Callable[[str], ModuleFacts | None]) -> None:
        self._facts_of = facts_of
        self._edges: dict[str, frozenset[str]] = {}

    def closure(self, roots: Iterable[str]) -> dict[str, str]:
        """Return module name -> digest for `roots` and all they import.

        A package's `__init__` runs when a submodule is imported, so every parent package is part of the closure.
        Raises LookupError when a root is unknown: a stage whose code cannot be found must not be cached.
        """
        found: dict[str, str] = {}
        pending = list(roots)
        while pending:
            name = pending.pop()
            if name in found:
                continue
            facts = self._facts_of(name)
            if facts is None:
                raise LookupError(f"no source for the module {name}")
            found[name] = facts.digest
            if name not in self._edges:
                reached = (module for candidate in facts.imports for module in self._modules(candidate))
                parents = (parent for parent in _parents(name) if self._facts_of(parent) is not None)
                self._edges[name] = frozenset([*reached, *parents])
            pending += self._edges[name]
        return found

    def _modules(self, name: str) -> Iterator[str]:
        """Yield what is imported for a name: itself, or what its package may import when it is asked for it."""
        if self._facts_of(name) is not None:
            yield name
            return
        package, _, attribute = name.rpartition(".")
        facts = self._facts_of(package) if package else None
        if facts is not None and (attribute == "*" or (facts.bound is not None and attribute not in facts.bound)):
            yield from (module for module in facts.offers if self._facts_of(module) is not None)


def module_facts(source: Source) -> ModuleFacts:
    """Parse a module; raises SyntaxError when it is not valid Python."""
    tree = ast.parse(source.data)
    imports = tuple(sorted(set(_imports(tree, source))))
    bound = tuple(sorted(_bound(tree)))
    is_lazy = "__getattr__" in bound
    offers = tuple(sorted(set(_offers(tree, source.module, is_lazy)))) if is_lazy or source.is_package else ()
    _strip_docstrings(tree)
    tree.body = [node for node in tree.body if not _is_table(node, source.module.partition(".")[0])]
    return ModuleFacts(digest_bytes(ast.dump(tree).encode()), imports, offers, bound if is_lazy else None)


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _imports(tree: ast.AST, source: Source) -> Iterator[str]:
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]  # what the module now can reach
                yield from (alias.name, f"{whole}.*")
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node.module or "", node.level, source)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)  # `from package import module` is a module, too
        elif isinstance(node, ast.Call | ast.List | ast.Tuple):
            for name in _written_out(node):
                module = name.lstrip(".")
                absolute = _absolute(module, len(name) - len(module), source)
                yield from (absolute, f"{absolute}.*")


_IMPORTERS = ("__import__", "import_module", "run_module")


def _written_out(node: ast.Call | ast.List | ast.Tuple) -> Iterator[str]:
    """Yield the modules that a call imports, or a command runs, by a name written out as a string."""
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in _IMPORTERS:
            yield from _strings(node.args[:1])
    else:
        for flag, name in itertools.pairwise(node.elts):
            if isinstance(flag, ast.Constant) and flag.value == "-m":
                yield from _strings([name])


def _strings(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _bound(tree: ast.Module) -> Iterator[str]:
    """Yield the names that the statements of a module's top level define."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _offers(tree: ast.Module, module: str, is_lazy: bool) -> Iterator[str]:
    """Yield the module names among the strings of a lazy module, or else of a package's `__all__`."""
    trees: list[ast.AST] = [tree]
    if not is_lazy:
        trees = [
            n for n in tree.body if isinstance(n, ast.Assign) and "__all__" in (getattr(t, "id", "") for t in n.targets)
        ]
    for part in trees:
        for text in _strings(ast.walk(part)):
            if all(word.isidentifier() for word in text.split(".")):
                yield text if "." in text else f"{module}.{text}"


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


def _absolute(name: str, level: int, source: Source) -> str:
    """Return the absolute name of a module imported with `level` leading dots."""
    if not level:
        return name
    parts = source.module.split(".")
    keep = len(parts) - level + (1 if source.is_package else 0)
    return ".".join([*parts[:keep], *([name] if name else [])])


def _is_table(node: ast.stmt, package: str) -> bool:
    """Tell whether a statement assigns a dict from names to modules of this package, all written out."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Dict):
        return False
    texts = list(_strings(node.value.values))
    return len(texts) == len(node.value.keys) > 0 and all(
        text.startswith(f"{package}.") and all(word.isidentifier() for word in text.split(".")) for text in texts
    )


def _strip_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:]
