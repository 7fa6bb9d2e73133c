"""Where figures come from: experiment, data, weights, seeds, versions and moments agree within the document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline.core.keys import digest_value
from pipeline.submission.build import custom_warning, document_digest
from pipeline.submission.evidence import SIDES
from pipeline.submission.rules.agree import shown
from tinytorch.data import DATASETS
from tinytorch.models import MODELS, STORED
from tinytorch.own import own_module

__all__ = ["broken_origin"]

Broken = tuple[str, tuple[str | int, ...], str]

_AHEAD = timedelta(days=1)  # of clocks that are wrong, and of time zones


def broken_origin(document: Mapping[str, Any], now: datetime) -> Iterator[Broken]:
    """Yield (rule, path, message) for everything that contradicts itself; `now` has a time zone."""
    yield from _experiment(document)
    yield from _weights(document)
    yield from _data(document)
    yield from _moments(document, now)
    yield from _seeds(document)
    yield from _versions(document)
    yield from _competition(document)
    yield from _custom_code(document)


def _experiment(document: Mapping[str, Any]) -> Iterator[Broken]:
    experiment = document["experiment"]
    digest = document_digest(experiment["document"])
    for path, found in (
        (("experiment", "digest"), experiment["digest"]),
        (("provenance", "experiment"), document["provenance"]["experiment"]),
    ):
        if found != digest:
            yield "R050", path, f"found {found}, expected {digest}, the digest of experiment.document"
    for name in ("name", "description"):
        embedded = experiment["document"].get(name)
        if isinstance(embedded, str) and embedded != experiment[name]:
            yield "R050", ("experiment", name), f"found {experiment[name]!r}, expected {embedded!r} as in the document"


def _weights(document: Mapping[str, Any]) -> Iterator[Broken]:
    weights, selection = document["provenance"]["weights"], document["selection"]
    for i, point in enumerate(selection["points"]):
        if point["index"] == selection["chosen"] and point["weights"] != weights["optimized"]:
            yield (
                "R051",
                ("selection", "points", i, "weights"),
                f"found {point['weights']}, expected {weights['optimized']}, as in provenance",
            )
    sizes = [document["size"][side]["stored_bytes"] for side in SIDES]
    if weights["baseline"] == weights["optimized"] and sizes[0] != sizes[1]:
        yield (
            "R051",
            ("provenance", "weights"),
            f"found one digest for files of {sizes[0]} and {sizes[1]} bytes, expected two",
        )


def _data(document: Mapping[str, Any]) -> Iterator[Broken]:
    data = document["provenance"]["data"]
    roles = list(data["roles"].items())
    for i, (role, digest) in enumerate(roles):
        for other, same in roles[:i]:
            if digest == same:
                yield (
                    "R052",
                    ("provenance", "data", "roles", role),
                    f"found the digest of the {other} data, expected another",
                )
    for side in SIDES:
        for split, record in document["accuracy"][side].items():
            if record["evaluated"] != data["counts"][split]:
                where = ("accuracy", side, split, "evaluated")
                yield "R052", where, f"found {record['evaluated']}, expected {data['counts'][split]} items of the split"


def _moments(document: Mapping[str, Any], now: datetime) -> Iterator[Broken]:
    found = {("measurement", "measured_at"): document["measurement"]["measured_at"]}
    if document["profile"] is not None:
        found["profile", "measured_at"] = document["profile"]["measured_at"]
    moments = {}
    for path, text in found.items():
        try:
            moments[path] = datetime.fromisoformat(text)
        except ValueError:
            yield "R053", path, f"found {text}, which is no moment, expected one of the calendar"
            continue
        if moments[path] > now + _AHEAD:
            yield "R053", path, f"found {text}, expected a moment before {now + _AHEAD:%Y-%m-%dT%H:%M:%SZ}"


def _seeds(document: Mapping[str, Any]) -> Iterator[Broken]:
    seeds, selection = document["provenance"]["seeds"], document["selection"]
    points = {point["index"]: point for point in selection["points"]}
    tried = sorted({point["seed"] for point in selection["points"]})
    if points[selection["chosen"]]["seed"] != seeds["submitted"]:
        seed = points[selection["chosen"]]["seed"]
        where = ("provenance", "seeds", "submitted")
        yield "R054", where, f"found {seeds['submitted']}, expected {seed}, the seed of the chosen point"
    if seeds["tried"] != tried:
        yield (
            "R054",
            ("provenance", "seeds", "tried"),
            f"found {seeds['tried'][:20]}, expected those of the points, {tried[:20]}",
        )
    asked = document["experiment"]["document"].get("seeds")
    if isinstance(asked, list) and not set(tried) <= {seed for seed in asked if isinstance(seed, int)}:
        yield (
            "R054",
            ("provenance", "seeds", "tried"),
            f"found {tried[:20]}, expected seeds of the experiment, {shown(asked[:20])}",
        )


def _versions(document: Mapping[str, Any]) -> Iterator[Broken]:
    versions, machine = document["provenance"]["versions"], document["machine"]
    for name in ("python", "numpy"):
        if versions[name] != machine[name]:
            yield "R055", ("machine", name), f"found {machine[name]!r}, expected {versions[name]!r} as in provenance"


def _competition(document: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield a competition whose rules are named, but for which the experiment was not made."""
    stated, named = document["provenance"].get("competition"), document["experiment"]["document"].get("competition")
    if stated is not None and stated["name"] != named:
        where = ("provenance", "competition", "name")
        yield "R058", where, f"found {stated['name']!r}, expected {shown(named)}, which the experiment names"


def _custom_code(document: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield what is named that this installation does not have, unless the code that brought it is stated."""
    where: tuple[str | int, ...] = ("provenance", "custom_code")
    stated = document["provenance"].get("custom_code", ())
    own = {f"metric {name}" for name in document.get("custom_metrics", ())}
    brought = {name for one in stated for name in one["brings"]}
    for name in sorted((_foreign(document["experiment"]["document"]) | own) - brought):
        yield "R059", where, f"found no code that brings the {name[:200]}, expected some: it is none of ours"
    for i, one in enumerate(stated):
        if custom_warning(one) not in document["warnings"]:
            yield "R059", ("warnings",), f"found no warning of the code of {one['name']!r}, expected it"
        if digest_value(dict(one["files"])) != one["digest"]:
            yield "R059", (*where, i, "digest"), f"found {one['digest']}, expected that of its files"


def _foreign(experiment: Mapping[str, Any]) -> set[str]:
    """Return kind and name of all that an experiment names by a plain name and this installation does not have."""
    data, model, steps = (experiment.get(key) for key in ("data", "model", "optimize"))
    named = [
        ("data", "data", _text(data, "name"), DATASETS),
        ("models", "model", _text(model, "arch"), {**MODELS, STORED: ""}),
    ]
    if isinstance(steps, list):
        own = [_text(step.get("custom"), "name") for step in steps if isinstance(step, Mapping)]
        named += [("passes", "pass", name, {}) for name in own]
    return {
        f"{title} {name}"
        for kind, title, name, table in named
        if name and "$" not in name and (name not in table or own_module(kind, name) is not None)
    }


def _text(value: Any, key: str) -> str:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else ""
