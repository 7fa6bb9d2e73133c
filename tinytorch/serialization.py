"""Networks as bytes and back, in the safetensors format: one file of named arrays, nothing that could be executed.

The arrays are named by layer ("block1.conv1.weight"); one metadata key, "tinytorch", holds the structure as canonical
JSON: ``{"format": 1, "type": "Network", "input_shape": [...], "layers": [[name, {"type": "Linear", ...config}],
...]}``. Equal networks give equal bytes. What is read is not trusted: sizes, names and types are checked against the
bytes that are there before any array is made, only the classes of the tables below are built, and everything wrong is a
`ModelFileError`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypeVar

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from tinytorch.core.activations import GELU, ReLU, Sigmoid, Softmax, Tanh
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import AvgPool2d, Conv2d, MaxPool2d
from tinytorch.errors import ModelFileError
from tinytorch.models.kinds import NETWORKS, load_network_module
from tinytorch.models.network import Network, Residual
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear

__all__ = ["LAYERS", "clone", "dumps", "load", "loads", "save", "stored_bytes"]

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = dict[str, Array]
AnyLayer = TypeVar("AnyLayer", bound=Layer)

CONTAINERS: dict[str, type[Network] | type[Residual]] = {"Network": Network, "Residual": Residual}

LEAVES: dict[str, type[Layer]] = {
    "AvgPool2d": AvgPool2d,
    "BatchNorm2d": BatchNorm2d,
    "BlockSparseLinear": BlockSparseLinear,
    "Conv2d": Conv2d,
    "Dropout": Dropout,
    "Flatten": Flatten,
    "GELU": GELU,
    "Linear": Linear,
    "MaxPool2d": MaxPool2d,
    "QuantizedConv2d": QuantizedConv2d,
    "QuantizedLinear": QuantizedLinear,
    "ReLU": ReLU,
    "Sigmoid": Sigmoid,
    "Softmax": Softmax,
    "SparseConv2d": SparseConv2d,
    "SparseLinear": SparseLinear,
    "Tanh": Tanh,
}

LAYERS: dict[str, type[Layer]] = {**CONTAINERS, **LEAVES}


class _Tables(NamedTuple):
    """The kinds of layers in a file, by name; those of `own` have their places right inside the outermost network."""

    containers: Mapping[str, Any]
    leaves: Mapping[str, type[Layer]]
    own: Mapping[str, type[Layer]]

    @classmethod
    def of(cls, root: str) -> _Tables:
        """Return those of a file whose outermost network is of this kind."""
        if root not in NETWORKS:
            return cls(CONTAINERS, LEAVES, {})
        module = load_network_module(root)
        return cls({**CONTAINERS, root: getattr(module, root)}, {**LEAVES, **module.LEAVES}, module.LEAVES)

    @property
    def kinds(self) -> dict[str, type[Layer]]:
        """All of them."""
        return {**self.containers, **self.leaves}


_KEY = "tinytorch"
_FORMAT = 1
_TYPES = {"F32": 4, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "U8": 1, "U16": 2, "U32": 4}  # safetensors' name -> bytes
_MOST_BYTES = 1 << 31
_MOST_HEADER_BYTES = 1 << 24
_MOST_DEPTH = 8  # a Residual in a Network is 3; nothing that ships is deeper
_MOST_LAYERS = 4096
_MOST_AXES = 8
_MOST_VALUES = 1 << 28  # of one sample between two layers: 1 GiB
_ALWAYS_FINE = 1 << 16  # an integer of a config up to this costs nothing; a larger one needs as many stored values


def dumps(model: Network) -> bytes:
    """Return the network as the bytes of a safetensors file; raises TypeError for a layer that is in no table."""
    arrays: Arrays = {}
    tree = {"format": _FORMAT, **_describe("", model, arrays, _Tables.of(type(model).__name__))}
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return safetensors.numpy.save(arrays, metadata={_KEY: text})


def loads(data: bytes) -> Network:
    """Return the network that `dumps` wrote, in eval mode; raises ModelFileError for anything else."""
    tree = _parse(_checked_header(data), "structure")
    root = str(tree.get("type"))
    if tree.pop("format", None) != _FORMAT or root not in ("Network", *NETWORKS):
        raise ModelFileError(f"the structure is not a {' or '.join(['Network', *NETWORKS])} of format {_FORMAT}")
    try:
        arrays = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise ModelFileError(f"not a safetensors file: {error}") from error
    loader = _Loader(arrays, _Tables.of(root))
    model = loader.build("", tree, "", depth=1)
    if loader.states:
        raise ModelFileError(f"there are arrays for {min(loader.states)!r}, which is no layer that has any")
    assert isinstance(model, Network)
    for name, shape in (("input_shape", model.input_shape), *((found[0], found[-1]) for found in model.named_shapes())):
        if len(shape) > _MOST_AXES:
            raise ModelFileError(f"{name} has samples of {len(shape)} axes, more than {_MOST_AXES}")
        if math.prod(shape) > _MOST_VALUES:
            raise ModelFileError(f"{name} has {math.prod(shape):,} values of a sample, more than {_MOST_VALUES:,}")
    return model.eval()


def save(model: Network, path: Path | str) -> None:
    """Write the network to the file `path`."""
    Path(path).write_bytes(dumps(model))


def load(path: Path | str) -> Network:
    """Read the network from the file `path`; raises ModelFileError with the path, OSError if it cannot be read."""
    with Path(path).open("rb") as file:
        # What is asked for is allocated, and counts against a limit of memory.
        data = file.read(min(os.fstat(file.fileno()).st_size, _MOST_BYTES) + 1)
    try:
        return loads(data)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error


def stored_bytes(model: Network) -> int:
    """Return the size of the network's file in bytes, the header included."""
    return len(dumps(model))


def clone(layer: AnyLayer) -> AnyLayer:
    """Return an equal layer or network, in the same mode, that shares no array with this one."""
    if isinstance(layer, (Network, Residual)):
        children = {name: clone(child) for name, child in _parts(layer).items()}
        copy: Any = type(layer).from_children(layer.config(), children)
    else:
        copy = type(layer).from_state(layer.config(), {name: array.copy() for name, array in layer.state().items()})
    copy.training = layer.training
    return copy  # type: ignore[no-any-return]


def _describe(prefix: str, layer: Layer, arrays: Arrays, tables: _Tables) -> dict[str, Any]:
    """Return the structure below `layer` as JSON and put its arrays into `arrays`, their names under `prefix`."""
    kind = type(layer).__name__
    if tables.kinds.get(kind) is not type(layer):
        raise TypeError(f"a {kind} cannot be saved: it is not in the table of layers ({', '.join(tables.kinds)})")
    for name, array in layer.state().items():
        arrays[prefix + name] = np.ascontiguousarray(array)
    node: dict[str, Any] = {**layer.config(), "type": kind}
    if kind in tables.containers:
        children = _parts(layer).items()
        node["layers"] = [
            [name, _describe(_inner(prefix, kind, name), child, arrays, tables)] for name, child in children
        ]
    return node


def _parts(layer: Layer) -> dict[str, Layer]:
    return layer.parts() if isinstance(layer, Network) else layer.children()


def _inner(prefix: str, kind: str, name: str) -> str:
    """Return the prefix of a child's arrays; a residual's body adds no step, as in `Network.named_layers`."""
    return prefix if (kind, name) == ("Residual", "body") else f"{prefix}{name}."


def _checked_header(data: bytes) -> str:
    """Return the text of the structure, after checking all that the header says against the bytes that are there."""
    if not 8 <= len(data) <= _MOST_BYTES:
        raise ModelFileError(f"a model file has 8 to {_MOST_BYTES:,} bytes, not {len(data):,}")
    size = int.from_bytes(data[:8], "little")
    if size > min(len(data) - 8, _MOST_HEADER_BYTES):
        raise ModelFileError(f"the header claims {size:,} bytes of {len(data):,}")
    entries = _parse(data[8 : 8 + size], "header")
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.keys() != {_KEY} or not isinstance(metadata[_KEY], str):
        raise ModelFileError(f"the metadata is not the one text {_KEY!r}")
    spans = sorted(_span(name, entry) for name, entry in entries.items())
    position = 0
    for start, end in spans:
        if start != position:
            raise ModelFileError(f"the arrays leave a gap or overlap at byte {position}")
        position = end
    if position != len(data) - 8 - size:
        raise ModelFileError(f"the arrays take {position:,} bytes, but {len(data) - 8 - size:,} follow the header")
    structure: str = metadata[_KEY]
    return structure


def _span(name: str, entry: Any) -> tuple[int, int]:
    """Return where the bytes of an array start and end, after checking that they are as many as type and shape say."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ModelFileError(f"{name}: an array has dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ModelFileError(f"{name}: the type must be one of {', '.join(_TYPES)}, not {kind!r}")
    if not _are_sizes(shape) or len(shape) > _MOST_AXES or not _are_sizes(offsets) or len(offsets) != 2:
        raise ModelFileError(f"{name}: shape {shape!r} or data_offsets {offsets!r} are not sizes")
    start, end = offsets
    if end - start != math.prod(shape) * _TYPES[kind]:
        raise ModelFileError(f"{name}: {kind} of shape {shape} does not take {end - start} bytes")
    return start, end


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= _MOST_BYTES for item in value)


def _parse(text: bytes | str, what: str) -> dict[str, Any]:
    """Parse a JSON object; NaN, infinity, duplicate keys and deep nesting are errors."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:  # also what is not UTF-8, and integers of thousands of digits
        raise ModelFileError(f"the {what} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelFileError(f"the {what} is not a JSON object")
    return value


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"duplicate key {key!r}")
        result[key] = value
    return result


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


class _Loader:
    """Build layers from their JSON and take their arrays out of `states`, so that what is left belongs to no layer."""

    def __init__(self, arrays: Arrays, tables: _Tables) -> None:
        self.tables = tables
        self.states: dict[str, Arrays] = {}
        self.layers = 0
        for name, array in arrays.items():
            layer, _, short = name.rpartition(".")
            self.states.setdefault(layer, {})[short] = array

    def build(self, prefix: str, node: Any, parent: str, depth: int) -> Layer:
        """Return the layer that `node` describes, inside one of kind `parent`; its arrays are named under `prefix`."""
        name, tables = prefix[:-1] or "the network", self.tables
        self.layers += 1
        if depth > _MOST_DEPTH or self.layers > _MOST_LAYERS:
            raise ModelFileError(f"{name}: more than {_MOST_LAYERS} layers, or nested deeper than {_MOST_DEPTH}")
        if not isinstance(node, dict) or not isinstance(node.get("type"), str) or node["type"] not in tables.kinds:
            raise ModelFileError(f"{name}: the type of a layer must be one of {', '.join(tables.kinds)}")
        kind = node["type"]
        if (kind in tables.own and parent not in NETWORKS) or (kind in NETWORKS and parent):
            raise ModelFileError(f"{name}: a {kind} has no place in a {parent}")
        config = {key: value for key, value in node.items() if key not in ("type", "layers")}
        is_container = kind in tables.containers
        if is_container != ("layers" in node):
            raise ModelFileError(f"{name}: a {kind} {'needs' if is_container else 'has no'} inner layers")
        children = self._children(prefix, kind, node["layers"], depth) if is_container else {}
        state = {} if is_container else self.states.pop(prefix[:-1], {})
        # Of the own numbers of such a network nothing is allocated but what its class bounds.
        values = _MOST_VALUES if kind in NETWORKS else sum(array.size for array in state.values())
        _check_config(name, config, values)
        try:
            if is_container:
                layer: Layer = tables.containers[kind].from_children(config, children)
            else:
                layer = tables.leaves[kind].from_state(config, state)
        except (KeyError, OverflowError, TypeError, ValueError) as error:  # what wrong values lead to
            raise ModelFileError(f"{name}: not a {kind}: {type(error).__name__}: {error}") from error
        _check_same(name, layer, config, state)
        return layer

    def _children(self, prefix: str, kind: str, pairs: Any, depth: int) -> dict[str, Layer]:
        if not isinstance(pairs, list):
            raise ModelFileError(f"{prefix[:-1] or 'the network'}: its layers are not a list")
        children: dict[str, Layer] = {}
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or pair[0] in children:
                raise ModelFileError(f"{prefix[:-1] or 'the network'}: not every layer has a name of its own")
            children[pair[0]] = self.build(_inner(prefix, kind, pair[0]), pair[1], kind, depth + 1)
        return children


def _check_config(name: str, config: Mapping[str, Any], values: int) -> None:
    """Check that no number of `config` can make a layer allocate much more than its `values` stored values."""
    most = max(_ALWAYS_FINE, values)
    for key, value in config.items():
        for item in value if isinstance(value, list) else [value]:
            is_plain = type(item) in (str, int, float) or (type(item) is bool and item is value)  # no true in a shape
            if not is_plain or (isinstance(item, int) and not 0 <= item <= most):
                raise ModelFileError(f"{name}: {key} is {value!r}, expected text or numbers, integers from 0 to {most}")


def _check_same(name: str, layer: Layer, config: Mapping[str, Any], state: Mapping[str, Array]) -> None:
    """Check that the layer is described by exactly what it was built from: nothing missing, ignored or converted."""
    if json.dumps(layer.config(), sort_keys=True) != json.dumps(config, sort_keys=True):
        raise ModelFileError(f"{name}: a {type(layer).__name__} of {layer.config()} is described as {config}")
    if layer.state().keys() != state.keys():
        raise ModelFileError(f"{name}: has the arrays {sorted(state)}, expected {sorted(layer.state())}")
