"""JSON Schema's errors in plain words: what was found, what is expected, the nearest valid key, an example.

One function for each keyword the schema uses, in the table WORDINGS; a test holds the table to the schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pipeline.config.dump import dump
from pipeline.config.finding import Finding, clipped, found, nearest, nearest_word
from pipeline.config.paths import Path
from pipeline.config.scalars import ScalarError, resolve_plain
from pipeline.config.schema import about, step_names
from pipeline.core.experiment import JSON
from pipeline.core.sweep import canonical

__all__ = ["SchemaError", "WORDINGS", "in_words", "missing_key"]


class SchemaError(Protocol):
    """What this file reads of a jsonschema.ValidationError."""

    @property
    def absolute_path(self) -> Any: ...
    @property
    def absolute_schema_path(self) -> Any: ...
    @property
    def validator(self) -> Any: ...
    @property
    def validator_value(self) -> Any: ...
    @property
    def instance(self) -> Any: ...
    @property
    def schema(self) -> Any: ...


_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "nothing",
    "number": "a number",
    "object": "a mapping",
    "string": "a text",
}
# What the schema's patterns allow, in words.
_PATTERNS = {
    "^[A-Za-z0-9][A-Za-z0-9._-]*$": "a name has letters, digits and . _ - only, and begins with a letter or digit",
    "^[A-Za-z][A-Za-z0-9_-]*$": "a name has letters, digits, _ and - only, and begins with a letter",
    "^[A-Za-z_][A-Za-z0-9_]*$": "a name has letters, digits and _ only, and begins with no digit",
}


def in_words(error: SchemaError, prefix: Path = ()) -> Iterator[Finding]:
    """Yield what an error of jsonschema says; `prefix` is the path of the value that was validated."""
    path: Path = prefix + tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        yield Finding("E115", (*path, error.instance), f'"{clipped(error.instance)}" {_bad_name(error)}', at_key=True)
        return
    yield from WORDINGS[error.validator](error, path)


def _unknown_keys(error: SchemaError, path: Path) -> Iterator[Finding]:
    valid = list(error.schema["properties"])
    empty = [name for name, value in error.instance.items() if value is None]
    for key in error.instance:
        if key in valid:
            continue
        near = nearest_word(key, valid)
        yield Finding(
            "E111",
            (*path, key),
            f'unknown key "{clipped(key)}"' + (f'; did you mean "{near}"?' if near else ""),
            _unknown_hint(key, empty, path) or f"keys here: {', '.join(valid)}",
            at_key=True,
            meant=(*path, near) if near and near not in error.instance else (),
        )


def _unknown_hint(key: str, empty: Sequence[str], path: Path) -> str:
    """Return a hint for a merge key of YAML 1.1, and for a key beside an empty mapping in which it would be known."""
    if key == "<<":
        return "YAML 1.2 merges no mappings: write the keys out, or give the whole mapping as *name"
    for name in empty:
        if key in about((*path, name)).get("properties", ()):
            return f'"{name}" is empty: indent "{key}" further to put it inside, or write {name}: {{{key}: ...}}'
    return ""


def _missing_keys(error: SchemaError, path: Path) -> Iterator[Finding]:
    missing = [key for key in error.validator_value if key not in error.instance]
    # jsonschema reports one error for each missing key, and its message starts with that key.
    for key in missing:
        if getattr(error, "message", "").startswith(repr(key)):
            yield missing_key((*path, key))


def missing_key(path: Path) -> Finding:
    """Return what is said of a key that has to be there."""
    key, node = path[-1], about(path)
    example = dump({key: node["examples"][0]}, flow=True)[1:-1]
    return Finding("E112", path, f'the key "{key}" is missing{_meaning(node)}', f"for example {example}", at_key=True)


def _wrong_type(error: SchemaError, path: Path) -> Iterator[Finding]:
    types = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    expected = " or ".join(_TYPES[name] for name in types if name != "null")
    node = about(path)
    message = f"must be {expected}, not {found(error.instance)}{_meaning(node)}"
    yield Finding("E113", path, message, _type_hint(error.instance, path, types, node))


def _type_hint(value: JSON, path: Path, types: list[str], node: Mapping[str, Any]) -> str:
    required = node.get("required", ())
    if isinstance(value, str) and {"integer", "number"} & set(types) and _is_number(value):
        return f"take the quotes away: {value}"
    if path[:-1] == ("optimize",) and value in step_names():
        return f"write {value}: {{}} for a step with defaults only"
    if len(required) == 1 and isinstance(value, str) and value in _known_values((*path, required[0])):
        return f"write {path[-1]}: {{{required[0]}: {value}}}"
    if value is None and "object" in types and not required and path and isinstance(path[-1], str):
        return f"write {path[-1]}: {{}} to take the defaults"
    if "array" in types and not isinstance(value, dict | list) and value is not None:
        return f"write {dump([value], flow=True)}"
    examples = node.get("examples")
    return f"for example {dump(examples[0], flow=True)}" if examples else ""


def _known_values(path: Path) -> list[JSON]:
    return list(about(path).get("examples", ()))


def _is_number(text: str) -> bool:
    try:
        return isinstance(resolve_plain(text), int | float)
    except ScalarError:
        return False


def _not_a_choice(error: SchemaError, path: Path) -> Iterator[Finding]:
    choices = [choice for choice in error.validator_value if choice is not None]
    value = error.instance
    is_whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    if not (is_whole if isinstance(choices[0], int) else isinstance(value, str)):
        return  # the type is wrong, and is reported as such
    near = nearest(value, choices) if isinstance(value, str) else ""
    expected = f"one of {', '.join(map(str, choices))}" if len(choices) > 1 else str(choices[0])
    shown = f'"{clipped(value)}"' if isinstance(value, str) else found(value)
    yield Finding("E115", path, f"must be {expected}, not {shown}{near}")


def _out_of_range(error: SchemaError, path: Path) -> Iterator[Finding]:
    message = f"must be {_range(error.schema)}, not {found(error.instance)}{_meaning(about(path))}"
    yield Finding("E114", path, message)


def _range(schema: Mapping[str, Any]) -> str:
    """Return the bounds of a number: "at least 0 and below 1"."""
    words = (
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
    )
    return " and ".join(f"{word} {schema[key]:,}".replace(",", "") for key, word in words if key in schema)


def _wrong_count(error: SchemaError, path: Path) -> Iterator[Finding]:
    limit, count = error.validator_value, len(error.instance)
    if not error.instance:
        message = f"must not be empty{_meaning(about(path))}"
    else:
        what = "characters" if isinstance(error.instance, str) else "entries"
        bound = "at most" if error.validator.startswith("max") else "at least"
        message = f"must have {bound} {limit} {what}, not {count}"
    yield Finding("E116", path, message)


def _repeated(error: SchemaError, path: Path) -> Iterator[Finding]:
    seen: list[str] = []
    for index, item in enumerate(error.instance):
        text = json.dumps(canonical(item), sort_keys=True)  # 8 and 8.0 are one number
        if text in seen:
            yield Finding("E116", (*path, index), f"{found(item)} is in this list already; each entry counts once")
        seen.append(text)


def _bad_pattern(error: SchemaError, path: Path) -> Iterator[Finding]:
    yield Finding("E115", path, f'"{clipped(error.instance)}" is not possible: {_PATTERNS[error.validator_value]}')


def _bad_name(error: SchemaError) -> str:
    if error.validator == "pattern":
        return f"is not possible: {_PATTERNS[error.validator_value]}"
    return f"is not possible: a name has at most {error.validator_value} characters"


def _meaning(schema: Mapping[str, Any]) -> str:
    """Return what a key means, in parentheses: the first sentence of its description."""
    sentence = str(schema.get("description", "")).partition(". ")[0].partition(": ")[0].rstrip(".")
    return f" ({sentence[0].lower()}{sentence[1:]})" if sentence else ""


WORDINGS: dict[str, Callable[[SchemaError, Path], Iterator[Finding]]] = {
    "additionalProperties": _unknown_keys,
    "enum": _not_a_choice,
    "exclusiveMaximum": _out_of_range,
    "exclusiveMinimum": _out_of_range,
    "maxItems": _wrong_count,
    "maxLength": _wrong_count,
    "maxProperties": _wrong_count,
    "maximum": _out_of_range,
    "minItems": _wrong_count,
    "minLength": _wrong_count,
    "minProperties": _wrong_count,
    "minimum": _out_of_range,
    "pattern": _bad_pattern,
    "required": _missing_keys,
    "type": _wrong_type,
    "uniqueItems": _repeated,
}
