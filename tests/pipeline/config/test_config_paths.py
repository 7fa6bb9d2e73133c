"""Dotted paths: text to parts and back, names of list items, values along a path."""

from __future__ import annotations

import pytest

from pipeline.config.paths import PathError, format_path, get, get_or_none, locate, parse_path, replaced

DATA = {"optimize": [{"prune": {"sparsity": 0.5}}, {"quantize": {}}, {"prune": {}}], "model": {"arch": "mlp"}}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("model.train.lr", ("model", "train", "lr")),
        ("optimize[0].prune.sparsity", ("optimize", 0, "prune", "sparsity")),
        ('optimize[1].quantize.per_layer["fc*.x"].bits', ("optimize", 1, "quantize", "per_layer", "fc*.x", "bits")),
    ],
)
def test_a_path_is_read_and_written(text: str, path: tuple[str | int, ...]) -> None:
    """Parsing and formatting are inverse."""
    assert parse_path(text) == path
    assert format_path(path) == text


@pytest.mark.parametrize("text", ["", ".a", "a..b", "a[x]", "a[", "a b", "a.", "a[1]b", 'a["b]', "[0"])
def test_what_is_no_path_is_refused(text: str) -> None:
    """A malformed path is an error, not a guess."""
    with pytest.raises(PathError):
        parse_path(text)


def test_a_list_item_may_be_named_by_its_key() -> None:
    """The name must fit exactly one item."""
    assert locate(DATA, ("optimize", "quantize", "bits")) == ("optimize", 1, "quantize", "bits")
    with pytest.raises(PathError, match=r"several items 'prune'; write optimize\[0\].prune or optimize\[2\].prune"):
        locate(DATA, ("optimize", "prune"))
    with pytest.raises(PathError, match="no item 'finetune'; it has prune, quantize"):
        locate(DATA, ("optimize", "finetune"))


def test_a_value_is_replaced_in_a_copy() -> None:
    """Only what lies on the path is copied; missing mappings are made."""
    changed = replaced(DATA, ("model", "train", "lr"), 1)
    assert changed["model"] == {"arch": "mlp", "train": {"lr": 1}}
    assert "train" not in DATA["model"]
    assert changed["optimize"] is DATA["optimize"]


def test_a_path_through_a_scalar_leads_nowhere() -> None:
    """Text and numbers have no parts."""
    with pytest.raises(PathError, match="nothing called 'x' inside \"mlp\""):
        replaced(DATA, ("model", "arch", "x"), 1)
    with pytest.raises(KeyError):
        get(DATA, ("model", "arch", "x"))
    assert get_or_none(DATA, ("optimize", 5)) is None
