"""Figures of a written report that lead to where they come from: a file, a place in it, and the artifact behind it.

A figure is a link to a numbered source; the sources are listed at the end, each with its place (a JSON Pointer, RFC
6901), and so are the artifacts, with their digest and the key under which a store has what computed them. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.markdown import escape
from pipeline.submission.quantities import quantity, with_interval

__all__ = ["Artifact", "Place", "Sources", "code", "pointer", "table"]

Place = tuple[str | int, ...]  # the name of a document, then the keys to the value


@dataclass(frozen=True)
class Artifact:
    """Something that is stored: what it is, its SHA-256, the node that computed it and its key ("" if not known)."""

    name: str
    digest: str
    node: str = ""
    key: str = ""


class Sources:
    """Reads figures out of documents, and notes what was read.

    `documents` are by the name of their file, `artifact_of` finds what a place comes from.
    """

    def __init__(self, documents: Mapping[str, Any], artifact_of: Callable[[Place], Artifact]) -> None:
        self._documents = documents
        self._artifact_of = artifact_of
        self._cited: dict[tuple[str, str], int] = {}  # (text, where) -> its number
        self._origins: list[Artifact] = []

    def value(self, *place: str | int) -> Any:
        """Return what is at a place; raises KeyError or IndexError."""
        found = self._documents[str(place[0])]
        for part in place[1:]:
            found = found[part]
        return found

    def figure(self, unit: str, *place: str | int, interval: Sequence[str | int] | None = None) -> str:
        """Return a number with its unit, and the interval at another place of the same document, as a link."""
        bounds = self.value(place[0], *interval) if interval else None
        bounds = None if bounds and bounds[0] == bounds[1] else bounds  # it is exact
        return self._link(with_interval(self.value(*place), bounds, unit), place)

    def words(self, *place: str | int) -> str:
        """Return a text, a number without unit or a list as it is written in JSON, as a link."""
        found = self.value(*place)
        return self._link(found if isinstance(found, str) else _plain(found), place)

    def derived(self, value: float, unit: str, how: str, *place: str | int) -> str:
        """Return a number that follows from the one at a place; `how` says in which way, as "1 + " does."""
        return self._link(quantity(value, unit).removeprefix("+"), place, how)

    def text(self, words: str, *place: str | int) -> str:
        """Return words that a number at a place is put in, as a link."""
        return self._link(words, place)

    def _link(self, text: str, place: Place, how: str = "") -> str:
        where = f"{how}{place[0]} {pointer(place[1:])}"
        number = self._cited.setdefault((text, where), len(self._cited) + 1)
        if number > len(self._origins):
            self._origins.append(self._artifact_of(place))
        return f"[{escape(text)}](#s{number})"

    def lines(self) -> Iterator[str]:
        """Yield the lists of sources and of artifacts, in the order in which they were cited."""
        artifacts: dict[str, Artifact] = {}  # an artifact goes by the first name that it was cited by
        for origin in self._origins:
            artifacts.setdefault(origin.digest or origin.name, origin)
        numbers = {identity: number for number, identity in enumerate(artifacts, start=1)}
        rows = []
        for ((text, where), number), origin in zip(self._cited.items(), self._origins, strict=True):
            identity = origin.digest or origin.name
            behind = f"[{escape(artifacts[identity].name)}](#a{numbers[identity]})"
            rows.append((f'<a id="s{number}"></a>{number}', escape(text), code(where), behind))
        yield from table(("", "figure", "file and place", "artifact"), rows)
        yield ""
        found = [
            (
                f'<a id="a{numbers[identity]}"></a>{numbers[identity]}',
                escape(origin.name),
                code(origin.digest),
                escape(origin.node),
                code(origin.key),
            )
            for identity, origin in artifacts.items()
        ]
        yield from table(("", "artifact", "SHA-256", "computed by", "key"), found)


def pointer(keys: Sequence[str | int]) -> str:
    """Return keys as a JSON Pointer: ("a/b", 0) is "/a~1b/0"."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table of cells that are escaped already."""
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items()) or "none"
    return "none" if value is None else str(value)


def code(text: str) -> str:
    """Return a text as a code span that can stand in a table; nothing for an empty one."""
    safe = "".join("\ufffd" if char in "`|" or not char.isprintable() else char for char in text)
    return f"`{safe}`" if safe else ""
