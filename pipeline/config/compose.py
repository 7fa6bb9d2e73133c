"""YAML text to values with positions: the strict part of reading.

Goes through the parser's events, so that nothing is ever constructed from a tag and nesting, aliases and size are
bounded while they are met. Duplicate keys, foreign tags and numbers out of range are collected; what makes the rest
unreadable (syntax, recursion, bombs) is raised at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from pipeline.config.document import Document, Mark, Position
from pipeline.config.paths import Path
from pipeline.config.read import split_lines
from pipeline.config.scalars import ScalarError, refused_tag, resolve_plain, resolve_tagged
from pipeline.config.syntax import explain_syntax
from pipeline.core.errors import ConfigError, InternalError, Problem
from pipeline.core.experiment import JSON

__all__ = ["MAX_DEPTH", "MAX_NODES", "compose"]

MAX_DEPTH = 40  # a real file nests about 6 deep
MAX_NODES = 50_000  # after aliases are expanded; a sweep over 10,000 values has 10,000
_Event = Any  # one of yaml's event classes; its stubs call every mark and anchor optional
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is about ten times faster
_CONTAINER_TAGS = {
    yaml.SequenceStartEvent: (None, "!", "tag:yaml.org,2002:seq"),
    yaml.MappingStartEvent: (None, "!", "tag:yaml.org,2002:map"),
}


class _Key(NamedTuple):
    name: str
    mark: Mark


class _Node(NamedTuple):
    """A value as written: a scalar, a list of nodes, or a dict of keys and nodes; aliases share nodes."""

    value: JSON
    mark: Mark


@dataclass
class _Reading:
    """What one pass over the events collects."""

    document: Document  # empty; makes the problems
    origin: str
    shift: int  # columns in front of the text, for command-line values
    anchors: dict[str, _Node | None] = field(default_factory=dict)  # None while the anchored node is still open
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def mark(self, event: _Event) -> Mark:
        start, end = event.start_mark, event.end_mark
        if end.line == start.line:
            width = end.column - start.column
        else:
            width = len(self.document.lines[start.line].rstrip()) - start.column
        return Mark(start.line + 1, start.column + 1 + self.shift, max(width, 1), self.origin)

    def note(self, code: str, message: str, mark: Mark, path: Path = (), hint: str = "") -> None:
        self.problems.append(self.document.problem(code, path, message, at=mark, hint=hint))

    def stop(self, code: str, message: str, mark: Mark, hint: str = "") -> ConfigError:
        self.note(code, message, mark, hint=hint)
        return ConfigError(sorted(self.problems, key=lambda problem: (problem.line, problem.column)))


def compose(text: str, path: str, *, origin: str = "", shift: int = 0) -> Document:
    """Return the document that a YAML text holds.

    `origin` and `shift` are for values from the command line: the argument, and where in it the text begins. An empty
    text is a document holding None. Raises ConfigError if the text cannot be read any further.
    """
    reading = _Reading(Document(None, {}, path, text), origin, shift)
    try:
        root = _compose_stream(yaml.parse(text, Loader=_LOADER), reading)
    except yaml.MarkedYAMLError as error:
        message, mark, hint = explain_syntax(error, split_lines(text))
        mark = mark._replace(column=mark.column + shift, origin=origin)
        raise reading.stop("E104", message, mark, hint) from error
    positions: dict[Path, Position] = {}
    reading.nodes = 0
    data = None if root is None else _expand(root, None, (), positions, reading)
    return Document(data, positions, path, text, tuple(reading.problems))


def _compose_stream(events: Iterator[_Event], reading: _Reading) -> _Node | None:
    root = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if root is not None:
                raise reading.stop("E104", "a second document starts here; a file holds one", reading.mark(event))
            root = _compose_node(next(events), events, reading, ())
    return root


def _compose_node(event: _Event, events: Iterator[_Event], reading: _Reading, path: Path) -> _Node:
    mark = reading.mark(event)
    reading.nodes += 1
    if reading.nodes > MAX_NODES:
        raise reading.stop("E103", f"the file holds more than {MAX_NODES:,} values", mark)
    if len(path) > MAX_DEPTH:
        raise reading.stop("E103", f"this is nested more than {MAX_DEPTH} levels deep", mark)
    if isinstance(event, yaml.AliasEvent):
        return _aliased(str(event.anchor), mark, reading)
    if event.anchor is not None:
        reading.anchors[event.anchor] = None
    if isinstance(event, yaml.ScalarEvent):
        node = _Node(_scalar(event, mark, reading, path), mark)
    else:
        if event.tag not in _CONTAINER_TAGS[type(event)]:
            reading.note("E106", refused_tag(event.tag), mark, path)
        compose_items = _compose_list if isinstance(event, yaml.SequenceStartEvent) else _compose_mapping
        node = compose_items(mark, events, reading, path)
    if event.anchor is not None:
        reading.anchors[event.anchor] = node
    return node


def _aliased(name: str, mark: Mark, reading: _Reading) -> _Node:
    """Return the node an alias stands for, at the alias's own place."""
    if name not in reading.anchors:
        raise reading.stop("E104", f"*{name} refers to an anchor &{name} that is not defined above", mark)
    node = reading.anchors[name]
    if node is None:
        raise reading.stop("E107", f"*{name} stands inside the very value it refers to", mark)
    return node._replace(mark=mark)


def _scalar(event: _Event, mark: Mark, reading: _Reading, path: Path) -> JSON:
    is_plain = event.implicit[0]
    try:
        if event.tag is not None:
            return resolve_tagged(event.value, event.tag)
        return resolve_plain(event.value) if is_plain else event.value
    except ScalarError as error:
        reading.note("E106" if event.tag is not None else "E105", str(error), mark, path)
        return None


def _compose_list(start: Mark, events: Iterator[_Event], reading: _Reading, path: Path) -> _Node:
    items: list[_Node] = []
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            return _Node(items, _until(start, event, None, reading.shift))
        items.append(_compose_node(event, events, reading, (*path, len(items))))
    raise InternalError("the parser's events end inside a list")


def _compose_mapping(start: Mark, events: Iterator[_Event], reading: _Reading, path: Path) -> _Node:
    items: dict[_Key, _Node] = {}
    first_uses: dict[str, Mark] = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            return _Node(items, _until(start, event, next(iter(first_uses.values()), None), reading.shift))
        key = _compose_node(event, events, reading, path)
        name = key.value if isinstance(key.value, str) else ""
        node = _compose_node(next(events), events, reading, (*path, name))
        if not isinstance(key.value, str):
            found = "an empty key" if key.value is None else "a key that is not a word"
            reading.note("E105", f"{found}; write it in quotes if it is meant as a name", key.mark, path)
        elif name in first_uses:
            line = first_uses[name].line
            reading.note(
                "E102", f'the key "{name}" is given twice; the first is on line {line}', key.mark, (*path, name)
            )
        else:
            first_uses[name] = key.mark
            items[_Key(name, key.mark)] = node
    raise InternalError("the parser's events end inside a mapping")


def _until(start: Mark, end: _Event, first_key: Mark | None, shift: int) -> Mark:
    """Return the mark of a collection: all of it where it is in brackets on one line, else its first key or dash."""
    is_bracket = end.end_mark.column == end.start_mark.column + 1  # the end of an indented collection has no width
    if is_bracket and end.start_mark.line == start.line - 1:
        return start._replace(width=end.end_mark.column + shift - (start.column - 1))
    return start._replace(width=first_key.width if first_key is not None and first_key.column == start.column else 1)


def _expand(node: _Node, key: Mark | None, path: Path, positions: dict[Path, Position], reading: _Reading) -> JSON:
    """Return a node's value as JSON, with aliases expanded, and enter the position of everything inside it."""
    positions[path] = Position(key, node.mark)
    reading.nodes += 1
    if reading.nodes > MAX_NODES or len(path) > MAX_DEPTH:
        limit = f"{MAX_NODES:,} values" if reading.nodes > MAX_NODES else f"{MAX_DEPTH} levels"
        raise reading.stop("E103", f"aliases expand this to more than {limit}", positions[path[:1]].value)
    if isinstance(node.value, dict):
        return {
            key.name: _expand(child, key.mark, (*path, key.name), positions, reading)
            for key, child in node.value.items()
        }
    if isinstance(node.value, list):
        return [_expand(child, None, (*path, index), positions, reading) for index, child in enumerate(node.value)]
    return node.value
