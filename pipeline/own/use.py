"""Take what files and packages offer into the tables of this process: `--use FILE.py`, `--use PACKAGE`, entry points.

A file says what it offers in tables: MODELS, DATASETS, PASSES and METRICS, name -> function. A package does so by entry
points of the groups `tinytorch_pipeline.models`, `.data`, `.passes` and `.metrics`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import UserError
from pipeline.own.source import OwnSource, remember_source, sources
from tinytorch.data import DATASETS
from tinytorch.models import MODELS
from tinytorch.own import KINDS, OwnEntry, add_own, forget_own, own_entries
from tinytorch.passes import PASSES, STEPS, add_pass

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "find_installed", "forget", "installed_only_if_told", "use", "use_again"]

GROUP = "tinytorch_pipeline"

# A file's table -> the kind of its entries
_TABLES = {"DATASETS": "data", "METRICS": "metrics", "MODELS": "models", "PASSES": "passes"}
_TAKEN: dict[str, Mapping[str, Any]] = {"data": DATASETS, "metrics": {}, "models": MODELS, "passes": PASSES}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_WITHOUT_LOOKING = [False]  # whether packages are used only if told of


def use(told: Sequence[str]) -> None:
    """Take in what files (`….py`) and installed packages offer; raises UserError, naming the file and what is wrong."""
    for one in dict.fromkeys(told):
        if one.endswith(".py") or os.sep in one or os.path.exists(one):
            _use_file(one)
        else:
            _use_package(one)


def use_again(all_sources: Iterable[OwnSource]) -> None:
    """Take in what another process of the same run uses."""
    use([source.told for source in all_sources])


def forget() -> None:
    """Empty the tables of everything that was taken in, as tests do."""
    tables: dict[str, tuple[dict[str, Any], ...]] = {
        "data": (DATASETS,),
        "models": (MODELS,),
        "passes": (PASSES, STEPS["custom"][2]),
    }
    for entry in own_entries():
        for table in tables.get(entry.kind, ()):
            table.pop(entry.name, None)
    forget_own()
    remember_source(None)
    _WITHOUT_LOOKING[0] = False


def installed_only_if_told() -> None:
    """Look up no more names among installed packages: what is verified runs foreign code only if that is asked for."""
    _WITHOUT_LOOKING[0] = True


def find_installed(kind: str, name: str) -> bool:
    """Take in the package that offers this name, if one is installed; return whether there is one."""
    if _WITHOUT_LOOKING[0]:
        return False
    points = _metadata().entry_points(group=f"{GROUP}.{kind}", name=name)
    for point in points:
        _use_package(_distribution(point))
        return True
    return False


def _use_file(told: str) -> None:
    path = Path(os.path.realpath(told))
    if not path.is_file():
        raise UserError(f"--use {told}: there is no such file", hint=_similar(path))
    source = OwnSource("file", path.name, str(path), path.stem, str(path.parent))
    if source in sources():
        return
    _check_name(path, told)
    if source.folder not in map(os.path.realpath, sys.path):
        sys.path.append(source.folder)  # the last: nothing that lies there replaces what is installed
    importlib.invalidate_caches()
    module = _import(path.stem, told)
    tables = {kind: getattr(module, table) for table, kind in _TABLES.items() if hasattr(module, table)}
    if not tables:
        raise UserError(
            f"--use {told}: it has none of the tables {', '.join(sorted(_TABLES))}",
            hint="name what it offers: MODELS = {'my_model': build_my_model}",
        )
    offered = []
    for kind, table in tables.items():
        if not isinstance(table, dict) or not all(isinstance(name, str) for name in table):
            raise UserError(f"--use {told}: its table of {kind} is no dict from names to functions")
        offered += [(kind, name, value) for name, value in table.items()]
    _add(source, path.stem, offered)


def _check_name(path: Path, told: str) -> None:
    """Raise unless a module of this name can only be this file."""
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UserError(f"--use {told}: the name of a file of code is letters, digits and _, and ends in .py")
    try:
        spec = None if path.stem in sys.stdlib_module_names else importlib.util.find_spec(path.stem)
    except (ImportError, ValueError):
        spec = None
    is_other = spec is not None and (spec.origin is None or os.path.realpath(spec.origin) != str(path))
    if is_other or path.stem in sys.stdlib_module_names:
        where = spec.origin if spec and spec.origin else "the standard library"
        raise UserError(
            f"--use {told}: there is another module {path.stem}, of {where}", hint="give the file another name"
        )


def _use_package(name: str) -> None:
    metadata = _metadata()
    try:
        found = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        raise UserError(
            f"--use {name}: there is no such file, and no package of this name is installed",
            hint="a file's name ends in .py",
        ) from None
    points = [point for point in found.entry_points if point.group in {f"{GROUP}.{kind}" for kind in KINDS}]
    if not points:
        raise UserError(
            f"--use {name}: this package offers nothing to the pipeline",
            hint=f"its entry points are of the groups {', '.join(f'{GROUP}.{kind}' for kind in KINDS)}",
        )
    for module in dict.fromkeys(point.module for point in points):
        source = OwnSource("package", name, name, module, _folder_of(module, name), found.version)
        if source not in sources():
            here = [point for point in points if point.module == module]
            offered = [(point.group.removeprefix(f"{GROUP}."), point.name, _loaded(point, name)) for point in here]
            _add(source, module, offered)


def _metadata() -> ModuleType:
    """Return importlib.metadata, which takes longer to import than all else that a run with nothing to do needs."""
    return importlib.import_module("importlib.metadata")


def _loaded(point: EntryPoint, package: str) -> Any:
    value = _import(point.module, package)
    for part in filter(None, (point.attr or "").split(".")):
        if not hasattr(value, part):
            raise UserError(f"--use {package}: its entry point {point.name} names {point.value}, which is not there")
        value = getattr(value, part)
    return value


def _folder_of(module: str, package: str) -> str:
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise UserError(f"--use {package}: its module {top} is not there, or has no __init__.py")
    path = os.path.realpath(spec.origin)
    return os.path.dirname(os.path.dirname(path) if os.path.basename(path) == "__init__.py" else path)


def _distribution(point: EntryPoint) -> str:
    return str(point.dist.name) if point.dist else point.module.partition(".")[0]


def _add(source: OwnSource, module: str, offered: Sequence[tuple[str, str, Any]]) -> None:
    adapted: Callable[..., Any] = importlib.import_module("pipeline.own.adapt").adapted  # it needs NumPy
    entries = []
    for kind, name, value in offered:
        if not _NAME.fullmatch(name):
            raise UserError(f"{source.name}: a name is letters, digits and _, at most 64, not {name[:80]!r}")
        if name in _TAKEN[kind] or any((kind, name) == (e.kind, e.name) for e in own_entries()):
            raise UserError(f"{source.name}: there is an entry {name} of {kind} already", hint="choose another name")
        entries.append(OwnEntry(kind, name, module, adapted(kind, name, value, source.name)))
    remember_source(source)
    for entry in entries:
        add_own(entry)
        if entry.kind == "passes":
            add_pass(entry.name, module, entry.offers.NEEDS)
        elif entry.kind in ("data", "models"):
            (DATASETS if entry.kind == "data" else MODELS)[entry.name] = module


def _import(module: str, told: str) -> Any:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's code raises while it is imported
        frames = [
            f
            for f in importlib.import_module("traceback").extract_tb(error.__traceback__)
            if "importlib" not in f.filename
        ]
        line = f"{error.filename}:{error.lineno}" if isinstance(error, SyntaxError) else ""
        where = line or (f"{frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else "")
        raise UserError(f"--use {told} failed: {type(error).__name__}: {error}", hint=where) from error


def _similar(path: Path) -> str:
    difflib = importlib.import_module("difflib")
    try:
        names = sorted(item.name for item in path.parent.iterdir() if item.suffix == ".py")
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else ""
