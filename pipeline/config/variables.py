"""`${name}`: a scalar that is one whole reference stands for the value of that variable and takes its type.

No expressions and no text around it: what a file means can be seen without evaluating anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pipeline.config.paths import Path
from pipeline.core.experiment import JSON

__all__ = ["LITERAL_KEYS", "malformed", "mentions", "substitute", "uses"]

LITERAL_KEYS = ("description", "sweep", "vars")  # what is below these top-level keys is taken as it is written

_WHOLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ANY = re.compile(r"\$\{[^}]*\}?")


def uses(value: JSON, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield where variables are used, and their names, in the order of the document."""
    for where, text in _texts(value, path):
        match = _WHOLE.fullmatch(text)
        if match is not None:
            yield where, match[1]


def mentions(data: Mapping[str, JSON]) -> Iterator[tuple[Path, str]]:
    """Yield where a document needs variables: their uses, and the conditions of steps (`when`) that ask for one."""
    yield from uses(data)
    variables, steps = data.get("vars"), data.get("optimize")
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        condition = step.get("when") if isinstance(step, dict) else None
        for name in condition if isinstance(condition, dict) else ():
            if isinstance(variables, dict) and name in variables:
                yield ("optimize", index, "when", name), name


def malformed(value: JSON, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield where a reference is only a part of a text, or its name is none, with the reference."""
    for where, text in _texts(value, path):
        match = _ANY.search(text)
        if match is not None and not _WHOLE.fullmatch(text):
            yield where, match[0]


def substitute(
    value: JSON, variables: Mapping[str, JSON], path: Path = (), origins: dict[Path, Path] | None = None
) -> JSON:
    """Return the value with references replaced; one to an unknown variable stays as it is.

    `origins`, if given, receives for each replaced place where its value is written.
    """
    if isinstance(value, str):
        match = _WHOLE.fullmatch(value) if value.startswith("${") else None
        if match is None or match[1] not in variables:
            return value
        if origins is not None:
            origins[path] = ("vars", match[1])
        return variables[match[1]]
    if isinstance(value, dict):
        return {key: substitute(item, variables, (*path, key), origins) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, variables, (*path, index), origins) for index, item in enumerate(value)]
    return value


def _texts(value: JSON, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if "${" in value:
            yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if path or key not in LITERAL_KEYS:
                yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
