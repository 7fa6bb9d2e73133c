"""Globs over layer names: who is chosen, whose setting wins, and what a typo says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tinytorch.errors import TargetError
from tinytorch.passes.targets import match

NAMES = ["conv1", "block1.conv1", "block1.conv2", "fc1", "fc_out"]


def test_everything_is_chosen_in_order_by_default() -> None:
    """Without globs, all names are chosen, in the order given, with no overrides."""
    assert list(match(NAMES).items()) == [(name, {}) for name in NAMES]


def test_globs_choose_by_case_sensitive_name() -> None:
    """`*` crosses dots, `?` and `[ ]` stand for one character, and case counts."""
    assert list(match(NAMES, ["*conv?"])) == ["conv1", "block1.conv1", "block1.conv2"]
    assert list(match(NAMES, ["fc[1_]*"])) == ["fc1", "fc_out"]
    with pytest.raises(TargetError):
        match(NAMES, ["FC*"])


def test_the_name_of_a_container_chooses_what_is_inside() -> None:
    """Up to a dot; the more specific setting wins."""
    assert list(match(NAMES, ["block1", "fc1"])) == ["block1.conv1", "block1.conv2", "fc1"]
    assert list(match(NAMES, except_=["block?"])) == ["conv1", "fc1", "fc_out"]
    chosen = match(NAMES, [], per_layer={"block1": {"bits": 4}, "block1.conv2": {"bits": 8}})
    assert chosen == {"block1.conv1": {"bits": 4}, "block1.conv2": {"bits": 8}}
    with pytest.raises(TargetError):
        match(NAMES, ["block"])


def test_except_wins_over_everything() -> None:
    """A layer that `except` names is left out, whatever else names it."""
    assert list(match(NAMES, ["fc*"], ["fc_out"], {"fc_out": {"bits": 4}})) == ["fc1"]


def test_a_layer_with_settings_of_its_own_is_chosen() -> None:
    """`per_layer` chooses layers too, beyond the targets."""
    assert match(NAMES, ["fc1"], [], {"conv1": {"bits": 4}}) == {"conv1": {"bits": 4}, "fc1": {}}


def test_the_more_specific_glob_wins_key_by_key() -> None:
    """More literal characters win, in whatever order they are written; other keys are kept."""
    settings = {"block1.conv1": {"bits": 4}, "*": {"bits": 32, "weights": "per_tensor"}, "*conv*": {"bits": 8}}
    for order in (settings, dict(reversed(settings.items()))):
        chosen = match(NAMES, per_layer=order)
        assert chosen["block1.conv1"] == {"bits": 4, "weights": "per_tensor"}
        assert chosen["block1.conv2"]["bits"] == 8
        assert chosen["fc1"]["bits"] == 32


def test_wildcards_are_not_literal_characters() -> None:
    """A character class counts for nothing, so a plain letter beats it."""
    assert match(["fc1"], per_layer={"[fghijkl]?1": {"bits": 8}, "fc?": {"bits": 4}}) == {"fc1": {"bits": 4}}


def test_none_overrides_nothing() -> None:
    """A setting left at null in a file leaves the step's own."""
    assert match(NAMES, ["fc1"], [], {"fc1": {"sparsity": None}}) == {"fc1": {}}


@pytest.mark.parametrize("where", ["targets", "except_", "per_layer"])
def test_a_glob_that_matches_nothing_names_the_nearest(where: str) -> None:
    """A typo is an error wherever it stands, with the pattern, the nearest names and all names."""
    with pytest.raises(TargetError, match=r"'fc_oit' matches no layer. Did you mean 'fc_out'") as caught:
        match(NAMES, **{where: {"fc_oit": {}} if where == "per_layer" else ["fc_oit"]})
    assert caught.value.names == tuple(NAMES)


def test_no_layers_means_no_choice() -> None:
    """A network without layers of the right kind gives nothing; the pass says whether that is an error."""
    assert match([]) == {}


def test_it_needs_no_numpy() -> None:
    """Targets and the tables of passes can be asked without importing NumPy."""
    code = "import sys, tinytorch.passes, tinytorch.passes.targets; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
