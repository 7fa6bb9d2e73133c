"""Find and read the JSON Schema files and the example experiments, in a checkout and in an installed package alike.

A checkout has them in its `schemas/` and `experiments/` folders; a wheel carries copies inside the package. A schema's
name is its file's without the ending: `experiment.v1`, `submission.v2`, `competitions/wake_vision`.
"""

from __future__ import annotations

import contextlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.core.errors import EnvironmentProblem, InternalError

__all__ = [
    "COMPETITIONS",
    "SUFFIX",
    "competition_names",
    "competition_path",
    "experiment_names",
    "fits",
    "read_experiment",
    "read_schema",
    "schema_names",
    "schema_path",
]

COMPETITIONS = "competitions"  # the folder of their schemas, in the package's and in the one that somebody works in
SUFFIX = ".schema.json"

_PACKAGE = Path(__file__).resolve().parent


def schema_names() -> tuple[str, ...]:
    """Return the names of all schemas, sorted."""
    folder = _folder("schemas")
    files = folder.rglob(f"*{SUFFIX}")
    return tuple(sorted(path.relative_to(folder).as_posix().removesuffix(SUFFIX) for path in files))


def schema_path(name: str) -> Path:
    """Return the file of a schema. Raises InternalError for a name that `schema_names` does not list."""
    if name not in schema_names():
        raise InternalError(f"there is no schema {name!r}; there are {', '.join(schema_names())}")
    return _folder("schemas") / f"{name}{SUFFIX}"


def competition_names() -> tuple[str, ...]:
    """Return the names of the competitions that come with the package, sorted."""
    prefix = f"{COMPETITIONS}/"
    return tuple(name.removeprefix(prefix) for name in schema_names() if name.startswith(prefix))


def competition_path(name: str) -> Path | None:
    """Return the file of a competition: the one in `competitions` of the current folder, else the package's, if any."""
    local = Path(COMPETITIONS) / f"{name}{SUFFIX}"
    with contextlib.suppress(OSError, ValueError):  # a name that no file can have: too long, or with a NUL
        if local.is_file():
            return local
    return schema_path(f"{COMPETITIONS}/{name}") if name in competition_names() else None


@cache
def read_schema(name: str) -> dict[str, Any]:
    """Return a schema. It is shared by all callers: do not change it."""
    schema: dict[str, Any] = json.loads(schema_path(name).read_text(encoding="utf-8"))
    return schema


def fits(pattern: str, text: str) -> bool:
    """Return whether a text fits a schema's pattern, whose "$" is the very end: Python's lets a line break follow."""
    return re.search(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern, text) is not None


def experiment_names() -> tuple[str, ...]:
    """Return the names of the example experiments, sorted."""
    return tuple(sorted(path.stem for path in _folder("experiments").glob("*.yaml")))


def read_experiment(name: str) -> str:
    """Return the text of an example experiment. Raises InternalError for a name `experiment_names` does not list."""
    if name not in experiment_names():
        raise InternalError(f"there is no experiment {name!r}; there are {', '.join(experiment_names())}")
    return (_folder("experiments") / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def _folder(name: str) -> Path:
    """Return the copy inside an installed package, or else the checkout's folder beside the package."""
    candidates = (_PACKAGE / f"_{name}", _PACKAGE.parent / name)
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise EnvironmentProblem(
        f"the package's {name} are missing: neither {candidates[0]} nor {candidates[1]} exists",
        hint="install tinytorch-pipeline again",
    )
