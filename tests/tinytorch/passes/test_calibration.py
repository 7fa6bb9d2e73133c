"""Static scales: what covers all, what leaves out the rare, and what errs least."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.core.layers import Linear
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes.calibration import Calibration, calibration_images, static_scales

MODEL = Network({"fc1": Linear(100, 3)}, (100,))


def end(images: np.ndarray, how: str, percentile: float = 99.0) -> float:
    """The end of the range that a scale covers."""
    scales, _ = static_scales(MODEL, ["fc1"], images, Calibration(how, percentile))
    return float(scales["fc1"][0]) * 127


@pytest.fixture
def skewed() -> np.ndarray:
    """Normal values, a few of which are a hundred times larger."""
    images = np.random.default_rng(4).standard_normal((200, 100)).astype(np.float32)
    images[:3, 0] = 400, -500, 300
    return images


def test_max_covers_all(skewed: np.ndarray) -> None:
    """The largest magnitude ends the range, and the outlier is reported with the two ways out."""
    scales, warnings = static_scales(MODEL, ["fc1"], skewed, Calibration("max", 99.0))
    assert float(scales["fc1"][0]) * 127 == pytest.approx(500)
    assert "calibration: percentile cuts it off" in warnings[0]


def test_a_percentile_leaves_out_the_rest(skewed: np.ndarray) -> None:
    """The range ends where that share of magnitudes is covered, up to a bin of the histogram."""
    assert end(skewed, "percentile", 99.9) == pytest.approx(np.quantile(np.abs(skewed), 0.999), abs=500 / 4096 + 0.01)
    assert end(skewed, "percentile", 100.0) == pytest.approx(500)


def test_mse_finds_the_least_error() -> None:
    """No other end of the range has a smaller squared error than the one found, up to the grid that was searched."""
    images = np.random.default_rng(5).laplace(size=(200, 100)).astype(np.float32)

    def error(limit: float) -> float:
        scale = limit / 127
        return float(np.square(np.clip(np.rint(images / scale), -127, 127) * scale - images).sum())

    most = float(np.abs(images).max())
    best = min(error(most * share) for share in np.linspace(0.02, 1, 99))
    assert error(end(images, "mse")) < 1.02 * best
    assert error(end(images, "mse")) < error(most)


@pytest.mark.parametrize("how", ["max", "percentile", "mse"])
def test_inputs_of_zeros_have_a_scale(how: str) -> None:
    """A layer that is never given anything but zeros still has a positive scale."""
    assert end(np.zeros((4, 100), np.float32), how) > 0


@pytest.mark.parametrize("how", ["max", "percentile", "mse"])
def test_inputs_that_are_not_finite_name_the_layer(how: str) -> None:
    """NaN has no range."""
    images = np.full((4, 100), np.nan, np.float32)
    with pytest.raises(TinyTorchError, match="fc1: its inputs are NaN or infinite"):
        end(images, how)


def test_calibration_needs_images() -> None:
    """The purpose is named."""
    with pytest.raises(TinyTorchError, match="this and that need training images"):
        calibration_images(None, 5, 0, "this and that")
