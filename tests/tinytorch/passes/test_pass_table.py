"""How steps of an experiment file become passes with settings."""

from __future__ import annotations

import pytest

from tinytorch.errors import TinyTorchError
from tinytorch.passes import PASSES, RAMPED, STEPS, load_pass, needs, resolve


def test_the_method_chooses_the_pruning_pass() -> None:
    """`prune` is structured unless it says magnitude, which has no use for an importance norm."""
    assert resolve("prune", {"sparsity": 0.5}) == ("structured_prune", {"sparsity": 0.5})
    params = {"method": "magnitude", "sparsity": 0.5, "importance": "l1"}
    assert resolve("prune", params) == ("magnitude_prune", {"sparsity": 0.5})


def test_every_pass_is_meant_by_some_step() -> None:
    """No pass is out of a file's reach, and no step means an unknown pass."""
    reached = {name for _, _, choices in STEPS.values() for name, _ in choices.values()}
    reached |= {name for _, _, name, _ in RAMPED.values()}
    assert reached == set(PASSES)


@pytest.mark.parametrize("name", sorted(PASSES))
def test_the_table_says_what_each_module_needs(name: str) -> None:
    """Planning asks the table, running asks the module: they agree."""
    assert needs(name) == load_pass(name).NEEDS


def test_only_static_quantization_reads_data() -> None:
    """With the settings at hand, a quantization without calibration does not depend on the training data."""
    assert needs("quantize", {"activations": "dynamic"}) == frozenset()
    assert needs("quantize", {"activations": "static"}) == {"train"}
    assert needs("quantize", {"per_layer": {"fc1": {"activations": "static"}}}) == {"train"}


def test_unknown_names_get_the_nearest() -> None:
    """A misspelt pass, step or method is an error with the right spelling."""
    with pytest.raises(TinyTorchError, match="no pass is named 'quantise'; did you mean 'quantize'"):
        load_pass("quantise")
    with pytest.raises(TinyTorchError, match="no step is named 'prun'; did you mean 'prune'"):
        resolve("prun", {})
    with pytest.raises(TinyTorchError, match="no method is named 'magnitud'; did you mean 'magnitude'"):
        resolve("prune", {"method": "magnitud"})


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("structured_prune", {"sparsity": 1}, "sparsity must be at least 0 and below 1, not 1"),
        ("structured_prune", {"sparsity": True}, "sparsity must be"),
        ("structured_prune", {"sparsety": 0.5}, "did you mean 'sparsity'"),
        ("structured_prune", {"importance": "l3"}, "importance must be one of l1, l2"),
        ("structured_prune", {"targets": "fc*"}, "targets must be a list"),
        ("structured_prune", {"except": [1]}, "except must be a list"),
        ("magnitude_prune", {"per_layer": {"fc1": {"bits": 4}}}, r"per_layer\['fc1'\] has no argument 'bits'"),
        ("magnitude_prune", {"per_layer": {"fc1": {"sparsity": 2}}}, "sparsity must be at least 0 and below 1"),
        ("magnitude_prune", {"per_layer": {"fc1": 0.5}}, "must be a mapping"),
        ("magnitude_prune", {"scope": "all"}, "scope must be one of"),
        ("quantize", {"bits": 6}, "bits must be one of 8, 4, 32, not 6"),
        ("quantize", {"activations": "statik"}, "did you mean 'static'"),
        ("quantize", {"calibration_samples": 0}, "calibration_samples must be an integer"),
        ("quantize", {"per_layer": {"fc1": {"bits": 5}}}, "bits must be one of"),
        ("finetune", {"epochs": -1}, "epochs"),
        ("finetune", {"optimizer": "rmsprop"}, "optimizer must be one of"),
    ],
)
def test_settings_are_checked(name: str, params: dict, message: str) -> None:
    """Every wrong parameter is an error that names the pass, the parameter and what is valid."""
    with pytest.raises(TinyTorchError, match=message) as caught:
        load_pass(name).Settings.from_params(params)
    assert str(caught.value).startswith(name)
