"""What a network may be built for: a line of a file must not cost gigabytes, and texts are no images."""

from __future__ import annotations

__all__ = ["MOST_WEIGHTS", "check_weights", "image_size"]

MOST_WEIGHTS = 1 << 26  # 256 MB; checking a file builds its network, and drawing more takes seconds


def check_weights(what: str, count: int) -> None:
    """Raise ValueError, naming the arguments `what`, if a network would have more than MOST_WEIGHTS weights."""
    if count > MOST_WEIGHTS:
        raise ValueError(f"{what} would make {count:,} weights, more than {MOST_WEIGHTS:,}")


def image_size(arch: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return channels, height and width of the samples; raises ValueError if they are no images."""
    if len(input_shape) != 3:
        shape = "samples of shape (channels, height, width)"
        raise ValueError(f"a {arch} reads images, {shape}, not {input_shape}; for texts take arch: gpt")
    channels, height, width = input_shape
    return channels, height, width
