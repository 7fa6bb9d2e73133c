"""One layer at a time: which layers are tried, and that each trial is what the pass alone would give."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.data.split import Split
from tinytorch.errors import TargetError
from tinytorch.models import mlp
from tinytorch.models.network import Network
from tinytorch.passes import load_pass
from tinytorch.passes.sensitivity import Change, candidates, quality, try_changes

PRUNE = Change("half", "structured_prune", {"sparsity": 0.5})
INT4 = Change("bits 4", "quantize", {"bits": 4})


@pytest.fixture
def model() -> Network:
    return mlp.build((1, 4, 4), 3, np.random.default_rng(0), hidden=[8, 8])


@pytest.fixture
def data() -> dict[str, Split]:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (40, 1, 4, 4)).astype(np.uint8)
    split = Split(pixels, rng.integers(0, 3, 40), 255.0)
    return {"train": split, "validation": split}


def test_only_layers_that_the_pass_changes_are_tried(model: Network) -> None:
    """Flatten and ReLU are no candidates for quantization."""
    assert candidates(model, INT4, ["*"]) == ["fc1", "fc2", "fc_out"]


def test_a_glob_that_matches_nothing_is_an_error(model: Network) -> None:
    """A misspelt target does not pass silently."""
    with pytest.raises(TargetError, match="conv"):
        candidates(model, INT4, ["conv*"])


def test_a_trial_is_what_the_pass_gives_on_that_layer_alone(model: Network, data: dict[str, Split]) -> None:
    """Quality is that of the network which the pass returns for this one target."""
    (trial,) = try_changes(model, [INT4], {"bits 4": ["fc2"]}, data, 0)
    quantize = load_pass("quantize")
    alone = quantize.apply(model, quantize.Settings(bits=4, targets=("fc2",)), data, 0)[0]
    assert trial.quality == quality(alone, data["validation"])


def test_a_change_that_cannot_be_made_has_a_reason(model: Network, data: dict[str, Split]) -> None:
    """The network's outputs cannot be pruned away: no quality is made up for that."""
    (trial,) = try_changes(model, [PRUNE], {"half": ["fc_out"]}, data, 0)
    assert trial.quality is None
    assert trial.reason is not None
    assert "outputs" in trial.reason


def test_the_loss_is_the_mean_cross_entropy(model: Network, data: dict[str, Split]) -> None:
    """Against -log softmax written out in float64."""
    split = data["validation"]
    logits = model.predict(split.images()).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(shares[np.arange(len(split)), split.labels]).mean()
    assert quality(model, split).loss == pytest.approx(expected, rel=1e-12)


def test_the_model_is_left_as_it_was(model: Network, data: dict[str, Split]) -> None:
    """Trials work on copies."""
    before = quality(model, data["validation"])
    list(try_changes(model, [PRUNE, INT4], {"half": ["fc1"], "bits 4": ["fc1"]}, data, 0))
    assert quality(model, data["validation"]) == before
