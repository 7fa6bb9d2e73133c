"""Random variations of training images: mirrored, and shifted by a few pixels.

What happens to which image is drawn for a whole batch at once; it is carried out afterwards, for any part of the batch
and in any thread, so that the bits do not depend on who does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tinytorch.arguments import integer, with_defaults
from tinytorch.errors import TinyTorchError

__all__ = ["Augmentation", "Variations"]

_DEFAULTS: dict[str, Any] = {"crop": 0, "flip": False}
_MOST_PIXELS = 512


@dataclass(frozen=True)
class Variations:
    """What is done to each of n images: mirrored or not (n,), and the window's corner (n, 2) in the padded image.

    `padding` is 0, and `corners` None, where nothing is shifted; `mirrored` is None where nothing is mirrored.
    """

    mirrored: NDArray[np.bool_] | None
    corners: NDArray[np.int64] | None
    padding: int

    def part(self, chosen: slice) -> Variations:
        """Return those of some of the images."""
        mirrored = None if self.mirrored is None else self.mirrored[chosen]
        corners = None if self.corners is None else self.corners[chosen]
        return Variations(mirrored, corners, self.padding)

    def of(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the images (n, C, H, W) as varied; what was outside of an image is 0, the mean of normalized ones."""
        if self.mirrored is not None and self.mirrored.any():
            images = np.where(self.mirrored[:, None, None, None], images[..., ::-1], images)
        if self.corners is None:
            return images
        size, pad = images.shape[2:], self.padding
        padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = sliding_window_view(padded, size, axis=(2, 3))  # (n, C, 2·pad + 1, 2·pad + 1, H, W)
        shifted: NDArray[np.float32] = windows[np.arange(len(images)), :, self.corners[:, 0], self.corners[:, 1]]
        return shifted


@dataclass(frozen=True)
class Augmentation:
    """Mirror each image with probability one half (`flip`), and shift it by up to `crop` pixels each way.

    `crop` pads the image by so many pixels on each side and cuts a window of the image's size out of it. [Both as for
    CIFAR-10 in He et al., "Deep Residual Learning", 2016, section 4.2]
    """

    flip: bool = False
    crop: int = 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Read `augment` of a file; raises ValueError for an unknown name, with the nearest, or a wrong value."""
        chosen = with_defaults("augment", _DEFAULTS, dict(settings))
        if not isinstance(chosen["flip"], bool):
            raise ValueError(f"augment: flip must be true or false, not {chosen['flip']!r}")
        return cls(chosen["flip"], integer("augment: crop", chosen["crop"], 0, _MOST_PIXELS))

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise TinyTorchError unless samples of this shape can be varied so."""
        if (self.flip or self.crop) and len(shape) != 3:
            raise TinyTorchError(f"augment is for images (channels, height, width), not for samples of shape {shape}.")
        if self.crop and self.crop >= min(shape[1:]):
            raise TinyTorchError(
                f"augment: crop={self.crop} shifts images of {shape[1]} x {shape[2]} pixels out of sight; "
                f"it must be below {min(shape[1:])}."
            )

    def drawn(self, count: int, rng: np.random.Generator) -> Variations:
        """Draw what happens to each of `count` images."""
        mirrored = rng.random(count) < 0.5 if self.flip else None
        corners = rng.integers(0, 2 * self.crop + 1, (count, 2)) if self.crop else None
        return Variations(mirrored, corners, self.crop)
