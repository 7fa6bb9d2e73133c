"""The sizes of the models that the bench `framework` decodes, and what a side of it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Text: TypeAlias = Callable[[], int]  # decode one text; return of how many tokens

PROMPT = 16  # a decoded text goes from here to the last position


@dataclass(frozen=True)
class Shape:
    """A GPT: entries of its vocabulary, width, layers, heads, positions."""

    vocab: int
    width: int
    layers: int
    heads: int
    length: int

    @property
    def products(self) -> Mapping[str, tuple[int, int]]:
        """The products of a layer by llama.cpp's names, in their order: outputs and inputs."""
        width = self.width
        return {
            "attn_qkv": (3 * width, width),
            "attn_output": (width, width),
            "ffn_up": (4 * width, width),
            "ffn_down": (width, 4 * width),
        }


SHAPES = {"small GPT": Shape(1000, 128, 4, 4, 512), "GPT-2 small": Shape(50257, 768, 12, 12, 128)}
