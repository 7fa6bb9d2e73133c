"""The sizes of a linear map and of a convolution, apart from any weights: what both say about shapes and work."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from tinytorch.core.layer import JSON
from tinytorch.errors import ModelFileError
from tinytorch.kernels import reference

__all__ = ["ConvGeometry", "LinearGeometry"]

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class LinearGeometry:
    """A map of the last axis: in_features -> out_features."""

    in_features: int
    out_features: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read the sizes of a Linear's config; raises ModelFileError for what is missing or no positive integer."""
        return cls(_size(config, "in_features", 1), _size(config, "out_features", 1))

    def config(self) -> dict[str, JSON]:
        """Return the sizes as a Linear's config names them."""
        return {"in_features": self.in_features, "out_features": self.out_features}

    @property
    def weight_shape(self) -> Shape:
        """Output features first: (O, I)."""
        return (self.out_features, self.in_features)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Replace the last axis of a sample's shape; raises ValueError if it is not in_features."""
        if not input_shape or input_shape[-1] != self.in_features:
            raise ValueError(f"the last axis of {input_shape} must be {self.in_features}.")
        return (*input_shape[:-1], self.out_features)

    def macs(self, input_shape: Shape) -> int:
        """Return in · out for each vector of the sample."""
        return math.prod(self.output_shape(input_shape)) * self.in_features


@dataclass(frozen=True)
class ConvGeometry:
    """A convolution over images (C, H, W); kernel, stride and padding are (height, width)."""

    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read the sizes of a Conv2d's config; raises ModelFileError for what is missing or no valid size."""
        return cls(
            _size(config, "in_channels", 1),
            _size(config, "out_channels", 1),
            _pair(config, "kernel_size", 1),
            _pair(config, "stride", 1),
            _pair(config, "padding", 0),
        )

    def config(self) -> dict[str, JSON]:
        """Return the sizes as a Conv2d's config names them."""
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "kernel_size": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
        }

    @property
    def weight_shape(self) -> Shape:
        """Output channels first: (O, I, kh, kw)."""
        return (self.out_channels, self.in_channels, *self.kernel)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (O, H', W') for (I, H, W); raises ValueError for other channels or a kernel that does not fit."""
        if len(input_shape) != 3 or input_shape[0] != self.in_channels:
            raise ValueError(f"samples of shape {input_shape} are not ({self.in_channels}, height, width).")
        height, width = input_shape[1:]
        size = reference.output_size((height, width), self.kernel, self.stride, self.padding)
        if min(size) < 1:
            raise ValueError(f"a window of {self.kernel} does not fit into images of {input_shape[1:]}.")
        return (self.out_channels, *size)

    def macs(self, input_shape: Shape) -> int:
        """Return in · kh · kw for every output value."""
        return math.prod(self.output_shape(input_shape)) * math.prod(self.weight_shape[1:])


def _size(config: Mapping[str, Any], key: str, least: int) -> int:
    value = config.get(key)
    if not _is_size(value, least):
        raise ModelFileError(f"{key} must be an integer of at least {least}, not {value!r}.")
    return int(value)  # type: ignore[arg-type]


def _pair(config: Mapping[str, Any], key: str, least: int) -> tuple[int, int]:
    value = config.get(key)
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(_is_size(item, least) for item in value):
        raise ModelFileError(f"{key} must be two integers of at least {least}, not {value!r}.")
    return int(value[0]), int(value[1])


def _is_size(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
