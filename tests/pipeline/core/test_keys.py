"""Keys: what is the same computation, and in what two computations differ."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from pipeline.core.keys import FORMAT, KeyFrame, Preimage, action_key, canonical, differences, digest_value, family_key

BASE = Preimage("optimize", 1, {"pass": "quantize", "params": {"bits": 8}}, "c0de", {"model": "aa"}, {"numpy": "2.0"})


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (1, "1"),
        (1, True),
        (0, False),
        (None, "null"),
        ("", []),
        ([["a"], "b"], ["a", ["b"]]),
        (["ab", "c"], ["a", "bc"]),
        ({"a": 1}, {"a": 1, "b": None}),
        ({}, []),
        (0.0, -0.0),
        (b"a", "a"),
    ],
)
def test_different_values_have_different_encodings(left: Any, right: Any) -> None:
    """No two values of different type, shape or name share an encoding."""
    assert canonical(left) != canonical(right)


def test_the_order_of_a_mapping_does_not_matter() -> None:
    """Key order is layout, not meaning."""
    assert canonical({"a": 1, "b": [2]}) == canonical({"b": [2], "a": 1})


def test_a_digest_is_the_sha256_of_the_encoding() -> None:
    """The digest can be recomputed with any SHA-256."""
    assert digest_value(["a"]) == hashlib.sha256(b"l4:s1:a").hexdigest()


def test_an_object_cannot_enter_a_key() -> None:
    """Only JSON-like values have a defined identity."""
    with pytest.raises(TypeError, match="set cannot enter a key"):
        canonical({1})


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "train"},
        {"version": 2},
        {"params": {"pass": "quantize", "params": {"bits": 4}}},
        {"params": {"pass": "quantize", "params": {"bits": 8, "new": None}}},
        {"code": "c0df"},
        {"inputs": {"model": "ab"}},
        {"inputs": {"weights": "aa"}},
        {"environment": {"numpy": "2.1"}},
    ],
)
def test_every_component_enters_the_key(change: dict[str, Any]) -> None:
    """A change of any component, a parameter's mere presence included, gives another key."""
    assert action_key(BASE._replace(**change)) != action_key(BASE)


def test_a_preimage_survives_json() -> None:
    """A stored pre-image gives the key it was stored under."""
    assert action_key(Preimage.from_json(BASE.to_json())) == action_key(BASE)


def test_differences_name_the_parameter_and_both_values() -> None:
    """The reason for a miss is the component, its name, and what it was and is."""
    (difference,) = differences(BASE, BASE._replace(params={"pass": "quantize", "params": {"bits": 4}}))
    assert difference == ("params", "params.bits", 8, 4)


def test_equal_preimages_have_no_differences() -> None:
    """Nothing is reported where nothing differs."""
    assert differences(BASE, BASE) == ()


def test_a_key_does_not_change_by_accident() -> None:
    """Whoever changes how keys are made throws away every stored result: raise FORMAT, and renew this literal."""
    assert action_key(BASE) == "5083937431acd6184c6c8b520480cf479f1b969fe82e59e12f57da9c3cc3c482"


def test_a_parameter_that_comes_with_no_value_is_a_difference() -> None:
    """Absent and null are two keys, so there is a reason to give."""
    (difference,) = differences(BASE, BASE._replace(params={**BASE.params, "new": None}))
    assert (difference.name, difference.before, difference.after) == ("new", None, None)


def test_differences_point_into_lists() -> None:
    """Of a long list only the item that differs is named; lists of different lengths differ as a whole."""
    before = BASE._replace(params={"steps": [{"bits": 8}, {"bits": 8}]})
    (difference,) = differences(before, BASE._replace(params={"steps": [{"bits": 8}, {"bits": 4}]}))
    assert difference == ("params", "steps[1].bits", 8, 4)
    (difference,) = differences(before, BASE._replace(params={"steps": []}))
    assert difference.name == "steps"


@pytest.mark.parametrize(
    ("change", "is_same"),
    [({"inputs": {"model": "bb"}}, True), ({"inputs": {"weights": "aa"}}, False), ({"code": "c0df"}, False)],
    ids=["input content", "input role", "code"],
)
def test_a_family_differs_in_the_content_of_its_inputs_only(change: dict[str, Any], is_same: bool) -> None:
    """So `plan` can tell what runs whatever its inputs will be."""
    assert (family_key(BASE._replace(**change)) == family_key(BASE)) is is_same


@pytest.mark.parametrize("inputs", [{}, {"model": "aa"}, {"b": "x", "a": "y"}])
def test_a_frame_gives_the_keys_of_whole_preimages(inputs: dict[str, str]) -> None:
    """What many nodes share is encoded once, and the bytes that are hashed are the same."""
    preimage = BASE._replace(inputs=inputs)
    frame = KeyFrame(BASE.stage, BASE.version, BASE.code, BASE.environment)
    expected = digest_value({"format": FORMAT, **preimage.to_json()})
    assert action_key(preimage) == expected
    assert frame.keys(BASE.params, inputs) == (expected, family_key(preimage))


@pytest.mark.parametrize("change", [{"environment": ["numpy"]}, {"environment": {"numpy": [2]}}, {"code": ["x"]}])
def test_a_damaged_preimage_has_a_key_of_its_own(change: dict[str, Any]) -> None:
    """Whatever stands in its file: it is not what its name says."""
    assert action_key(BASE._replace(**change)) != action_key(BASE)
