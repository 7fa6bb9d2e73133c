"""The heat map of layers' sensitivity: well-formed, complete, and safe whatever names it is given."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from pipeline.report.sensitivity import picture, table


def found(layer: str = "fc1") -> dict[str, Any]:
    quality = {"accuracy": 0.9, "loss": 0.75, "stored_bytes": 100, "macs": 10}
    trials = [
        {"layer": layer, "change": "prune 0.5", "quality": quality, "reason": None},
        {"layer": layer, "change": "bits 4", "quality": None, "reason": "it is the last one"},
    ]
    return {
        "baseline": {**quality, "accuracy": 0.95, "loss": 0.25},
        "validation_items": 20,
        "changes": ["prune 0.5", "bits 4"],
        "layers": [{"name": layer, "kind": "Linear", "parameters": 10, "bytes": 40, "macs": 10}],
        "trials": trials,
    }


def test_each_trial_is_a_cell_with_its_change_of_accuracy() -> None:
    """The text of the cell is the change in points."""
    root = ElementTree.fromstring(picture("a run", found()))
    assert "-5.00" in [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_what_could_not_be_changed_is_a_dash_with_its_reason() -> None:
    """The reason is the cell's title."""
    root = ElementTree.fromstring(picture("a run", found()))
    assert "it is the last one" in [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]


def test_hostile_names_stay_text() -> None:
    """Markup in a name is escaped, and control characters do not reach the file."""
    text = picture("<script>\x1b[31m", found('fc"><script>'))
    assert "<script" not in text
    assert "\x1b" not in text


def test_the_table_says_why_there_is_no_figure() -> None:
    """A dash in a cell, the reason below."""
    lines = table(found(), 100, colour=False).splitlines()
    assert lines[-1].strip() == "– fc1: it is the last one"
    assert "-5.00 (+0.500)" in lines[-2]


def test_a_way_to_prune_that_is_not_for_a_layer_is_said_of_all_such_layers_once() -> None:
    """A dash without a reason looks like a figure that was forgotten."""
    result = found()
    result["layers"] += [{**result["layers"][0], "name": name, "kind": "Conv2d"} for name in ("conv1", "conv2")]
    last = table(result, 100, colour=False).splitlines()[-1]
    assert last.strip() == "– conv1, conv2: this way to prune is not for layers of type Conv2d"
