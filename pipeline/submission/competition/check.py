"""Check a competition before it is announced: its form, and whether each limit can be decided at all.

A limit in JSON Schema holds of itself where its value is absent, null or of another type. So a limit on such a value
is a problem here, unless the competition demands that the value is there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.schema import step_names
from pipeline.core.errors import Problem
from pipeline.schemas import SUFFIX, read_schema
from pipeline.submission.competition.bounds import UNSURE, is_timed, is_unsure
from pipeline.submission.competition.limits import Limit, Place, path_text, place_of
from pipeline.submission.competition.terms import Competition

__all__ = ["competition_notes", "competition_problems"]

_CODE = "E511"
_RATIOS = ("estimate",)  # of the timed figures, those that other machines' can be compared with
_TERMS = "x-competition"


def competition_problems(competition: Competition, path: str) -> list[Problem]:
    """Return every reason why a competition of the right form could not be decided, with its path in the file."""
    file_name = Path(path).name
    found = [*_limits(competition), *_ranking(competition.terms), *_terms(competition.terms)]
    if file_name.endswith(SUFFIX) and file_name != f"{competition.name}{SUFFIX}":
        found.append(("$id", f"found {competition.name!r}, expected the name of the file"))
    return [Problem(_CODE, path, place, message) for place, message in found]


def competition_notes(competition: Competition) -> list[str]:
    """Return what is allowed but worth knowing before it is announced."""
    terms = competition.terms
    notes = []
    if None in (terms["data"]["digest"], *terms["data"]["roles"].values()):
        notes.append("the digests of the data are not all known: until they are, no submission passes")
    if terms["dates"]["closes"] is None:
        notes.append("it never closes")
    if terms["verification"]["level"] == "valid":
        notes.append("submissions are believed: nothing is recomputed or run again")
    return notes


def _limits(competition: Competition) -> Iterator[tuple[str, str]]:
    limits = [limit for limit in competition.limits if limit.origin == "properties"]
    if not any(limit.place for limit in limits):
        yield "properties", "found no limit, expected at least one"
    for limit in limits:
        where = path_text(limit.place)
        if problem := _unreachable(limit.place, limits):
            yield where, problem
        elif is_unsure(limit.place):
            better = UNSURE.get(limit.place)
            instead = f"; limit {better}" if better else ""
            yield where, f"is measured and has no interval, so that no limit on it can be decided{instead}"
        else:
            yield from ((where, problem) for problem in _contradictions(limit, limits))


def _unreachable(place: Place, limits: list[Limit]) -> str:
    """Return why a submission need not have a value at a place, or never has one; "" if it always has one."""
    node = _resolved(read_schema("submission.v2"))
    for i, part in enumerate(place):
        parent = place[:i]
        below = _below(node, part)
        if below is None:
            near = difflib.get_close_matches(str(part), node.get("properties", {}), n=1)
            return f"{path_text(place[: i + 1])} is not in a submission{f'; did you mean {near[0]!r}?' if near else ''}"
        if isinstance(part, int):
            least = max([node.get("minItems", 0), *_demands(limits, parent, "minItems")])
            if part >= least:
                return f"{path_text(parent)} may be shorter; add its minItems"
        elif part not in node.get("required", ()) and not any(
            part in keys for keys in _demands(limits, parent, "required")
        ):
            return f"{path_text(place[: i + 1])} may be absent; name it in `required` of {path_text(parent)}"
        node = _resolved(below)
        here = place[: i + 1]
        if _may_be_null(node) and not any(limit.place == here and limit.rule in _NOT_NULL for limit in limits):
            return f"{path_text(here)} may be null, which every limit lets through; add its `type`"
    return ""


_NOT_NULL = ("type", "const", "enum")


def _demands(limits: list[Limit], place: Place, rule: str) -> list[Any]:
    return [limit.expected for limit in limits if limit.place == place and limit.rule == rule]


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        node = read_schema("submission.v2")["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _below(node: Mapping[str, Any], part: str | int) -> Mapping[str, Any] | None:
    if isinstance(part, int):
        found = node.get("items")
    else:
        found = node.get("properties", {}).get(part, node.get("additionalProperties"))
    return found if isinstance(found, Mapping) else None


def _may_be_null(node: Mapping[str, Any]) -> bool:
    return "null" in node.get("type", ()) or None in node.get("enum", ())


def _contradictions(limit: Limit, limits: list[Limit]) -> Iterator[str]:
    """Yield what no submission could keep."""
    node = _node(limit.place)
    if limit.rule == "minimum":
        if any(high < limit.expected for high in _demands(limits, limit.place, "maximum")):
            yield "found a minimum above the maximum"
        if limit.expected > node.get("maximum", limit.expected):
            yield f"found a minimum of {limit.expected}, but it is never above {node['maximum']}"
    if limit.rule in ("minimum", "maximum") and not {"number", "integer"} & set(_types(node)):
        yield f"is no number, so that its {limit.rule} lets everything through"
    known = node.get("enum", [node["const"]] if "const" in node else None)
    wanted = {"enum": limit.expected, "const": [limit.expected]}.get(limit.rule, [])
    for value in wanted if known is not None else []:
        if value not in known:
            yield f"is never {value!r}, but one of {', '.join(map(str, known))}"


def _node(place: Place) -> Mapping[str, Any]:
    node = _resolved(read_schema("submission.v2"))
    for part in place:
        node = _resolved(_below(node, part) or {})
    return node


def _types(node: Mapping[str, Any]) -> list[str]:
    types = node.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _ranking(terms: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    ranking = terms["ranking"]
    for name, ranked in [
        ("primary", ranking["primary"]),
        *((f"then[{i}]", each) for i, each in enumerate(ranking["then"])),
    ]:
        where, place = f"{_TERMS}.ranking.{name}.path", place_of(ranked["path"])
        if problem := _unreachable(place, []):
            yield where, problem
        elif not {"number", "integer"} & set(_types(_node(place))):
            yield where, f"{ranked['path']} is no number"
        elif is_unsure(place) or (is_timed(place) and place[-1] not in _RATIOS):
            yield where, "speed ranks by its ratio to the common baseline: comparisons.speed.speedup.estimate"


def _terms(terms: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    opens, closes = terms["dates"]["opens"], terms["dates"]["closes"]
    if opens is not None and closes is not None and closes <= opens:
        yield f"{_TERMS}.dates.closes", f"found {closes}, expected a moment after it opens"
    for i, step in enumerate(terms["division"]["steps"]):
        if step not in step_names():
            yield f"{_TERMS}.division.steps[{i}]", f"found {step!r}, expected one of {', '.join(sorted(step_names()))}"
    name, baseline = terms["data"]["name"], terms["baseline"]["experiment"]["data"].get("name")
    if name != baseline:
        yield f"{_TERMS}.data.name", f"found {name!r}, but the baseline's data are {baseline!r}"
