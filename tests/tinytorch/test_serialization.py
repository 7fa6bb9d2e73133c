"""Saving and loading networks: deterministic bytes, equal outputs, and no harm from files of unknown origin."""

from __future__ import annotations

import importlib
import inspect
import json
import random
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch.core
import tinytorch.runtime
from tinytorch.core.activations import GELU, ReLU, Sigmoid, Softmax, Tanh
from tinytorch.core.layer import Layer
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import AvgPool2d, Conv2d, MaxPool2d
from tinytorch.errors import ModelFileError
from tinytorch.models import language_model
from tinytorch.models.network import Network, Residual
from tinytorch.runtime.block_sparse import BlockSparseLinear
from tinytorch.runtime.geometry import ConvGeometry, LinearGeometry
from tinytorch.runtime.quantized import QuantizedConv2d, QuantizedLinear, QuantizedWeight, Scheme
from tinytorch.runtime.sparse import SparseLinear
from tinytorch.serialization import LAYERS, clone, dumps, load, loads, save, stored_bytes

SHAPE = (2, 6, 6)


def everything() -> Network:
    """A network with every layer of the core, settings off their defaults."""
    rng = np.random.default_rng(0)
    body = Network({"conv": Conv2d(3, 4, 3, padding=1, bias=False, rng=rng), "bn": BatchNorm2d(4)}, (3, 3, 3))
    shortcut = Network({"conv": Conv2d(3, 4, (1, 1), rng=rng)}, (3, 3, 3))
    layers: dict[str, Layer] = {
        "conv1": Conv2d(2, 3, (3, 1), stride=(1, 1), padding=(1, 0), rng=rng),
        "bn1": BatchNorm2d(3, eps=1e-3, momentum=0.25),
        "gelu": GELU(),
        "pool": MaxPool2d(2),
        "block1": Residual(body, shortcut),
        "avgpool": AvgPool2d(2, stride=1),
        "flatten": Flatten(),
        "dropout": Dropout(0.25),
        "fc1": Linear(16, 5, rng=rng),
        "tanh": Tanh(),
        "fc2": Linear(5, 4, bias=False, rng=rng),
        "sigmoid": Sigmoid(),
        "relu": ReLU(),
        "softmax": Softmax(),
    }
    return Network(layers, SHAPE)


def compressed() -> Network:
    """Quantized and sparse layers, with 8 and 4 bits, of all kinds of activations and scales, stored in all ways."""
    rng = np.random.default_rng(0)
    conv, fc1, fc2 = Conv2d(2, 3, 3, rng=rng), Linear(48, 40, rng=rng), Linear(40, 30, rng=rng)
    fc3, fc4, groups = Linear(30, 40, rng=rng), Linear(40, 5, rng=rng), Scheme(4, "per_group", "none", 32)
    kernels = QuantizedWeight.of(conv.weight.data, Scheme(4, "per_tensor", "static"))
    mask = rng.random(fc1.weight.shape) < 0.1
    matrix = QuantizedWeight.of(fc2.weight.data.T * (rng.random((30, 40)) < 0.1), Scheme(8), is_sparse=True)
    layers = {
        "conv1": QuantizedConv2d(
            ConvGeometry.from_config(conv.config()),
            kernels,
            conv.bias.data if conv.bias else None,
            Scheme(4, "per_tensor", "static"),
            np.array([0.1], np.float32),
        ),
        "flatten": Flatten(),
        "fc1": SparseLinear(fc1, mask),
        "fc2": QuantizedLinear(LinearGeometry(40, 30), matrix, None, Scheme(8), None),
        "fc3": BlockSparseLinear(fc3, rng.random((3, 30)) < 0.3),
        "fc4": QuantizedLinear(LinearGeometry(40, 5), QuantizedWeight.of(fc4.weight.data.T, groups), None, groups),
    }
    return Network(layers, SHAPE)


def small() -> Network:
    """Two layers with few bytes."""
    rng = np.random.default_rng(0)
    return Network({"fc1": Linear(4, 3, rng=rng), "fc_out": Linear(3, 2, rng=rng)}, (4,))


def samples(count: int = 3) -> np.ndarray:
    """Random inputs for `everything`."""
    return np.random.default_rng(1).standard_normal((count, *SHAPE)).astype(np.float32)


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header as JSON, and the arrays' bytes."""
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def join(header: dict[str, Any] | bytes, body: bytes) -> bytes:
    """The inverse of `split`."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def with_tree(model: Network, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The bytes of `model` with its structure changed."""
    header, body = split(dumps(model))
    tree = json.loads(header["__metadata__"]["tinytorch"])
    change(tree)
    header["__metadata__"]["tinytorch"] = json.dumps(tree)
    return join(header, body)


def with_header(model: Network, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The bytes of `model` with its header changed."""
    header, body = split(dumps(model))
    change(header)
    return join(header, body)


@pytest.mark.parametrize("make", [everything, compressed])
def test_every_layer_survives(make: Callable[[], Network]) -> None:
    """Type, settings, arrays and outputs of every layer are the same after loading."""
    model = make()
    again = loads(dumps(model))
    pairs = zip(model.named_layers(), again.named_layers(), strict=True)
    for (name, layer), (same_name, same) in pairs:
        assert (name, type(layer), layer.config()) == (same_name, type(same), same.config())
        for key, array in layer.state().items():
            np.testing.assert_array_equal(same.state()[key], array)
    np.testing.assert_array_equal(again.predict(samples()), model.predict(samples()))


def test_equal_models_have_equal_bytes() -> None:
    """Saving twice, saving what was loaded, and saving a clone give the same bytes."""
    data = dumps(everything())
    assert data == dumps(everything()) == dumps(loads(data)) == dumps(clone(everything()))
    assert stored_bytes(everything()) == len(data)


def test_arrays_have_dotted_names() -> None:
    """Other tools that read safetensors see the names that the reports use."""
    header, _ = split(dumps(everything()))
    names = set(header) - {"__metadata__"}
    assert {"conv1.weight", "block1.bn.running_mean", "block1.shortcut.conv.bias", "fc2.weight"} <= names
    leaves = dict(everything().named_layers())
    assert names == {f"{name}.{key}" for name, layer in leaves.items() for key in layer.state()}


def test_a_loaded_model_is_in_eval_mode() -> None:
    """Calling it does not move batch-norm statistics or drop anything; training goes on after train()."""
    model = loads(dumps(everything().train()))
    assert not any(layer.training for _, layer in model.named_layers())


def test_a_loaded_model_can_be_trained() -> None:
    """Its arrays are its own and writable, and parameters ask for gradients."""
    model = loads(dumps(small()))
    for parameter in model.parameters():
        assert parameter.requires_grad
        parameter.data += 1


def test_a_clone_keeps_mode_and_shares_nothing() -> None:
    """Batch-norm statistics are copied as well, and every layer stays in its mode."""
    model = everything().eval()
    dict(model.named_layers())["dropout"].training = True
    copy = clone(model)
    assert [layer.training for _, layer in copy.named_layers()] == [layer.training for _, layer in model.named_layers()]
    for (_, layer), (_, other) in zip(model.named_layers(), copy.named_layers(), strict=True):
        for key, array in layer.state().items():
            assert not np.shares_memory(array, other.state()[key])


def test_files(tmp_path: Path) -> None:
    """A file holds exactly these bytes; errors carry its path."""
    path = tmp_path / "model.safetensors"
    save(small(), path)
    assert path.read_bytes() == dumps(small()) == dumps(load(path))
    path.write_bytes(b"no model")
    with pytest.raises(ModelFileError, match=r"model\.safetensors: the header claims"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_the_table_is_complete() -> None:
    """Every public layer of core and runtime that can be built from saved arrays is in the table, under its name."""
    found = {"Network": Network, "Residual": Residual}
    for package in (tinytorch.core, tinytorch.runtime):
        for path in Path(package.__file__ or "").parent.glob("[a-z]*.py"):
            module = importlib.import_module(f"{package.__name__}.{path.stem}")
            for name, kind in inspect.getmembers(module, inspect.isclass):
                if issubclass(kind, Layer) and kind.__module__ == module.__name__ and not name.startswith("_"):
                    found |= {name: kind} if kind.from_state.__func__ is not Layer.from_state.__func__ else {}
    del found["Stateless"], found["Sparse"], found["Dense"]  # two bases, and another name for Linear
    assert found == LAYERS | language_model.LEAVES


def test_a_layer_that_is_not_in_the_table_cannot_be_saved() -> None:
    """A subclass is not written under its parent's name."""

    class Linear2(Linear):
        """Not in the table."""

    class Impostor(Linear):
        """Called like one that is."""

    Impostor.__name__ = "Linear"
    for kind in (Linear2, Impostor):
        with pytest.raises(TypeError, match="cannot be saved"):
            dumps(Network({"fc": kind(2, 2)}, (2,)))


def first_leaf(tree: dict[str, Any]) -> dict[str, Any]:
    """The JSON of the first layer."""
    leaf: dict[str, Any] = tree["layers"][0][1]
    return leaf


STRUCTURES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "format": (lambda tree: tree.update(format=2), "format 1"),
    "no layers": (lambda tree: tree.update(layers=[]), "at least one layer"),
    "layers missing": (lambda tree: tree.pop("layers"), "needs inner layers"),
    "layers a text": (lambda tree: tree.update(layers="ab"), "not a list"),
    "layers a mapping": (lambda tree: tree.update(layers={"a": {}}), "not a list"),
    "a leaf on top": (lambda tree: tree.update(type="Linear"), "not a Network"),
    "extra on top": (lambda tree: tree.update(extra=1), "described as"),
    "shape missing": (lambda tree: tree.pop("input_shape"), "KeyError"),
    "shape negative": (lambda tree: tree.update(input_shape=[-4]), "integers from 0"),
    "shape zero": (lambda tree: tree.update(input_shape=[0]), "positive integers"),
    "shape a bool": (lambda tree: tree.update(input_shape=[4, True]), "expected text or numbers"),
    "shape a bool for 1": (
        lambda tree: tree.update(input_shape=[True, 4], layers=[["relu", {"type": "ReLU"}]]),
        "expected text or numbers",
    ),
    "shape nested": (lambda tree: tree.update(input_shape=[[4]]), "expected text or numbers"),
    "shape huge": (lambda tree: tree.update(input_shape=[10**6, 10**6, 4]), "integers from 0 to 65536"),
    "values huge": (lambda tree: tree.update(input_shape=[65536, 65536, 4]), "values of a sample, more than"),
    "unknown type": (lambda tree: first_leaf(tree).update(type="os.system"), "type of a layer must be one of"),
    "type a list": (lambda tree: first_leaf(tree).update(type=["Linear"]), "type of a layer must be one of"),
    "type missing": (lambda tree: first_leaf(tree).pop("type"), "type of a layer must be one of"),
    "inner layers in a leaf": (lambda tree: first_leaf(tree).update(layers=[]), "has no inner layers"),
    "setting missing": (lambda tree: first_leaf(tree).pop("in_features"), "KeyError"),
    "setting too many": (lambda tree: first_leaf(tree).update(extra=1), "described as"),
    "setting null": (lambda tree: first_leaf(tree).update(in_features=None), "expected text or numbers"),
    "setting a mapping": (lambda tree: first_leaf(tree).update(in_features={}), "expected text or numbers"),
    "setting a text": (lambda tree: first_leaf(tree).update(in_features="4"), "described as"),
    "setting a float": (lambda tree: first_leaf(tree).update(in_features=4.0), "described as"),
    "setting wrong": (lambda tree: first_leaf(tree).update(in_features=5), "must be float32 of shape"),
    "setting huge": (lambda tree: first_leaf(tree).update(in_features=10**12), "integers from 0 to 65536"),
    "bias left out": (lambda tree: first_leaf(tree).update(bias=False), "needs the arrays"),
    "other type, same arrays": (lambda tree: first_leaf(tree).update(type="ReLU"), "fc1: "),
    "name twice": (lambda tree: tree["layers"].append(tree["layers"][0]), "name of its own"),
    "name with a dot": (lambda tree: tree["layers"][0].__setitem__(0, "a.b"), "a layer's name is|needs the arrays"),
    "name a number": (lambda tree: tree["layers"][0].__setitem__(0, 1), "name of its own"),
    "pair too short": (lambda tree: tree["layers"][0].pop(), "name of its own"),
    "layer gone": (lambda tree: tree["layers"].pop(), "arrays for 'fc_out'"),
    "layers swapped": (lambda tree: tree["layers"].reverse(), "not a Network: ValueError: fc_out"),
    "batch norm of a billion": (
        lambda tree: tree["layers"].insert(
            0, ["bn", {"type": "BatchNorm2d", "num_features": 10**9, "eps": 1e-5, "momentum": 0.1}]
        ),
        "integers from 0 to 65536",
    ),
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_a_wrong_structure_is_refused(case: str) -> None:
    """Whatever the structure says is checked against what the layers really are."""
    change, message = STRUCTURES[case]
    with pytest.raises(ModelFileError, match=message):
        loads(with_tree(small(), change))


def entry(header: dict[str, Any]) -> dict[str, Any]:
    """The header entry of one array."""
    found: dict[str, Any] = header["fc1.weight"]
    return found


def test_samples_of_many_axes_are_refused() -> None:
    """NumPy has 64 of them; no layer needs more than a few."""
    network = Network({"sigmoid": Sigmoid()}, (1,) * 9)
    with pytest.raises(ModelFileError, match="input_shape has samples of 9 axes, more than 8"):
        loads(dumps(network))


HEADERS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no metadata": (lambda header: header.pop("__metadata__"), "metadata is not the one text"),
    "more metadata": (lambda header: header["__metadata__"].update(more="x"), "metadata is not the one text"),
    "metadata a number": (lambda header: header["__metadata__"].update(tinytorch=1), "metadata is not the one text"),
    "unknown type": (lambda header: entry(header).update(dtype="F8"), "type must be one of"),
    "type a list": (lambda header: entry(header).update(dtype=["F32"]), "type must be one of"),
    "other type": (lambda header: entry(header).update(dtype="I32"), "must be float32"),
    "other width": (lambda header: entry(header).update(dtype="I8"), "does not take 48 bytes"),
    "shape negative": (lambda header: entry(header).update(shape=[-4, -3]), "are not sizes"),
    "shape of floats": (lambda header: entry(header).update(shape=[4.0, 3]), "are not sizes"),
    "shape of bools": (lambda header: entry(header).update(shape=[12, True]), "are not sizes"),
    "shape huge": (lambda header: entry(header).update(shape=[10**30, 0]), "are not sizes"),
    "too many axes": (lambda header: entry(header).update(shape=[12, *[1] * 40]), "are not sizes"),
    "transposed": (lambda header: entry(header).update(shape=[3, 4]), r"must be float32 of shape \(4, 3\)"),
    "offsets backwards": (lambda header: entry(header)["data_offsets"].reverse(), "does not take"),
    "offsets beyond": (lambda header: entry(header).update(data_offsets=[10**9, 10**9 + 48]), "gap or overlap"),
    "three offsets": (lambda header: entry(header)["data_offsets"].append(0), "are not sizes"),
    "overlap": (lambda header: header.update({"fc1.extra": entry(header)}), "gap or overlap"),
    "stray array": (
        lambda header: header.update({"x.y": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}),
        "arrays for 'x'",
    ),
    "stray array of a layer": (
        lambda header: header.update({"fc1.y": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}),
        "needs the arrays",
    ),
    "entry a list": (lambda header: header.update({"fc1.weight": []}), "an array has dtype"),
    "entry with more": (lambda header: entry(header).update(more=1), "an array has dtype"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_wrong_header_is_refused(case: str) -> None:
    """Types, shapes and offsets must agree with each other, with the bytes and with the layers."""
    change, message = HEADERS[case]
    with pytest.raises(ModelFileError, match=message):
        loads(with_header(small(), change))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has 8 to"),
        (b"\xff" * 8, "the header claims 18,446,744,073,709,551,615 bytes"),
        (struct.pack("<Q", 100) + b"{}", "the header claims 100 bytes of 10"),
        (join(b"[" * 100_000, b""), "not valid JSON: maximum recursion"),
        (join(b'{"a":' * 50_000, b""), "not valid JSON: maximum recursion"),
        (join(b"[]", b""), "not a JSON object"),
        (join(b"\xff{}", b""), "not valid JSON"),
        (join(b'{"a": 1, "a": 2}', b""), "duplicate key 'a'"),
        (join(b'{"a": NaN}', b""), "NaN is not a number"),
        (join(b'{"a": -Infinity}', b""), "Infinity is not a number"),
        (join(b'{"a": 1e999}', b""), "1e999 is too large"),
        (join(b'{"a": ' + b"9" * 5000 + b"}", b""), "not valid JSON"),
        (b"\x80\x04\x95" + bytes(50), "the header claims"),
        (b"PK\x03\x04" + bytes(50), "metadata is not|not valid JSON|header claims"),
    ],
    ids=str,
)
def test_what_is_no_model_file_is_refused(data: bytes, message: str) -> None:
    """Empty, truncated and deeply nested data, odd numbers, duplicate keys, pickles and archives."""
    with pytest.raises(ModelFileError, match=message):
        loads(data)


def test_a_duplicate_key_in_the_structure_is_refused() -> None:
    """Readers that take the first and those that take the last of two equal keys would see different models."""
    header, body = split(dumps(small()))
    text = header["__metadata__"]["tinytorch"]
    header["__metadata__"]["tinytorch"] = text.replace('"bias":true', '"bias":true,"bias":true', 1)
    with pytest.raises(ModelFileError, match="duplicate key 'bias'"):
        loads(join(header, body))


def test_deep_nesting_is_refused() -> None:
    """Networks within networks end at a fixed depth, long before Python's stack does."""
    model = small()
    for _ in range(10):
        model = Network({"inner": model}, (4,))
    with pytest.raises(ModelFileError, match="nested deeper than 8"):
        loads(dumps(model))


def test_too_many_layers_are_refused() -> None:
    """The number of layers is bounded."""
    model = Network({f"relu{number}": ReLU() for number in range(4096)}, (4,))
    with pytest.raises(ModelFileError, match="more than 4096 layers"):
        loads(dumps(model))


def test_every_truncation_is_refused() -> None:
    """No prefix of a model file is a model file, and nothing may follow one."""
    data = dumps(small())
    for size in range(len(data)):
        with pytest.raises(ModelFileError):
            loads(data[:size])
    with pytest.raises(ModelFileError, match="follow the header"):
        loads(data + b"x")


def mutations(data: bytes, count: int) -> Iterator[bytes]:
    """Random edits of a file: bytes changed, removed, repeated, and JSON tokens put where others were."""
    rng = random.Random(0)
    tokens = [
        b"NaN",
        b"-1",
        b"1e400",
        b"null",
        b"[]",
        b"{}",
        b"true",
        b'"',
        b"9" * 30,
        b"Residual",
        b"BatchNorm2d",
        b"\\u0000",
    ]
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 5])):
            start = rng.randrange(len(mutant))
            end = start + rng.choice([0, 1, 1, 2, 8])
            mutant[start:end] = rng.choice(
                [rng.randbytes(1), rng.randbytes(3), b"", rng.choice(tokens), mutant[start:end] * 2]
            )
        yield bytes(mutant)


def sized(data: bytes, rng: random.Random) -> bytes:
    """The same edits within the header only, whose length is then stated correctly."""
    header, body = split(data)
    text = bytearray(json.dumps(header).encode())
    tokens = [
        b"0",
        b"1",
        b"2",
        b"7",
        b"-1",
        b"1e9",
        b"null",
        b"[]",
        b"true",
        b"false",
        b"F32",
        b"I8",
        b"ReLU",
        b"Flatten",
    ]
    for _ in range(rng.choice([1, 1, 2])):
        start = rng.randrange(len(text))
        text[start : start + rng.choice([0, 1, 1, 4])] = rng.choice(tokens)
    return join(bytes(text), body)


def survives(data: bytes) -> bool:
    """Whether `data` loads; then it must be saved again and be runnable. Anything but ModelFileError fails the test."""
    try:
        model = loads(data)
    except ModelFileError:
        return False
    assert loads(dumps(model)).names == model.names
    with np.errstate(all="ignore"):  # damaged weights may be NaN or huge
        model.predict(np.zeros((1, *model.input_shape), np.float32))
    return True


@pytest.mark.parametrize("make", [everything, compressed])
def test_random_damage_is_a_model_file_error(make: Callable[[], Network]) -> None:
    """Hundreds of damaged files either raise ModelFileError or are whole models; none does anything else."""
    data = dumps(make())
    rng = random.Random(1)
    mutants = [*mutations(data, 400), *(sized(data, rng) for _ in range(400))]
    assert sum(survives(mutant) for mutant in mutants) < len(mutants) / 2


def test_loading_allocates_no_more_than_the_file_holds() -> None:
    """Damaged files, whatever sizes they claim, cost little memory; so does a good one."""
    data = dumps(everything())
    rng = random.Random(2)
    tracemalloc.start()
    for mutant in (sized(data, rng) for _ in range(100)):
        survives(mutant)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * len(data) + (1 << 20)
