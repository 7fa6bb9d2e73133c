"""What may leave a store, decided purely from a census of it, and its removal.

`garbage` is what nobody needs: no run folder names it, nothing used lately was made from it. `surplus` makes room: the
least recently used results first, even if a run folder names them. Either way a result that is wanted again is computed
again. Records go before their objects, so whatever interrupts the removal leaves no record that promises too much.

Beside a running command only what was neither changed nor used for a day is removed, and no locks. If the command wants
it at this very moment, it finds it missing and computes it again.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.store.census import Census, Result, StoredFile
from pipeline.store.index import Index

__all__ = ["Removal", "garbage", "remove", "surplus"]

_DAY_S = 86_400.0


@dataclass(frozen=True)
class Removal:
    """What is to be removed: results with their records, objects by digest, other files."""

    results: tuple[Result, ...]
    objects: Mapping[str, StoredFile]
    files: tuple[StoredFile, ...]

    @property
    def size_bytes(self) -> int:
        """Return what is freed."""
        return sum(file.size_bytes for file in self.all_files)

    @property
    def all_files(self) -> tuple[StoredFile, ...]:
        """Return every file in the order of its removal."""
        return (*(result.record for result in self.results), *self.objects.values(), *self.files)


def garbage(census: Census, unused_since: float, *, is_alone: bool) -> Removal:
    """Choose what no run folder names and nobody used since a time (seconds since the epoch).

    What a kept result was made from is kept, so that the next run of it computes nothing.
    """
    settled = _settled_before(census, is_alone)
    limit = min(unused_since, settled)
    kept = _with_origins(census, [r for r in census.results.values() if r.is_named or r.used_at >= limit])
    needed = census.named | census.spared | {digest for result in kept.values() for digest in result.outputs}
    return Removal(
        tuple(result for key, result in sorted(census.results.items()) if key not in kept),
        {d: file for d, file in sorted(census.objects.items()) if d not in needed and file.changed_at < settled},
        _leftovers(census, unused_since, settled, is_alone),
    )


def surplus(census: Census, unused_since: float, most_bytes: float, *, is_alone: bool) -> Removal:
    """Choose what nobody used since a time, and more, least recently used first, until at most so many bytes are left.

    Of what was last used on the same day, that goes first which no run folder names, then what is quickest to compute.
    """
    settled = _settled_before(census, is_alone)
    owners = Counter(digest for result in census.results.values() for digest in result.outputs)
    objects = {digest: file for digest, file in sorted(census.objects.items()) if file.changed_at < settled}
    doomed = {digest for digest in objects if digest not in owners and digest not in census.spared}
    left = census.size_bytes - sum(objects[digest].size_bytes for digest in doomed)
    chosen: list[Result] = []
    for result in sorted(census.results.values(), key=_order):
        is_due = result.used_at < unused_since or left > most_bytes
        if is_due and result.used_at < settled:
            chosen.append(result)
            owners.subtract(result.outputs)
            freed = {d for d in result.outputs & objects.keys() if not owners[d] and d not in census.spared}
            doomed |= freed
            left -= result.record.size_bytes + sum(objects[digest].size_bytes for digest in freed)
    gone = {digest: file for digest, file in objects.items() if digest in doomed}
    return Removal(tuple(chosen), gone, _leftovers(census, unused_since, settled, is_alone))


def remove(root: Path, removal: Removal) -> int:
    """Remove what was chosen, but no file that was written since the census; return how many bytes that freed.

    Raises OSError when the system forbids it.
    """
    freed = sum(_unlinked(result.record) for result in removal.results)
    index = Index(root)
    index.forget(result.key for result in removal.results if not os.path.exists(result.record.path))
    index.close()
    return freed + sum(_unlinked(file) for file in (*removal.objects.values(), *removal.files))


def _settled_before(census: Census, is_alone: bool) -> float:
    return math.inf if is_alone else census.taken_at - _DAY_S


def _order(result: Result) -> tuple[float, bool, float, str]:
    return result.used_at // _DAY_S, result.is_named, result.seconds, result.key


def _with_origins(census: Census, roots: Iterable[Result]) -> dict[str, Result]:
    """Return results with those that their inputs came from; of several that gave the same bytes, the last one used."""
    makers: dict[str, Result] = {}
    for result in sorted(census.results.values(), key=lambda result: (result.used_at, result.key)):
        makers |= dict.fromkeys(result.outputs, result)
    kept = {result.key: result for result in roots}
    made = {digest for result in kept.values() for digest in result.outputs}
    waiting = list(kept.values())
    while waiting:
        for digest in waiting.pop().inputs - made:
            if maker := makers.get(digest):
                kept[maker.key] = maker
                made |= maker.outputs
                waiting.append(maker)
    return kept


def _leftovers(census: Census, unused_since: float, settled: float, is_alone: bool) -> tuple[StoredFile, ...]:
    """Return what was interrupted, locks that nobody holds, and what was set aside or noted long ago."""
    limits = {
        "interrupted writes": settled,
        "unfinished computations": min(unused_since, settled),
        "locks": math.inf if is_alone else -math.inf,  # who waits for one must not be left with a file of no name
        "quarantine": unused_since,
        "notes of days": unused_since - _DAY_S,
        "journals of searches": min(unused_since, settled),  # copies: results decide what a search asks
    }
    return tuple(file for kind, files in census.rest.items() for file in files if file.changed_at < limits[kind])


def _unlinked(file: StoredFile) -> int:
    """Remove a file and return its size; 0 if it is gone, or is a new one of the same name."""
    try:
        if os.stat(file.path).st_mtime != file.changed_at:
            return 0
        os.unlink(file.path)
    except FileNotFoundError:
        return 0
    return file.size_bytes
