"""A competition as it was read: its name, its schema, its terms, and the digest that stands for all of them.

Competitions come with the package (`pipeline competition list`), lie in the folder `competitions` of the current
folder, or in a file anywhere. A file is bounded and checked before anything in it is believed.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.core.errors import ConfigError, Problem, SubmissionInvalid, UserError
from pipeline.schemas import COMPETITIONS, SUFFIX, competition_names, competition_path
from pipeline.submission.competition.limits import Limit, schema_limits, terms_limits
from pipeline.submission.competition.named import rules_digest
from pipeline.submission.read import read_submission
from pipeline.submission.validate import schema_problems

__all__ = ["Competition", "competition_from", "find_competition", "form_problems", "renamed"]

_MOST_BYTES = 2**20
_CODE = "E510"


@dataclass(frozen=True)
class Competition:
    """A competition of the right form.

    `baseline` has the keys `data` and `model` of an experiment with defaults filled; `digest` is the SHA-256 of the
    schema as JSON text with sorted keys, whatever the layout of its file.
    """

    name: str
    schema: Mapping[str, Any]
    limits: tuple[Limit, ...]
    baseline: Mapping[str, Any]
    digest: str

    @property
    def title(self) -> str:
        """What people call it."""
        return str(self.schema["title"])

    @property
    def terms(self) -> Mapping[str, Any]:
        """What no schema can say: the value of x-competition."""
        terms: Mapping[str, Any] = self.schema["x-competition"]
        return terms


def find_competition(name: str) -> Competition:
    """Return a competition by its name or its file (what has the ending .json, or a folder before it).

    Raises UserError if there is none or its file cannot be read, ConfigError with every problem of a malformed one.
    """
    path = _path(name)
    try:
        schema = read_submission(path, _MOST_BYTES)
    except SubmissionInvalid as error:
        raise UserError(error.message, code=_CODE) from None
    return competition_from(schema, str(path))


def renamed(like: str, name: str) -> str:
    """Return the text of a competition's file under another name, otherwise as it is laid out.

    The identifier and the title change. Raises what `find_competition` raises for `like`.
    """
    schema = find_competition(like).schema
    text = _path(like).read_bytes().decode()
    values = {"$id": f"urn:tinytorch-pipeline:competitions:{name}", "title": name.replace("_", " ").capitalize()}
    for start, end, key in reversed(_members(text, len(schema))):
        if key in values:
            text = text[:start] + json.dumps(values[key], ensure_ascii=False) + text[end:]
    return text if text.endswith("\n") else text + "\n"


def _members(text: str, count: int) -> list[tuple[int, int, str]]:
    """Return where the values of a JSON object's `count` keys begin and end in its text, and the keys."""
    decode = json.JSONDecoder().raw_decode
    found, place = [], text.index("{") + 1
    for _ in range(count):
        key, place = decode(text, text.index('"', place))
        start = len(text) - len(text[place:].lstrip(" \t\r\n:"))
        _, place = decode(text, start)
        found.append((start, place, key))
    return found


def competition_from(schema: Mapping[str, Any], path: str) -> Competition:
    """Return the competition of a schema; raises ConfigError with every problem of its form, under `path`."""
    if problems := form_problems(schema, path):
        raise ConfigError(problems)
    return Competition(
        name=str(schema["$id"]).rpartition(":")[2],
        schema=schema,
        limits=(*schema_limits(schema), *terms_limits(schema["x-competition"])),
        baseline=_baseline(schema["x-competition"]["baseline"]["experiment"], path),
        digest=rules_digest(schema),
    )


def form_problems(schema: Mapping[str, Any], path: str) -> list[Problem]:
    """Return what breaks schemas/competition.v1.schema.json."""
    return schema_problems("competition.v1", schema, path, _CODE)


def _path(name: str) -> Path:
    if name.endswith(".json") or "/" in name or "\\" in name:
        return Path(name)
    path = competition_path(name)
    if path is not None:
        return path
    known = competition_names()
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    local = Path(COMPETITIONS) / f"{name[:80]}{SUFFIX}"
    raise UserError(
        f"there is no competition {name[:80]!r}: it is not one of the package's, and {local} is no file",
        hint=f"{meant}competitions: {', '.join(known)}; or give the path of a file that ends in {SUFFIX}",
    )


def _baseline(experiment: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """Return `data` and `model` with defaults filled, as a submission's embedded document has them."""
    try:
        return _filled(json.dumps({"name": "baseline", **experiment, "optimize": [{"quantize": {"bits": 8}}]}))
    except ConfigError as error:
        raise ConfigError([_moved(problem, path) for problem in error.problems]) from None


@lru_cache(maxsize=16)  # checking an experiment takes longer than all else, and competitions share baselines
def _filled(text: str) -> Mapping[str, Any]:
    document = build(loads(text)).document
    return {key: document[key] for key in ("data", "model")}


def _moved(problem: Problem, path: str) -> Problem:
    place = f"x-competition.baseline.experiment.{problem.yaml_path}".rstrip(".")
    return Problem(_CODE, path, place, problem.message, hint=problem.hint)
