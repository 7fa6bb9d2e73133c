"""A product of factors without the points that some entries exclude: counted, searched and listed.

Entries are bits of one number. Along a point, factor by factor, an entry stays alive while the point has its values;
one that is still alive after its last factor excludes the point. Of entries that ask the same of the factors to come
one is enough. Prefixes of points with the same entries alive go on alike, so they are counted together, and those that
lead to no point are never made.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

from pipeline.core.experiment import JSON
from pipeline.core.value import canonical, text_of

__all__ = ["Exclusion"]

_Point = Mapping[str, JSON]
_MOST_WORK = 4_000_000  # states times parts times groups looked at for one factor: about a second


class Exclusion:
    """The product of factors, its points completed by `base`, without those that have all values of an entry."""

    def __init__(self, factors: Sequence[Sequence[_Point]], entries: Sequence[_Point], base: _Point) -> None:
        self._factors, self._base = factors, base
        self._place = {name: i for i, factor in enumerate(factors) for name in (factor[0] if factor else ())}
        self._all = [{name: text_of(canonical(value)) for name, value in entry.items()} for entry in entries]
        self._start = 0  # the entries that agree with what the base alone decides
        self._last = [0] * len(factors)  # factor -> the entries whose last axis is one of its own
        self._is_empty = False  # an entry excludes everything
        for index, entry in enumerate(self._all):
            places = [self._place[name] for name in entry if name in self._place]
            if all(name in base and text_of(base[name]) == entry[name] for name in entry if name not in self._place):
                self._start |= 1 << index
                self._is_empty |= not places
                if places:
                    self._last[max(places)] |= 1 << index
        self._fits = [self._fit(factor) for factor in factors]
        self._alike = [self._alike_after(place) for place in range(len(factors))]

    def _fit(self, factor: Sequence[_Point]) -> list[int]:
        """Return for each part of a factor the entries that it agrees with, those it does not decide included."""
        if not self._all:
            return [0] * len(factor)
        free = 0
        tables: dict[tuple[str, ...], dict[tuple[str, ...], int]] = {}
        for index, entry in enumerate(self._all):
            names = tuple(sorted(name for name in entry if factor and name in factor[0]))
            if not names:
                free |= 1 << index
                continue
            table = tables.setdefault(names, {})
            values = tuple(entry[name] for name in names)
            table[values] = table.get(values, 0) | 1 << index
        fits = []
        for part in factor:
            texts = {name: text_of(part[name]) for name in part}
            found = (table.get(tuple(texts[name] for name in names), 0) for names, table in tables.items())
            fits.append(sum(found, free))  # no entry is in two tables, so that a sum is a union
        return fits

    def _alike_after(self, place: int) -> list[tuple[int, int]]:
        """Return the groups of entries that ask the same of the factors after a place, each with its first one."""
        groups: dict[tuple[tuple[str, str], ...], int] = {}
        for index, entry in enumerate(self._all):
            rest = tuple(sorted((name, text) for name, text in entry.items() if self._place.get(name, -1) > place))
            if rest and self._start >> index & 1:
                groups[rest] = groups.get(rest, 0) | 1 << index
        return [(group, group & -group) for group in groups.values() if group & (group - 1)]

    def _after(self, place: int, alive: int, fit: int) -> int | None:
        """Return the entries alive after a part that `fit` agree with, None if one of them excludes the point."""
        left = alive & fit
        if left & self._last[place]:
            return None
        for group, first in self._alike[place] if left else ():
            if left & group:
                left = left & ~group | first
        return left

    def survivors(self) -> int:
        """Return how many points are left; all of the product where exclusions overlap in too many ways to tell."""
        if self._layers is None:
            return math.prod(map(len, self._factors))
        return sum(self._layers[-1].values())

    @cached_property
    def _layers(self) -> list[dict[int, int]] | None:
        """Before each factor and at the end: entries alive -> the number of prefixes; None if these are too many."""
        layers = [{} if self._is_empty else {self._start: 1}]
        for place, fits in enumerate(self._fits):
            following: dict[int, int] = {}
            kinds = Counter(fits)
            if len(layers[-1]) * len(kinds) * (1 + len(self._alike[place])) > _MOST_WORK:
                return None
            for (alive, number), (fit, times) in itertools.product(layers[-1].items(), kinds.items()):
                left = self._after(place, alive, fit)
                if left is not None:
                    following[left] = following.get(left, 0) + number * times
            layers.append(following)
        return layers

    def points(self) -> list[_Point]:
        """Return the points that are left, the last factor varying fastest."""
        fruitful = self._fruitful()
        prefixes = [(dict(self._base), self._start)] if not self._is_empty else []
        for place, (factor, fits) in enumerate(zip(self._factors, self._fits, strict=True)):
            allowed = None if fruitful is None else fruitful[place + 1]
            prefixes = [
                ({**point, **part}, left)
                for point, alive in prefixes
                for part, fit in zip(factor, fits, strict=True)
                if (left := self._after(place, alive, fit)) is not None and (allowed is None or left in allowed)
            ]
        return [point for point, _ in prefixes]

    def _fruitful(self) -> list[set[int]] | None:
        """Return for each place the entries alive from which at least one point is reached."""
        if self._layers is None:
            return None
        fruitful = [set(self._layers[-1])]
        for place in range(len(self._fits) - 1, -1, -1):
            kinds, after = set(self._fits[place]), fruitful[-1]
            layer = self._layers[place]
            fruitful.append({alive for alive in layer if any(self._after(place, alive, fit) in after for fit in kinds)})
        return fruitful[::-1]

    def __contains__(self, point: _Point) -> bool:
        """Return whether a (canonical, complete) point is one of those left."""
        if self._is_empty or any(text_of(point[name]) != text_of(self._base[name]) for name in self._fixed(point)):
            return False
        alive = self._start
        for place, (names, numbers) in enumerate(self._indexes):
            number = numbers.get(tuple(text_of(point[name]) for name in names))
            left = None if number is None else self._after(place, alive, self._fits[place][number])
            if left is None:
                return False
            alive = left
        return True

    def _fixed(self, point: _Point) -> list[str]:
        return [name for name in point if name not in self._place]

    @cached_property
    def _indexes(self) -> list[tuple[list[str], dict[tuple[str, ...], int]]]:
        """For each factor its axes, and from their values to the number of the part."""
        indexes = []
        for factor in self._factors:
            names = list(factor[0]) if factor else []
            parts = {tuple(text_of(part[name]) for name in names): number for number, part in enumerate(factor)}
            indexes.append((names, parts))
        return indexes

    def reached(self) -> int:
        """Return the entries that some point of the product has all values of, whatever else excludes it."""
        reached = self._start if all(self._factors) else 0
        for fits in self._fits:
            found = 0
            for fit in fits:
                found |= fit
            reached &= found
        return reached
