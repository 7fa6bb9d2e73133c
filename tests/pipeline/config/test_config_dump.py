"""Values as YAML text: reading it again gives them back."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml

from pipeline.config.dump import dump
from pipeline.config.load import loads

WORDS = [
    "x",
    "no",
    "On",
    "1e-3",
    "010",
    "12:30",
    "a b",
    "",
    "null",
    "~",
    "${x}",
    "fc*",
    "é☃",
    "a: b",
    "# c",
    "-",
    "0x1",
    "\x7f",
]


@pytest.mark.parametrize("word", [*WORDS, "\n", "\t x", "\u2028", "\ufeff", "'", '"', "\\"])
def test_a_text_stays_a_text(word: str) -> None:
    """Whatever looks like something else is quoted, for YAML 1.1 readers too."""
    assert loads(dump({"a": word, "b": [word]})).data == {"a": word, "b": [word]}
    assert yaml.safe_load(dump({"a": word})) == {"a": word}


@pytest.mark.parametrize("number", [0, -1, 0.5, 1e-5, 1e300, 123456789.0, True, None])
def test_a_number_keeps_its_type(number: Any) -> None:
    """Floats stay floats in both versions of YAML."""
    for value in (loads(dump({"a": number})).data["a"], yaml.safe_load(dump({"a": number}))["a"]):
        assert (type(value), value) == (type(number), number)


def random_value(rng: random.Random, depth: int) -> Any:
    kind = rng.choice(["word", "number", "list", "dict"] if depth else ["word", "number"])
    if kind == "list":
        return [random_value(rng, depth - 1) for _ in range(rng.randint(0, 4))]
    if kind == "dict":
        return {rng.choice(WORDS): random_value(rng, depth - 1) for _ in range(rng.randint(0, 4))}
    return rng.choice(WORDS) if kind == "word" else rng.choice([0, 1.5, -2e-7, False, None])


def test_nested_values_survive() -> None:
    """Any JSON value, however nested, is read back as it was."""
    for seed in range(200):
        value = {"root": random_value(random.Random(seed), 5)}
        assert loads(dump(value)).data == value, seed
        assert loads(f"root: {dump(value['root'], flow=True)}").data == value, seed


def test_steps_are_written_as_people_write_them() -> None:
    """A list of steps has one line each, in flow style where it fits."""
    steps = {"optimize": [{"prune": {"sparsity": 0.5}}, {"finetune": {}, "id": "again"}]}
    assert dump(steps) == "optimize:\n  - prune: {sparsity: 0.5}\n  - {finetune: {}, id: again}\n"
