"""Say whether a document fits a JSON Schema, by functions that are made of the schema once.

The fast path of `validate`, which asks jsonschema, the slow reference, only about documents that do not fit: what is
wrong with them, and where. Keywords that are not known here make no schema (None), so that nothing is let through
unchecked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from pipeline.schemas import read_schema

__all__ = ["Check", "compiled", "compiled_schema"]

Check = Callable[[Any], bool]
_ANNOTATIONS = frozenset({"$defs", "$id", "$schema", "description", "examples", "title"})


@cache
def compiled_schema(name: str) -> Check | None:
    """Return the check of a schema by its name, None if it uses a keyword that is not known here."""
    return compiled(read_schema(name))


def compiled(schema: Mapping[str, Any]) -> Check | None:
    """Return a function that says of a value of JSON whether it fits; None if the schema uses an unknown keyword.

    References are of the form `#/$defs/NAME`, patterns as `pipeline.schemas.fits` takes them, lists longer than their
    `maxItems` are not looked into. Values are those that `json.loads` gives.
    """
    try:
        return _Compiler(schema.get("$defs", {})).check(schema)
    except _UnknownKeywordError:
        return None


class _UnknownKeywordError(Exception):
    """A schema uses what is not known here."""


class _Compiler:
    """Makes checks; each definition is made once, when something refers to it."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._made: dict[str, Check] = {}
        self._open: set[str] = set()

    def check(self, schema: Mapping[str, Any]) -> Check:
        """Return the check of a schema or of a part of one."""
        if not isinstance(schema, Mapping):
            raise _UnknownKeywordError
        parts = []
        for keyword, value in schema.items():
            if keyword in _ANNOTATIONS or (keyword == "additionalProperties" and "properties" in schema):
                continue  # `properties` checks both
            if keyword in ("else", "then") and "if" in schema:
                continue  # `if` checks all three
            if keyword not in _MAKERS:
                raise _UnknownKeywordError(keyword)
            parts.append(_MAKERS[keyword](self, value, schema))
        return _all(parts)

    def reference(self, target: str) -> Check:
        """Return the check of a definition, which may refer to itself."""
        prefix, _, name = target.rpartition("/")
        if prefix != "#/$defs" or name not in self._definitions:
            raise _UnknownKeywordError(target)
        if name in self._made:
            return self._made[name]
        if name in self._open:  # within itself: looked up when it is asked
            return lambda value: self._made[name](value)
        self._open.add(name)
        self._made[name] = self.check(self._definitions[name])
        return self._made[name]


def _all(parts: Sequence[Check]) -> Check:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda value: first(value) and second(value)
    if len(parts) == 3:
        one, two, three = parts
        return lambda value: one(value) and two(value) and three(value)

    def check(value: Any) -> bool:
        for part in parts:  # noqa: SIM110 - `all` of a generator takes half as long again
            if not part(value):
                return False
        return True

    return check


def _is_number(value: Any) -> bool:
    kind = type(value)
    return kind is float or kind is int


def _is_integer(value: Any) -> bool:
    return type(value) is int or (type(value) is float and value.is_integer())


_TYPES: dict[str, Check] = {
    "array": lambda value: type(value) is list,
    "boolean": lambda value: type(value) is bool,
    "integer": _is_integer,
    "null": lambda value: value is None,
    "number": _is_number,
    "object": lambda value: type(value) is dict,
    "string": lambda value: type(value) is str,
}


def _type(_: _Compiler, names: str | list[str], __: Mapping[str, Any]) -> Check:
    if isinstance(names, str):
        return _TYPES[names]
    checks = tuple(_TYPES[name] for name in names)
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) or second(value)
    return lambda value: any(check(value) for check in checks)


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, but no boolean is a number."""
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(map(_same, one, other))
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(_same(item, other[key]) for key, item in one.items())
    return (type(one) is bool) == (type(other) is bool) and bool(one == other)


def _enum(_: _Compiler, allowed: list[Any], __: Mapping[str, Any]) -> Check:
    if all(isinstance(value, str) for value in allowed):
        texts = frozenset(allowed)
        return lambda value: type(value) is str and value in texts
    return lambda value: any(_same(value, one) for one in allowed)


def _const(_: _Compiler, expected: Any, __: Mapping[str, Any]) -> Check:
    return lambda value: _same(value, expected)


def _bound(keeps: Callable[[float, float], bool]) -> Callable[[_Compiler, float, Mapping[str, Any]], Check]:
    def make(_: _Compiler, limit: float, __: Mapping[str, Any]) -> Check:
        return lambda value: not _is_number(value) or keeps(value, limit)

    return make


def _size(kind: str, keeps: Callable[[int, int], bool]) -> Callable[[_Compiler, int, Mapping[str, Any]], Check]:
    is_of_kind = _TYPES[kind]

    def make(_: _Compiler, limit: int, __: Mapping[str, Any]) -> Check:
        return lambda value: not is_of_kind(value) or keeps(len(value), limit)

    return make


def _pattern(_: _Compiler, pattern: str, __: Mapping[str, Any]) -> Check:
    ended = pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern
    search = re.compile(ended).search
    return lambda value: type(value) is not str or search(value) is not None


def _required(_: _Compiler, names: list[str], __: Mapping[str, Any]) -> Check:
    wanted = frozenset(names)
    return lambda value: type(value) is not dict or wanted <= value.keys()


def _dependent(_: _Compiler, wanted: Mapping[str, list[str]], __: Mapping[str, Any]) -> Check:
    return lambda value: (
        type(value) is not dict or all(name in value for key, names in wanted.items() if key in value for name in names)
    )


def _members(compiler: _Compiler, _: Any, schema: Mapping[str, Any]) -> Check:
    """Check `properties` and `additionalProperties` of a schema in one pass over an object."""
    checks = {name: compiler.check(below) for name, below in schema.get("properties", {}).items()}
    rest = schema.get("additionalProperties", True)
    other: Check = _CONSTANTS[rest] if isinstance(rest, bool) else compiler.check(rest)

    def check(value: Any) -> bool:
        if type(value) is not dict:
            return True
        for name, item in value.items():  # noqa: SIM110 - `all` of a generator takes half as long again
            if not checks.get(name, other)(item):
                return False
        return True

    return check


def _names(compiler: _Compiler, schema: Mapping[str, Any], _: Mapping[str, Any]) -> Check:
    check = compiler.check(schema)
    return lambda value: type(value) is not dict or all(map(check, value))


def _items(compiler: _Compiler, schema: Mapping[str, Any], beside: Mapping[str, Any]) -> Check:
    check, most = compiler.check(schema), beside.get("maxItems", math.inf)
    return lambda value: type(value) is not list or len(value) > most or all(map(check, value))


def _unique(_: _Compiler, wanted: bool, beside: Mapping[str, Any]) -> Check:
    """Check that no item stands twice; lists without a bound are left to jsonschema."""
    if "maxItems" not in beside or not wanted:
        raise _UnknownKeywordError("uniqueItems of any number of items")
    most = beside["maxItems"]

    def check(value: Any) -> bool:
        if type(value) is not list or len(value) > most:
            return True
        return not any(_same(item, other) for i, item in enumerate(value) for other in value[:i])

    return check


def _conditional(compiler: _Compiler, condition: Mapping[str, Any], beside: Mapping[str, Any]) -> Check:
    test = compiler.check(condition)
    then, otherwise = (compiler.check(beside.get(keyword, {})) for keyword in ("then", "else"))
    return lambda value: then(value) if test(value) else otherwise(value)


def _one_of(compiler: _Compiler, schemas: list[Mapping[str, Any]], _: Mapping[str, Any]) -> Check:
    checks = [compiler.check(schema) for schema in schemas]
    return lambda value: sum(check(value) for check in checks) == 1


_CONSTANTS: dict[bool, Check] = {True: lambda _: True, False: lambda _: False}
_Maker = Callable[[_Compiler, Any, Mapping[str, Any]], Check]
_MAKERS: dict[str, _Maker] = {
    "$ref": lambda compiler, target, _: compiler.reference(target),
    "additionalProperties": _members,
    "const": _const,
    "dependentRequired": _dependent,
    "enum": _enum,
    "exclusiveMaximum": _bound(lambda value, limit: value < limit),
    "exclusiveMinimum": _bound(lambda value, limit: value > limit),
    "if": _conditional,
    "items": _items,
    "maxItems": _size("array", lambda size, limit: size <= limit),
    "maxLength": _size("string", lambda size, limit: size <= limit),
    "maxProperties": _size("object", lambda size, limit: size <= limit),
    "maximum": _bound(lambda value, limit: value <= limit),
    "minItems": _size("array", lambda size, limit: size >= limit),
    "minLength": _size("string", lambda size, limit: size >= limit),
    "minProperties": _size("object", lambda size, limit: size >= limit),
    "minimum": _bound(lambda value, limit: value >= limit),
    "oneOf": _one_of,
    "pattern": _pattern,
    "properties": _members,
    "propertyNames": _names,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique,
}
