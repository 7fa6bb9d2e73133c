"""The codec of models: tinytorch's own file format."""

from __future__ import annotations

from tinytorch.serialization import dumps as encode
from tinytorch.serialization import loads as decode

__all__ = ["decode", "encode"]
