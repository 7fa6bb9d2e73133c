"""`explain` knows every code, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from pipeline.core.explain import EXPLANATIONS

PACKAGE = Path(__file__).parents[3] / "pipeline"


def raised_codes() -> set[str]:
    """Return every string in the package that is a code, outside the table itself."""
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "explain.py"]
    strings = (
        node.value
        for path in files
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {text for text in strings if re.fullmatch(r"E\d{3}", text)}


def test_every_code_is_explained_and_every_explanation_is_used() -> None:
    """A new code needs an entry; an entry without a code is dead."""
    assert raised_codes() == set(EXPLANATIONS)


def test_explanations_are_sentences_in_order() -> None:
    """Each begins with what happened, as a sentence of its own: lists of codes show only that."""
    assert list(EXPLANATIONS) == sorted(EXPLANATIONS)
    for code, text in EXPLANATIONS.items():
        assert text[0].isupper(), code
        assert text.endswith("."), code
