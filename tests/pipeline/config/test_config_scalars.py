"""What plain words of an experiment file mean: YAML 1.2's core schema."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config.load import loads
from pipeline.config.scalars import MAX_INT, ScalarError, resolve_plain, resolve_tagged


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E+2", 500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.25", -0.25),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("+7", 7),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_a_plain_word_is_read_as_yaml_1_2_says(text: str, value: Any) -> None:
    """Numbers, booleans and null are recognised with their type."""
    result = resolve_plain(text)
    assert (type(result), result) == (type(value), value)


@pytest.mark.parametrize(
    "text",
    ["no", "on", "Yes", "off", "y", "12:30", "1_000", "2024-01-31", "0b1", "1e", "e3", "1.2.3", "tRUE", "-", "."],
)
def test_what_yaml_1_1_would_convert_stays_a_word(text: str) -> None:
    """Country codes, times, dates and grouped digits are texts."""
    assert resolve_plain(text) == text


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999", str(MAX_INT + 1), "9" * 5000])
def test_a_number_json_cannot_hold_is_refused(text: str) -> None:
    """Infinities, NaN and integers beyond 2^53 are errors, whatever their length."""
    with pytest.raises(ScalarError):
        resolve_plain(text)


def test_quotes_make_a_text_of_anything() -> None:
    """Quoted and block scalars are never converted."""
    assert loads("a: \"1e-3\"\nb: 'no'\nc: |\n  12\n").data == {"a": "1e-3", "b": "no", "c": "12\n"}


def test_core_tags_say_the_type() -> None:
    """`!!str 1` is a text, `!!float 1` a float, and a tag that contradicts its value is refused."""
    assert loads("a: !!str 1\nb: !!float 1\nc: !!map {d: 1}\n").data == {"a": "1", "b": 1.0, "c": {"d": 1}}
    with pytest.raises(ScalarError, match="is not what its tag !!int says"):
        resolve_tagged("x", "tag:yaml.org,2002:int")
