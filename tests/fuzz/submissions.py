"""Submissions and competitions: made from valid ones, given to the commands that read them."""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from pipeline.schemas import competition_names, competition_path
from pipeline.submission.migrate import migrate
from pipeline.submission.write import dump_submission
from tests.fuzz.changes import change_bytes, change_numbers, change_tree
from tests.fuzz.commands import command, keys
from tests.fuzz.files import Files
from tests.pipeline.submission.rules.conftest import make_honest

__all__ = ["check_competition", "check_submission", "make_competition", "make_submission"]

_VALID = Path(__file__).parents[1] / "pipeline" / "report" / "submission.json"
_KEYWORDS = ("$ref", "$dynamicRef", "$defs", "$id", "allOf", "anyOf", "not", "if", "then", "enum", "const", "pattern")
_KEYWORDS += ("patternProperties", "format", "multipleOf", "minimum", "exclusiveMaximum", "required", "items", "type")
# keywords whose value could make a validator loop, fetch, read or stumble
_LIMITS: tuple[tuple[str, Any], ...] = (
    ("$ref", "#"),
    ("$ref", "#/properties"),
    ("$ref", "#/nothing"),
    ("$ref", "http://localhost:9/x.json"),
    ("$ref", "file:///etc/passwd"),
    ("$ref", 5),
    ("$dynamicRef", "#"),
    ("allOf", [{"$ref": "#"}]),
    ("allOf", [{"$ref": "urn:tinytorch-pipeline:submission:v2"}] * 40),
    ("const", None),
    ("enum", []),
    ("enum", ["x"]),
    ("format", "regex"),
    ("items", {"$ref": "#"}),
    ("maximum", -1),
    ("maximum", "5"),
    ("maximum", 1e308),
    ("minimum", True),
    ("multipleOf", 0),
    ("multipleOf", 1e-320),
    ("not", {}),
    ("pattern", "("),
    ("pattern", "(a|a)*b$"),
    ("pattern", "((.*)*)*$"),
    ("patternProperties", {"(.+)+$": False}),
    ("properties", []),
    ("propertyNames", {"pattern": "(a+)+$"}),
    ("required", "all"),
    ("type", "nothing"),
    ("unevaluatedProperties", False),
)


def make_submission(rng: Random) -> Files:
    """Return a changed submission."""
    tree = json.loads(rng.choice(_submissions()))
    if rng.random() < 0.9:
        tree = change_tree(tree, rng, keys("submission.v2"))
    return {"submission.json": _written(tree, rng)}


def make_competition(rng: Random) -> Files:
    """Return a changed competition, and a submission to hold against it."""
    tree = json.loads(rng.choice(_competitions()))
    if rng.random() < 0.9:
        tree = change_tree(tree, rng, (*_KEYWORDS, *keys("submission.v2"), *keys("competition.v1")))
    if rng.random() < 0.6:
        _limited(tree, rng)
    return {"competition.json": _written(tree, rng), "submission.json": _submissions()[0].encode()}


def _limited(tree: Any, rng: Random) -> None:
    """Add a keyword somewhere below the schema's properties."""
    node = tree
    while isinstance(node, dict) and isinstance(node.get("properties"), dict) and node["properties"]:
        node = node["properties"][rng.choice(sorted(node["properties"]))]
        if rng.random() < 0.3:
            break
    if isinstance(node, dict):
        keyword, value = rng.choice(_LIMITS)
        node[keyword] = value


def _written(tree: Any, rng: Random) -> bytes:
    text = json.dumps(tree, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.15:
        text = change_numbers(text, rng)
    data = text.encode("utf-8", "surrogatepass")
    return change_bytes(data, rng) if rng.random() < 0.2 else data


def check_submission(folder: Path) -> bool:
    """Return whether the file is valid; what compares submissions reads every third as well."""
    choice = zlib.crc32((folder / "submission.json").read_bytes()) % len(_READERS)
    command(*_READERS[choice])
    return not command("validate", "submission.json")


def check_competition(folder: Path) -> bool:
    """Return whether the competition is one; a submission is held against it in any case."""
    command("validate", "--competition", "competition.json", "submission.json")
    return not command("competition", "check", "./competition.json")


_READERS = (
    ("validate", "submission.json"),
    ("validate", "--competition", "tiny_digits", "submission.json"),
    ("compare", "submission.json", str(_VALID)),
    ("report", "submission.json"),
    ("gate", "submission.json", "--against", str(_VALID), "--max-slowdown", "5%", "--max-drop", "0.5%"),
)


@cache
def _competitions() -> tuple[str, ...]:
    paths = [competition_path(name) for name in competition_names()]
    return tuple(path.read_text("utf-8") for path in paths if path is not None)


@cache
def _submissions() -> tuple[str, ...]:
    """Return valid submissions: what the reports are tested with, of texts, in the course's format, and migrated."""
    whole = _VALID.read_text("utf-8")
    metrics = {
        "parameter_count": 283,
        "model_size_mb": 0.00108,
        "accuracy": 0.5,
        "latency_ms_mean": 0.05,
        "latency_ms_std": 0.01,
        "throughput_samples_per_sec": 20000.0,
    }
    course = {
        "tinytorch_version": "0.1.0",
        "submission_type": "capstone_benchmark",
        "timestamp": "2025-03-02 09:15:00",
        "system_info": {"platform": "Linux", "python_version": "3.11.6", "numpy_version": "1.26.0"},
        "baseline": {"model_name": "mlp", "metrics": metrics},
        "optimized": {"model_name": "small_mlp", "metrics": metrics, "techniques_applied": ["pruning"]},
        "improvements": {"speedup": 1.25, "compression_ratio": 2.0, "accuracy_delta": -0.02},
    }
    migrated = dump_submission(migrate(course, b"course"))
    texts = dump_submission(make_honest(of_texts=True)[0])
    return whole, whole, whole, texts, texts, json.dumps(course), migrated
