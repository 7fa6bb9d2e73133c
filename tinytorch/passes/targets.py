"""Which layers a pass applies to, from the globs of an experiment file. Pure: names in, names with overrides out.

A layer is chosen if a glob of `targets` or of `per_layer` matches its name, or that of what it is inside ("block1"
stands for "block1.conv1", and "fc1" for what took its place), unless one of `except` does. Where several
`per_layer` globs match, the more specific one (more literal characters) wins, key by key; None overrides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from tinytorch.errors import TargetError

__all__ = ["covers", "match"]

_WILDCARD = re.compile(r"\[!?\]?[^\]]*\]|[*?]")


def match(
    names: Sequence[str],
    targets: Sequence[str] = ("*",),
    except_: Sequence[str] = (),
    per_layer: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the chosen layers in the order of `names`, each with the overrides that `per_layer` gives it.

    Globs are case-sensitive (`*`, `?`, `[ab]`). Raises TargetError for the first glob that matches none of `names`,
    with the nearest names: a misspelt target must not pass silently. With no names at all, nothing is chosen.
    """
    overrides = dict(per_layer or {})
    if not names:
        return {}
    for glob in (*targets, *overrides, *except_):
        if not any(covers(glob, name) for name in names):
            raise TargetError(glob, names)
    chosen = {}
    for name in names:
        if _matches(name, (*targets, *overrides)) and not _matches(name, except_):
            chosen[name] = _overrides(name, overrides)
    return chosen


def covers(glob: str, name: str) -> bool:
    """Say whether a glob means the layer of this dotted name: it matches the name, or its beginning up to a dot."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:end]), glob) for end in range(len(parts), 0, -1))


def _overrides(name: str, per_layer: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for glob in sorted(per_layer, key=_specificity):
        if covers(glob, name):
            merged.update({key: value for key, value in per_layer[glob].items() if value is not None})
    return merged


def _specificity(glob: str) -> tuple[int, str]:
    return len(_WILDCARD.sub("", glob)), glob  # the text decides ties, so that the order in the file never matters


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(covers(glob, name) for glob in globs)
