"""Walk the experiment's schema: what is known at a path, which keys it has, in which order, with which defaults.

The schema file is the one source of names, order and defaults; this file knows only how to read it. Nothing is
validated here (pipeline.config.check does that).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pipeline.config.identity import SCHEMA_NAME
from pipeline.config.paths import Path
from pipeline.core.experiment import JSON
from pipeline.schemas import read_schema

__all__ = [
    "Node",
    "PRESETS",
    "UNLESS",
    "about",
    "case_names",
    "fill",
    "keys_at",
    "node_at",
    "order_of",
    "root",
    "step_names",
]

Node = Mapping[str, Any]

# The keyword for a table of defaults: the value of the key `preset` chooses the row that replaces the other defaults
# of the mapping. One table, for editors and for `fill`; a row names only what differs.
PRESETS = "x-presets"
# The keyword for keys that are required unless another one is given.
UNLESS = "x-unless"
# Each holds one of its keys, so that the others' defaults are not filled in.
_STEP, _CASE = "#/$defs/step", "#/$defs/case"


def root() -> Node:
    """Return the whole schema."""
    return read_schema(SCHEMA_NAME)


def step_names() -> tuple[str, ...]:
    """Return the names of the steps that `optimize` may hold."""
    return tuple(name for name, node in _definition(_STEP)["properties"].items() if "$ref" in node)


def case_names() -> tuple[str, ...]:
    """Return the names of the ops that `frameworks.cases` may hold."""
    return tuple(_definition(_CASE)["properties"])


def node_at(path: Path) -> Node | None:
    """Return the part of the schema that describes the value at a path, None where no such key exists.

    Inside free mappings (`vars`, `model.args`) the result is an empty node: anything may be there.
    """
    node = _unresolved_at(path)
    return None if node is None else _resolved(node)


def about(path: Path) -> Node:
    """Return all that the schema says about a value, the words beside a reference included; {} where nothing."""
    node = _unresolved_at(path) or {}
    return {**_resolved(node), **node}


def _unresolved_at(path: Path) -> Node | None:
    node: Node | None = root()
    for part in path:
        if node is None:
            return None
        node = _below(_resolved(node), part)
    return node


def keys_at(path: Path) -> tuple[str, ...]:
    """Return the keys a mapping at this path may have, in the schema's order; () where names are free."""
    node = node_at(path)
    return tuple(node.get("properties", ())) if node is not None else ()


def order_of(path: Path) -> tuple[tuple[int, str], ...]:
    """Return a sort key that puts paths in the schema's order, whatever the order of keys in the file."""
    order = []
    for length, part in enumerate(path):
        keys = keys_at(path[:length])
        if isinstance(part, int):
            order.append((part, ""))
        else:
            order.append((keys.index(part) if part in keys else len(keys), part))
    return tuple(order)


def fill(value: JSON, path: Path = (), *, presets: bool = True) -> JSON:
    """Return the value at a path with all defaults filled in, keys in the schema's order and numbers in their type.

    Where the default is null an absent key and null mean the same and the key is left out. What a preset decides is
    left out where the preset is not known, as a variable's is not, and everywhere unless `presets`. Values that break
    the schema are passed through.
    """
    node = node_at(path)
    return value if node is None else _fill(value, node, presets)


def _fill(value: JSON, node: Node, presets: bool) -> JSON:
    node = _resolved(node)
    if isinstance(value, dict):
        if "properties" in node:
            fill_absent = not any(node is _definition(one) for one in (_STEP, _CASE))
            return _fill_known(value, _with_preset(node, value, presets), fill_absent, presets)
        free = node.get("additionalProperties")
        inner: Node = free if isinstance(free, Mapping) else {}
        return {key: _fill(value[key], inner, presets) for key in sorted(value)}
    if isinstance(value, list):
        inner = node.get("items", {})
        return [_fill(item, inner, presets) for item in value]
    return _typed(value, node)


def _with_preset(node: Node, value: Mapping[str, JSON], presets: bool) -> Node:
    """Return the node with the defaults that the mapping's preset chooses; null where that is not known."""
    if PRESETS not in node:
        return node
    properties, table = node["properties"], node[PRESETS]
    chosen = value.get("preset", properties["preset"]["default"]) if presets else None
    row = table.get(chosen) if isinstance(chosen, str) else None
    governed = {key for defaults in table.values() for key in defaults}
    defaults = row if row is not None else dict.fromkeys(governed)
    return {**node, "properties": {**properties, **{k: {**properties[k], "default": v} for k, v in defaults.items()}}}


def _fill_known(value: Mapping[str, JSON], node: Node, fill_absent: bool, presets: bool) -> JSON:
    filled = {}
    required = (*node.get("required", ()), *(key for keys in node.get(UNLESS, {}).values() for key in keys))
    for name, inner in node["properties"].items():
        default = inner.get("default")
        if name in value:
            if value[name] is not None or default is not None:
                filled[name] = _fill(value[name], inner, presets)
        elif fill_absent and default is not None and name not in required:
            filled[name] = _fill(copy.deepcopy(default), inner, presets)
    filled.update({name: value[name] for name in value if name not in node["properties"]})
    return filled


def _typed(value: JSON, node: Node) -> JSON:
    """Return a number in the schema's type: `sparsity: 0` is 0.0, `epochs: 5.0` is 5."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    types = node.get("type", ())
    if "number" in types:
        return float(value)
    if "integer" in types and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _below(node: Node, part: str | int) -> Node | None:
    if isinstance(part, int):
        items: Node | None = node.get("items", {} if node.get("type") in (None, "array") else None)
        return items
    if part in node.get("properties", {}):
        inner: Node = node["properties"][part]
        return inner
    free = node.get("additionalProperties", True)
    if isinstance(free, Mapping):
        return free
    if not free:
        return None
    return {} if node.get("type") in (None, "object") else None


def _resolved(node: Node) -> Node:
    """Return what a node refers to, without what stands beside the reference."""
    return _definition(node["$ref"]) if "$ref" in node else node


def _definition(reference: str) -> Node:
    node: Node = root()
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node
