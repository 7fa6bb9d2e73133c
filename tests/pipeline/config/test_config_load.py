"""Reading a file: values with their positions, and limits on what a hostile file can cost."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from pipeline.config.check import check
from pipeline.config.compose import MAX_DEPTH, MAX_NODES
from pipeline.config.load import load, loads
from pipeline.config.read import MAX_BYTES
from pipeline.core.errors import ConfigError, render_problems
from pipeline.schemas import read_experiment


def only_problem(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        loads(text, "x.yaml")
    assert len(error.value.problems) == 1
    problem = error.value.problems[0]
    return f"{problem.code} {problem.path} {problem.message}"


def test_every_value_and_key_remembers_its_place() -> None:
    """Lines and columns count from 1; the width is that of the value as written."""
    document = loads('name: x\noptimize:\n  - prune: {sparsity: 1.5, targets: ["fc*"]}\n')
    path = ("optimize", 0, "prune", "sparsity")
    assert document.mark(path)[:3] == (3, 23, 3)
    assert document.mark(path, key=True)[:3] == (3, 13, 8)
    assert document.mark(("optimize", 0, "prune"))[:3] == (3, 12, 33)
    assert document.mark(("optimize", 0, "prune", "targets", 0))[:3] == (3, 38, 5)


def test_a_default_points_at_its_nearest_parent() -> None:
    """What is not in the file is placed at the key of what would contain it."""
    document = loads("model:\n  arch: mlp\n")
    assert document.mark(("model", "train", "lr"))[:2] == (1, 1)
    assert document.mark(("data", "name"))[:2] == (1, 1)


def test_columns_count_characters_and_lines_count_all_line_ends() -> None:
    """Letters beyond ASCII, a byte-order mark and Windows line ends do not shift positions."""
    document = loads("\ufeffa: é☃ # ü\r\nb: [ä, 1]\r\n")
    assert document.mark(("b", 1))[:2] == (2, 8)
    assert document.problem("E100", ("b", 1), "").source_line == "b: [ä, 1]"


def test_an_alias_is_the_value_of_its_anchor() -> None:
    """The alias has its own place, what is inside it has the anchor's."""
    document = loads("a: &x {lr: 1}\nb: *x\n")
    assert document.data == {"a": {"lr": 1}, "b": {"lr": 1}}
    assert document.mark(("b",))[:2] == (2, 4)
    assert document.mark(("b", "lr"))[:2] == (1, 12)


def test_an_alias_bomb_is_refused_quickly() -> None:
    """Nine lines that stand for a billion values end at the limit on values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    message = only_problem("\n".join(lines))
    assert message.startswith("E103 x.yaml:")
    assert f"more than {MAX_NODES:,} values" in message


def test_aliases_cannot_nest_deeper_than_values() -> None:
    """A chain of aliases counts as the nesting it stands for."""
    lines = ["a0: &a0 [1]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, MAX_DEPTH + 5)]
    assert f"aliases expand this to more than {MAX_DEPTH} levels" in only_problem("\n".join(lines))


def test_a_recursive_alias_is_refused() -> None:
    """A value that would contain itself is named where the alias stands."""
    assert only_problem("a: &a\n  b: [*a]\n") == "E107 x.yaml:2:7 *a stands inside the very value it refers to"


def test_deep_nesting_is_refused() -> None:
    """Brackets beyond the limit end the reading instead of the stack."""
    assert "nested more than 40 levels deep" in only_problem("a: " + "[" * 5000)


def test_size_is_limited_before_reading(tmp_path: Path) -> None:
    """A file larger than a mebibyte is not parsed."""
    path = tmp_path / "large.yaml"
    path.write_bytes(b"# " + b"x" * MAX_BYTES)
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load(path)


def test_a_json_document_is_read_as_yaml() -> None:
    """JSON is YAML 1.2: an embedded document can be given back."""
    data = {"name": "x", "lr": 1e-05, "targets": ["fc*"], "nested": {"a b": [True, None, "é\n"]}}
    assert loads(json.dumps(data, indent=1)).data == data


def test_damaged_files_give_problems_with_positions_and_nothing_else() -> None:
    """Random edits of a real file never end in anything but placed problems."""
    original = read_experiment("prune_quant")
    pieces = [*"[]{}:,-#'\"&*!|>%@`? \n\tx0.~<\\\x85é", "&a ", "*a", "!!str ", "---\n", "${bits}", "\u2028", "\ufeff"]
    for seed in range(150):
        rng = random.Random(seed)
        text = original
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(text))
            text = text[:place] + rng.choice([*pieces, ""]) + text[place + rng.randint(0, 3) :]
        try:
            problems = check(loads(text))
        except ConfigError as error:
            problems = list(error.problems)
        assert all(problem.line >= 1 and problem.column >= 1 for problem in problems), seed
        render_problems(problems)
