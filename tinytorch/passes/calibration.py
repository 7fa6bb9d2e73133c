"""What the layers of a network are given while it runs on training images, and the activation scales that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.core.layer import Layer, Leaf
from tinytorch.core.tensor import Tensor
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.kernels.quantized import activation_scale
from tinytorch.models.network import Network

__all__ = ["CALIBRATIONS", "Calibration", "Observer", "calibration_images", "observe", "static_scales"]

Array: TypeAlias = NDArray[Any]

CALIBRATIONS = ("max", "percentile", "mse")
# A static scale stretched this much by an outlier leaves the median image 16 of 127 steps, fewer than 5 of 8 bits.
OUTLIER = 8
_BINS = 4096  # of a histogram of magnitudes from 0 to the largest: 32 for each step of an int8
_CLIPS = np.linspace(0.02, 1.0, 99)  # where a range may end, as shares of the largest magnitude


class Calibration(NamedTuple):
    """How a static scale is found: `max` covers all that was seen, `percentile` that share of it, `mse` errs least."""

    how: str
    percentile: float


def calibration_images(train: Split | None, samples: int, seed: int, purpose: str) -> Array:
    """Draw images of the training split under the seed; raises TinyTorchError without any, naming the `purpose`."""
    if train is None or not len(train):
        raise TinyTorchError(f"{purpose} need training images to calibrate with")
    order = np.random.default_rng(seed).permutation(len(train))[:samples]
    return train.images(np.sort(order))


def static_scales(
    model: Network, names: Sequence[str], images: Array, calibration: Calibration
) -> tuple[dict[str, Array], list[str]]:
    """Return the activation scale (1,) of each of these layers, and warnings about scales that an outlier decides.

    The network runs on `images` as it is. Raises TinyTorchError, naming the layer, for inputs that are not finite.
    """
    layers = dict(model.named_layers())
    extremes = {name: _Extremes(layers[name]) for name in names}
    observe(model, extremes, images)
    for name, seen in extremes.items():
        if not np.isfinite(seen.largest).all():
            raise TinyTorchError(
                f"{name}: its inputs are NaN or infinite for some of the {len(images)} training images"
            )
    ends = {name: float(seen.largest.max(initial=0)) for name, seen in extremes.items()}
    if calibration.how == "max":
        return {name: _scale(end) for name, end in ends.items()}, _warnings(extremes)
    histograms = {name: _Histogram(layers[name], ends[name]) for name in names}
    observe(model, histograms, images)
    return {name: _scale(_clipped(seen, calibration)) for name, seen in histograms.items()}, []


def observe(model: Network, observers: Mapping[str, Leaf], images: Array) -> None:
    """Run the network on images with these layers in place of those of the same names."""
    model.replaced(observers).predict(images)


class Observer(Leaf):
    """A layer that sees what it is given, and passes it on."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Compute what the layer does."""
        self.see(x.data)
        return self.layer.forward(x)

    def see(self, x: Array) -> None:
        """Take note of a batch."""
        raise NotImplementedError

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the layer's."""
        return self.layer.output_shape(input_shape)


class _Extremes(Observer):
    """Remember the largest magnitude of each image."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.largest = np.zeros(0, np.float32)

    def see(self, x: Array) -> None:
        by_image = np.abs(x).reshape(len(x), -1).max(axis=1, initial=0)
        self.largest = np.concatenate([self.largest, by_image])


class _Histogram(Observer):
    """Count magnitudes from 0 to `end` in bins of equal width."""

    def __init__(self, layer: Layer, end: float) -> None:
        super().__init__(layer)
        self.end = end
        self.counts = np.zeros(_BINS, np.int64)

    def see(self, x: Array) -> None:
        if self.end:
            bins = (np.abs(x).ravel() * (_BINS / self.end)).astype(np.int64)
            self.counts += np.bincount(np.minimum(bins, _BINS - 1), minlength=_BINS)


def _clipped(seen: _Histogram, calibration: Calibration) -> float:
    """Return where the range of a layer's inputs is cut off."""
    if calibration.how == "percentile":
        share = np.cumsum(seen.counts) / max(int(seen.counts.sum()), 1)
        return seen.end * (1 + int(np.searchsorted(share, calibration.percentile / 100))) / _BINS
    middles = (np.arange(_BINS) + 0.5) / _BINS
    errors = []
    for clip in _CLIPS:
        rounded = np.minimum(np.rint(middles * (127 / clip)), 127) * (clip / 127)
        errors.append(float(np.sum(seen.counts * np.square(rounded - middles))))
    return seen.end * float(_CLIPS[int(np.argmin(errors))])


def _scale(end: float) -> Array:
    return np.array([activation_scale(np.array([[end]], np.float32))], np.float32)


def _warnings(extremes: Mapping[str, _Extremes]) -> list[str]:
    warnings = []
    for name, seen in extremes.items():
        most, median = float(seen.largest.max(initial=0)), float(np.median(seen.largest))
        if most > OUTLIER * median > 0:
            warnings.append(
                f"{name}: the largest of its calibration inputs, {most:.3g}, sets the scale, but that of the median "
                f"image is {median:.3g}, which leaves it {127 * median / most:.1f} of 127 steps; calibration: "
                "percentile cuts it off, activations: dynamic has a scale for each image"
            )
    return warnings
