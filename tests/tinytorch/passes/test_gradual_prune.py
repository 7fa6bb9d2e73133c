"""Pruning along a ramp: the same end as at once, reached in steps with training between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch.data.split import Split
from tinytorch.errors import NoEffectError, TargetError, TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import gradual_prune, load_pass, needs, resolve
from tinytorch.passes.effect import Effect
from tinytorch.passes.gradual_prune import METHODS, RAMPS, Settings, apply
from tinytorch.serialization import dumps

Build = Callable[..., Network]


def prune(model: Network, train: Split, **params: Any) -> tuple[Network, Effect, list[dict[str, Any]]]:
    result, effect, history = apply(model, Settings.from_params(params), {"train": train}, 0)
    assert history is not None
    return result, effect, history


def sparsities(monkeypatch: pytest.MonkeyPatch, method: str) -> list[Any]:
    """Record the settings of every pruning by a method, the one at once left out."""
    seen: list[Any] = []
    real = METHODS[method].apply
    monkeypatch.setattr(METHODS[method], "apply", lambda m, s, d, seed: (seen.append(s), real(m, s, d, seed))[1])
    return seen


def test_the_cubic_ramp_is_that_of_its_paper(build: Build, train: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """s · (1 - (1 - t/n)³): most of it early, little at the end."""
    seen = sparsities(monkeypatch, "magnitude")
    prune(build("mlp", hidden=[16]), train, method="magnitude", sparsity=0.8, steps=4, epochs=0)
    assert [settings.sparsity for settings in seen[1:]] == pytest.approx([0.4625, 0.7, 0.7875, 0.8])
    assert [RAMPS["linear"](share) for share in (0.25, 1.0)] == [0.25, 1.0]


@pytest.mark.parametrize("method", ["block", "magnitude"])
def test_without_training_it_ends_as_at_once(build: Build, train: Split, method: str) -> None:
    """The same weights go, in whatever number of steps, and the report says the same."""
    model = build("mlp", hidden=[33, 20])
    params = {"sparsity": 0.7, "per_layer": {"fc1": {"sparsity": 0.5}}}
    result, effect, _ = prune(model, train, method=method, epochs=0, steps=3, **params)
    technique = METHODS[method]
    at_once, expected, _ = technique.apply(model, technique.Settings.from_params(params), {}, 0)
    assert dumps(result) == dumps(at_once)
    assert effect.layers == expected.layers
    assert (effect.warnings, effect.simulated) == (expected.warnings, expected.simulated)


def units(effect: Effect) -> int:
    """What of the units, blocks or weights is left, whichever the method removes."""
    settings = ({"units_after": layer.nonzero_after, **layer.settings} for layer in effect.layers if layer.settings)
    return sum(each.get("blocks_after", each["units_after"]) for each in settings)


@pytest.mark.parametrize("method", ["block", "magnitude", "structured"])
def test_ranked_together_as_much_goes_as_at_once(build: Build, train: Split, method: str) -> None:
    """Of all layers together; from which is decided anew at each step."""
    model = build("mlp", hidden=[33, 20])
    effect = prune(model, train, method=method, epochs=0, steps=3, sparsity=0.6, scope="global")[1]
    technique = METHODS[method]
    expected = technique.apply(model, technique.Settings(sparsity=0.6, scope="global"), {}, 0)[1]
    assert units(effect) == pytest.approx(units(expected), abs=1)


def test_units_are_counted_whole(build: Build, train: Split) -> None:
    """round(s · n) units go in the end, however many steps it takes; the report is of all steps."""
    model = build("mlp", hidden=[45, 7])
    effect = prune(model, train, sparsity=0.6, steps=9, epochs=0)[1]
    layers = {layer.name: layer.settings for layer in effect.layers}
    assert (layers["fc1"]["units_before"], layers["fc1"]["units_after"]) == (45, 45 - 27)
    assert (layers["fc2"]["units_before"], layers["fc2"]["units_after"]) == (7, 3)
    assert layers["fc1"]["sparsity"] == 0.6
    assert layers["fc1"]["sparsity_reached"] == pytest.approx(0.6)


def test_it_trains_after_each_step(build: Build, train: Split) -> None:
    """The history counts the epochs of all steps on; pruned weights stay zero, the others have moved."""
    model = build("mlp", hidden=[16])
    result, effect, history = prune(model, train, method="block", sparsity=0.5, steps=3, epochs=2, lr=0.01)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5, 6]
    layer = dict(result.named_layers())["fc1"]
    before = dict(model.named_layers())["fc1"]
    assert np.count_nonzero(layer.blocks) == 64
    assert not np.array_equal(layer.bias.data, before.bias.data)
    assert effect.technique == "gradual_prune"


def test_no_sparsity_trains_nothing(build: Build, train: Split) -> None:
    """So that a sweep may begin at 0."""
    model = build("mlp", hidden=[16])
    result, effect, history = prune(model, train, sparsity=0.0)
    assert dumps(result) == dumps(model)
    assert history == []
    assert effect.technique == "gradual_prune"
    assert effect.settings["ramp"] == "cubic"


def test_what_is_wrong_is_found_before_anything_is_trained(build: Build, train: Split) -> None:
    """The errors are those of the method."""
    model = build("mlp", hidden=[16])
    with pytest.raises(TargetError):
        prune(model, train, targets=["conv1"])
    with pytest.raises(NoEffectError, match="removed no unit"):
        prune(model, train, targets=["fc_out"])
    prune(model, train, targets=["fc_out"], allow_no_effect=True, epochs=0)


def test_a_step_with_a_ramp_is_this_pass(build: Build) -> None:
    """And without one it is the method's own, without the keys of a ramp."""
    params = {"method": "block", "sparsity": 0.9, "ramp": "cubic", "steps": 4, "epochs": 2}
    assert resolve("prune", params) == ("gradual_prune", params)
    assert resolve("prune", {**params, "ramp": "none"}) == ("block_prune", {"sparsity": 0.9})
    assert needs("gradual_prune", params) == {"train", "validation"}
    magnitude = {"method": "magnitude", "importance": "l1", "ramp": "linear"}
    assert resolve("prune", magnitude) == ("gradual_prune", {"method": "magnitude", "ramp": "linear"})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "blok"}, "method must be one of block, magnitude, structured"),
        ({"ramp": "cubik"}, "did you mean 'cubic'"),
        ({"steps": 0}, "steps must be an integer"),
        ({"epochs": -1}, "epochs"),
        ({"sparsity": 2}, "sparsity must be"),
        ({"method": "magnitude", "importance": "l1"}, "importance"),
    ],
)
def test_settings_are_checked(params: dict[str, Any], message: str) -> None:
    """Those of the ramp and those of the method."""
    with pytest.raises(TinyTorchError, match=message):
        load_pass("gradual_prune").Settings.from_params(params)


def test_settings_read_back(build: Build, train: Split) -> None:
    """The effect's settings are those of the file."""
    params = {"method": "block", "importance": "l2", "except": ["fc_out"], "ramp": "linear", "steps": 2, "epochs": 0}
    effect = prune(build("mlp", hidden=[16]), train, **params)[1]
    assert gradual_prune.Settings.from_params(effect.to_json()["settings"]) == Settings.from_params(params)
