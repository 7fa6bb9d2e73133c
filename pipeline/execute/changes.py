"""What changed since the nearest earlier computation of the same topic, and how that is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pipeline.core.keys import Difference, Preimage, differences
from pipeline.store.record import Record

__all__ = ["FILES", "data_file", "explain", "listed", "nearest", "sentences"]

_MOST_SENTENCES = 3
FILES = "files."  # how the parameters of a data node name its files

# Names the modules behind both of two code digests that differ; None when the older one is no longer known.
ChangedModules = Callable[[str, str], tuple[str, ...] | None]


def nearest(
    records: Iterable[Record], preimage: Preimage, *, ignore_inputs: bool = False, patient: bool = False
) -> tuple[Record, tuple[Difference, ...]] | None:
    """Return the record that differs the least, the first of equals, and how it differs; None without records.

    The records after one with a single difference are not read, unless somebody is `patient`: of two that differ in one
    thing, that with the same inputs is nearer.
    """
    found: tuple[Record, tuple[Difference, ...]] | None = None
    for record in records:
        known = record.preimage
        if ignore_inputs:
            known = known._replace(inputs=preimage.inputs)
        changes = differences(known, preimage)
        if found is None or _distance(changes) < _distance(found[1]):
            found = record, changes
        if len(changes) <= 1 and not (patient and any(change.component == "inputs" for change in changes)):
            break
    return found


def explain(changes: tuple[Difference, ...], changed_modules: ChangedModules) -> str:
    """Return differences in words, at most three of them."""
    found = tuple(dict.fromkeys(sentences(changes, changed_modules)))
    return "; ".join([*found[:_MOST_SENTENCES], *(["…"] if len(found) > _MOST_SENTENCES else [])])


def sentences(changes: Iterable[Difference], changed_modules: ChangedModules) -> Iterator[str]:
    """Yield each difference in words, the most telling first."""
    for change in changes:
        if change.component == "code":
            modules = changed_modules(change.before, change.after)
            if modules is None:
                yield "code changed"
            else:
                yield f"code of {listed(modules)} changed" if modules else "other code is needed"
        elif change.component == "inputs":
            yield f"input {change.name} changed"
        elif change.name == "machine":
            yield "this is another machine than last time, or set up differently"
        elif change.name.startswith(FILES):
            yield f"{data_file(change.name)} {_fate(change)}"
        elif change.before is None and change.after is None:
            yield f"{_last(change.name)} came or went, with no value"
        else:
            yield f"{_last(change.name)} {_short(change.before)} → {_short(change.after)}"


def data_file(parameter: str) -> str:
    """Return the words for the file of a parameter of a data node; a dataset that is a file itself has no name."""
    name = parameter.removeprefix(FILES)
    return "the data file" if name == "." else f"data file {name}"


def listed(names: tuple[str, ...]) -> str:
    """Return names in words, at most three of them."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _distance(changes: tuple[Difference, ...]) -> tuple[int, int, int]:
    """Order candidates for an explanation: a person calls steps with the same parameters the same."""
    components = [change.component for change in changes]
    return components.count("params"), len(changes), components.count("inputs")


def _fate(change: Difference) -> str:
    if change.before is None:
        return "was added"
    return "is gone" if change.after is None else "changed"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:21]}…"
