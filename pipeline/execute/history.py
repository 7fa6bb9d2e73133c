"""Why a stored result was computed: in which components its key differs from that of the nearest earlier one.

What is looked at lies in the store; nothing of today's code or files is asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.core.keys import Difference
from pipeline.execute.changes import FILES, data_file, listed, nearest
from pipeline.execute.modules import PROJECT
from pipeline.store.local import LocalStore
from pipeline.store.record import Record

__all__ = ["Account", "account", "find_keys", "named"]

_NOT_LIBRARIES = {
    "arch": "processor",
    "blas": "BLAS",
    "kernels": "native kernels",
    "python": "Python",
    "simd": "instructions in use",
    "training_kernels": "native kernels of training",
}
_LONGEST = 60


@dataclass(frozen=True)
class Account:
    """A record, the nearest earlier one of its topic (None if there is none), and how their keys differ, in order."""

    record: Record
    before: Record | None
    changes: tuple[Difference, ...]


def account(store: LocalStore, record: Record) -> Account:
    """Return what a record differs in from the nearest of those that were finished before it."""
    preimage, finished_at = record.preimage, record.finished_at
    known = itertools.chain(store.alike(preimage, finished_at), store.recent(preimage.topic, finished_at))
    found = nearest((one for one in known if one.key != record.key), preimage, patient=True)
    return Account(record, *found) if found else Account(record, None, ())


def find_keys(store: LocalStore, beginning: str) -> tuple[str, ...]:
    """Return the keys of this folder's records that begin with these hex digits, of which there are at least two."""
    paths = (store.root / "actions" / beginning[:2]).glob(f"{beginning[2:]}*.json")
    return tuple(sorted(path.parent.name + path.stem for path in paths))


def named(change: Difference, store: LocalStore) -> Iterator[str]:
    """Yield a difference in words, with the component that it belongs to; each source file by itself."""
    name, fate = change.name, f"{_short(change.before)} → {_short(change.after)}"
    if change.component == "code":
        yield from _of_code(store, change.before, change.after)
    elif change.component == "inputs":
        yield f"input {name} {_happened(change)}"
    elif change.component == "version":
        yield f"version of the stage {fate}"
    elif change.component == "params":
        is_file = name.startswith(FILES)
        shown = name.removeprefix("params.")  # those of an optimization step
        yield f"{data_file(name)} {_happened(change)}" if is_file else f"parameter {shown} {fate}"
    elif name == "machine":
        yield "another machine, or set up differently"
    elif name in _NOT_LIBRARIES or name.isupper():
        yield f"{_NOT_LIBRARIES.get(name, f'variable {name}')} {fate}"
    else:
        yield f"library {name} {fate}"


def _of_code(store: LocalStore, before: str, after: str) -> Iterator[str]:
    """Yield how two code digests differ: each file behind both by itself, and what one of them needs besides."""
    old, new = store.recall("closure", before), store.recall("closure", after)
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        yield "source code changed (which file is not known any more)"
        return
    yield from (
        f"source file {_path(name)} changed" for name in sorted(old.keys() & new.keys()) if old[name] != new[name]
    )
    for verb, names in (("needs", new.keys() - old.keys()), ("no longer needs", old.keys() - new.keys())):
        if names:
            yield f"{verb} source file {listed(tuple(map(_path, sorted(names))))}"


def _path(module: str) -> str:
    """Return a module as its file; a schema is called like its file already."""
    if "/" in module:
        return module
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (PROJECT / path / "__init__.py").is_file() else f"{path}.py"


def _happened(change: Difference) -> str:
    if change.before is None:
        return "was added"
    return "is gone" if change.after is None else "changed"


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
