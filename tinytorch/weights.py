"""Weights of any model as a safetensors file of named arrays, and back, also from files that PyTorch code wrote.

An array is named by its layer and its own name ("blocks.0.attention.q_proj.weight"). The structure is not stored:
`load_weights` fills a model that is there, and only if every array of it is in the file with its shape.
`tinytorch.serialization` stores whole networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from tinytorch.core.layer import Layer, named_leaves
from tinytorch.core.layer_norm import LayerNorm
from tinytorch.core.layers import Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.errors import ModelFileError
from tinytorch.models.network import Network
from tinytorch.serialization import load

__all__ = ["load_weights", "named_weights", "save_weights", "stored_network"]

Array: TypeAlias = NDArray[Any]
Layout: TypeAlias = Literal["tinytorch", "pytorch"]

_MOST_BYTES = 1 << 32
_FLOATS = ("float16", "float32", "float64")
_MOST_TOLD = 5
# PyTorch's names for what the course calls otherwise
_PYTORCH = {"gamma": "weight", "beta": "bias"}


def named_weights(model: Any) -> dict[str, Array]:
    """Return every array that the layers of a model hold, by name, as views: writing to them changes the model.

    Raises TypeError for a layer whose arrays are made for each look, as those of quantized layers are.
    """
    arrays: dict[str, Array] = {}
    for name, layer in named_leaves(model):
        again = layer.state()
        for own, array in layer.state().items():
            if again[own] is not array:
                raise TypeError(
                    f"{name} is a {type(layer).__name__}, which takes no weights: load them before it is made."
                )
            arrays[f"{name}.{own}"] = array
    return arrays


def save_weights(model: Any, path: Path | str) -> None:
    """Write the model's arrays; equal weights give equal bytes. Raises TypeError as `named_weights` does."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in named_weights(model).items()}
    Path(path).write_bytes(safetensors.numpy.save(contiguous))


def load_weights(
    model: Any,
    path: Path | str,
    *,
    layout: Layout = "tinytorch",
    rename: Mapping[str, str] | Callable[[str], str] | None = None,
) -> None:
    """Fill the model with the arrays of a safetensors file, all of them or, if anything does not fit, none.

    `layout` "pytorch" is for files of PyTorch's state dicts: weights of linear layers are (out, in) there, and `gamma`
    and `beta` are called weight and bias. `rename` gives the file's name for one of ours, those it leaves out keep it.
    Numbers of other precision are rounded to float32. Raises ModelFileError, naming the nearest, for a file that is
    none, for arrays that are missing, of another shape, not finite or in the file only.
    """
    stored = _read(Path(path))
    if layout not in ("tinytorch", "pytorch"):
        raise ValueError(f"layout must be 'tinytorch' or 'pytorch', not {layout!r}")
    own, layers = named_weights(model), dict(named_leaves(model))
    wanted = {name: _name_in_file(name, layers, layout, rename) for name in own}
    ignored = "num_batches_tracked" if layout == "pytorch" else None
    spare = [key for key in stored if key not in wanted.values() and key.rpartition(".")[2] != ignored]
    problems = [_missing(name, key, spare) for name, key in wanted.items() if key not in stored]
    problems += [f"{key} is in the file only" for key in spare]
    taken: dict[str, Array] = {}
    for name, key in wanted.items():
        if key in stored:
            array = stored[key]
            is_turned = layout == "pytorch" and array.ndim == 2 and type(_owner(name, layers)) is Linear
            taken[name] = array.T if is_turned else array
            problems += _unfit(key, taken[name], own[name], is_turned)
    if problems:
        told = "; ".join(problems[:_MOST_TOLD])
        more = f"; and {len(problems) - _MOST_TOLD} more" if len(problems) > _MOST_TOLD else ""
        raise ModelFileError(f"{path}: {told}{more}")
    for name, array in taken.items():
        own[name][...] = array


def stored_network(path: Path | str, input_shape: Sequence[int], classes: int | None = None) -> Network:
    """Return the network of a file that `tinytorch.serialization.save` or `pipeline convert` wrote, to be trained on.

    One that takes vectors flattens samples of `input_shape` first. Raises ModelFileError for a file that is none, and
    for a network that takes other samples or gives no number for each of the `classes` (None: not asked).
    """
    network, shape = load(path), tuple(input_shape)
    if len(network.input_shape) == 1 and network.input_shape == (math.prod(shape),) and len(shape) > 1:
        name = next(name for name in ("flatten", "flatten_samples", "as_vector") if name not in network.names)
        network = Network({name: Flatten(), **network.children()}, shape)
    if network.input_shape != shape:
        raise ModelFileError(f"{path}: its network takes samples {network.input_shape}, expected {shape}")
    if classes is not None and (given := network.output_shape(shape)) != (classes,):
        raise ModelFileError(f"{path}: its network gives {given} for a sample, expected ({classes},)")
    return network


def _read(path: Path) -> dict[str, Array]:
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise ModelFileError(f"{path}: found {size:,} bytes, expected at most {_MOST_BYTES:,}")
    try:
        arrays: dict[str, Array] = safetensors.numpy.load(path.read_bytes())
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:  # KeyError: a type NumPy has not
        raise ModelFileError(f"{path}: not a safetensors file of arrays that NumPy has ({error})") from error
    return arrays


def _owner(name: str, layers: Mapping[str, Layer]) -> Layer:
    return layers[name.rpartition(".")[0]]


def _name_in_file(
    name: str, layers: Mapping[str, Layer], layout: Layout, rename: Mapping[str, str] | Callable[[str], str] | None
) -> str:
    layer, _, own = name.rpartition(".")
    if layout == "pytorch" and isinstance(layers[layer], BatchNorm2d | LayerNorm):
        name = f"{layer}.{_PYTORCH.get(own, own)}"
    if rename is None:
        return name
    return rename.get(name, name) if isinstance(rename, Mapping) else rename(name)


def _missing(name: str, key: str, spare: Sequence[str]) -> str:
    near = get_close_matches(key, spare, n=1)
    what = key if key == name else f"{key} (our {name})"
    return f"{what} is not in the file{f', but {near[0]} is' if near else ''}"


def _unfit(key: str, found: Array, own: Array, is_turned: bool) -> list[str]:
    if found.dtype.name not in _FLOATS:
        return [f"{key} holds {found.dtype}, expected one of {', '.join(_FLOATS)}"]
    if found.shape != own.shape:
        turned = " after turning it" if is_turned else ""
        hint = "" if is_turned or found.shape[::-1] != own.shape else " (layout='pytorch' turns linear weights)"
        return [f"{key} has shape {found.shape}{turned}, expected {own.shape}{hint}"]
    return [] if np.isfinite(found).all() else [f"{key} has NaN or infinite values"]
