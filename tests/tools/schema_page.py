"""A JSON Schema as a Markdown page: for each object a table of keys, what each may be, its default, its meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["cell", "page", "table"]

Schema = Mapping[str, Any]

_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "minProperties": "at least {} keys",
    "maxProperties": "at most {} keys",
}
_DATA = ("const", "default", "enum", "examples")  # not schemas
_NAMES = {"array": "list", "object": "mapping", "boolean": "true or false", "null": "null"}


def page(schema: Schema, title: str, lead: str) -> str:
    """Return the page of a schema: the top level, then each of its `$defs`."""
    shown = _inlined(schema, schema.get("$defs", {}))
    sections = [f"# {title}", lead, _section(shown)]
    for name, part in sorted(shown.get("$defs", {}).items()):
        if any(_rows(part)):
            sections += [f"## {name}", *([cell(part["description"])] if "description" in part else []), _section(part)]
    return "\n\n".join(section for section in sections if section) + "\n"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Return text as one cell of a table, in which no Markdown or HTML is at work."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _inlined(part: Any, definitions: Schema) -> Any:
    """Return a schema in which definitions that have no keys, and so no table, stand where they are referred to."""
    if isinstance(part, list):
        return [_inlined(item, definitions) for item in part]
    if not isinstance(part, Mapping):
        return part
    here = {key: value if key in _DATA else _inlined(value, definitions) for key, value in part.items()}
    name = str(here.get("$ref", "")).removeprefix("#/$defs/")
    if name not in definitions:
        return here
    definition = definitions[name]
    if not any(_rows(definition)):
        del here["$ref"]
        return {**_inlined(definition, definitions), **here}
    return {"description": definition.get("description", ""), **here}


def _section(schema: Schema) -> str:
    rows = [
        [f"`{path}`{', required' if needed else ''}", _kind(part), _default(part), cell(_meaning(part))]
        for path, part, needed in _rows(schema)
    ]
    return table(["key", "value", "default", "meaning"], rows) if rows else ""


def _rows(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """Yield path, schema and whether it must be there, for each key of an object and of objects written into it."""
    for key, part in schema.get("properties", {}).items():
        unless = [name for names in schema.get("x-unless", {}).values() for name in names]
        yield prefix + key, part, key in (*schema.get("required", ()), *unless)
        yield from _rows(part, f"{prefix}{key}.")
        if isinstance(part.get("items"), Mapping):
            yield from _rows(part["items"], f"{prefix}{key}[].")
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield f"{prefix}NAME", schema["additionalProperties"], False


def _kind(part: Schema) -> str:
    if "$ref" in part:
        return _link(part["$ref"])
    if "enum" in part or "const" in part:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in part.get("enum", [part.get("const")]))
    for key in ("anyOf", "oneOf"):
        if key in part:
            return " or ".join(dict.fromkeys(_kind(choice) for choice in part[key]))
    kinds = [part["type"]] if isinstance(part.get("type"), str) else list(part.get("type", ["any value"]))
    words = " or ".join(_NAMES.get(kind, kind) for kind in sorted(kinds, key="null".__eq__))
    if "items" in part and "array" in kinds:
        words += f" of {_kind(part['items'])}"
    bounds = [text.format(part[key]) for key, text in _BOUNDS.items() if key in part]
    return ", ".join([words, *bounds])


def _link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"[{name}](#{name})" if reference.startswith("#") else f"`{name}`"


def _default(part: Schema) -> str:
    return f"`{json.dumps(part['default'], ensure_ascii=False)}`" if "default" in part else ""


def _meaning(part: Schema) -> str:
    examples = ", ".join(f"`{json.dumps(example, ensure_ascii=False)}`" for example in part.get("examples", ()))
    text = str(part.get("description", ""))
    return f"{text} Example: {examples}" if examples and len(examples) < 60 else text
