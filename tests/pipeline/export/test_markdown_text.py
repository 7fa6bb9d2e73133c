"""Text of strangers in Markdown."""

from __future__ import annotations

import pytest

from pipeline.export.markdown_text import code, escaped, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain (text), 1.5 - 2!", "plain (text), 1.5 - 2!"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("1.5 items", "1.5 items"),
        ("a_b*c", r"a\_b\*c"),
        ("[x](http://evil)", r"\[x\](http:&#47;&#47;evil)"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("@someone", "&#64;someone"),
        ("a\n# b", "a\ufffd\\# b"),
        ("a | b", r"a \| b"),
    ],
)
def test_markup_is_shown_as_text(text: str, shown: str) -> None:
    """Nothing of it is markup, and it stays in its line."""
    assert escaped(text) == shown


@pytest.mark.parametrize(("text", "shown"), [("a", "`a`"), ("a`b", "`` a`b ``"), ("``", "``` `` ```"), ("", "` `")])
def test_code_holds_any_text(text: str, shown: str) -> None:
    """Backticks do not end it."""
    assert code(text) == shown


def test_a_table_has_a_line_under_its_header() -> None:
    """Cells are taken as they are."""
    assert table(("a", "b"), [("1", "2")]) == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
