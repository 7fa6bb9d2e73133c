"""The report of what a pass did."""

from __future__ import annotations

import json
from collections.abc import Callable

from tinytorch.models.network import Network
from tinytorch.passes import quantize, structured_prune
from tinytorch.serialization import dumps


def test_layers_that_only_shrink_with_their_input_are_listed(build: Callable[..., Network]) -> None:
    """A layer that lost inputs but was not asked for appears too, without settings."""
    settings = structured_prune.Settings(targets=("conv1",))
    _, effect, _ = structured_prune.apply(build("cnn", width=8), settings, {}, 0)
    listed = {layer.name: dict(layer.settings) for layer in effect.layers}
    assert listed == {
        "conv1": {"sparsity": 0.5, "units_before": 8, "units_after": 4, "sparsity_reached": 0.5},
        "bn1": {},
        "conv2": {},
    }


def test_numbers_are_those_of_the_layers(build: Callable[..., Network]) -> None:
    """Per layer: bytes of the stored arrays, counts and bits before and after."""
    _, effect, _ = quantize.apply(build("mlp", hidden=[10]), quantize.Settings(bits=4), {}, 0)
    layer = effect.layers[0]
    assert (layer.name, layer.kind) == ("fc1", "Linear")
    assert (layer.parameters_before, layer.parameters_after) == (1290, 1290)
    assert (layer.bytes_before, layer.bytes_after) == (4 * 1290, 10 * 64 + 10 * 4 + 10 * 4)
    assert (layer.bits_before, layer.bits_after) == (32, 4)
    assert layer.macs_before == layer.macs_after == 1280


def test_it_is_json_and_has_the_file_s_names(build: Callable[..., Network]) -> None:
    """An effect survives JSON unchanged, and its settings read back as the same settings."""
    model = build("mlp")
    params = {"except": ["fc_out"], "per_layer": {"fc1": {"sparsity": 0.25}}}
    chosen = structured_prune.Settings.from_params(params)
    _, effect, _ = structured_prune.apply(model, chosen, {}, 0)
    plain = effect.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert structured_prune.Settings.from_params(plain["settings"]) == chosen
    assert plain["stored_bytes_before"] == len(dumps(model))
