"""Weights of a model in a safetensors file, ours and PyTorch's."""

import numpy as np
import pytest
import safetensors.numpy

from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.spatial import Conv2d, Flatten
from tinytorch.core.tensor import Tensor
from tinytorch.core.transformers import GPT
from tinytorch.errors import ModelFileError
from tinytorch.olympics import SimpleMLP
from tinytorch.perf.quantization import quantize_model
from tinytorch.weights import load_weights, named_weights, save_weights


def gpt(seed):
    """Return a small language model."""
    return GPT(7, 8, 2, 2, max_seq_len=6, rng=np.random.default_rng(seed))


def cnn(seed):
    """Return a small image network with statistics that are not those of a new one."""
    rng = np.random.default_rng(seed)
    model = Sequential(Conv2d(1, 2, 3, rng=rng), BatchNorm2d(2), Flatten(), Linear(8, 3, rng=rng))
    model(Tensor(rng.normal(size=(5, 1, 4, 4))))
    return model


@pytest.mark.parametrize("make", [gpt, cnn, lambda seed: SimpleMLP()])
def test_weights_come_back(tmp_path, make):
    """Into another model of the same structure, statistics of batch norms included; equal weights, equal bytes."""
    first, second = make(0), make(1)
    save_weights(first, tmp_path / "a.safetensors")
    load_weights(second, tmp_path / "a.safetensors")
    save_weights(second, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_names_are_those_of_the_layers():
    """Dotted, through blocks and lists."""
    names = named_weights(gpt(0))
    assert {"embedding_layer.token_embedding.weight", "blocks.1.mlp.linear2.bias", "ln_f.gamma"} <= names.keys()
    assert sum(array.size for array in names.values()) == sum(p.size for p in gpt(0).parameters())


def test_weights_of_pytorch(tmp_path):
    """Turned linear weights, other names of norms, counters that are not needed; a mapping gives other names."""
    torch = pytest.importorskip("torch")
    peer = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten(), torch.nn.Linear(8, 3)
    )
    image = np.random.default_rng(0).normal(size=(5, 1, 4, 4)).astype(np.float32)
    peer(torch.from_numpy(image))
    peer.eval()
    state = {name: value.numpy() for name, value in peer.state_dict().items()}
    state["head.weight"], state["head.bias"] = np.ascontiguousarray(state.pop("3.weight")), state.pop("3.bias")
    safetensors.numpy.save_file(state, tmp_path / "a.safetensors")
    model = cnn(1).eval()
    names = {"3.weight": "head.weight", "3.bias": "head.bias"}
    load_weights(model, tmp_path / "a.safetensors", layout="pytorch", rename=names)
    expected = peer(torch.from_numpy(image)).detach().numpy()
    np.testing.assert_allclose(model(Tensor(image)).data, expected, rtol=1e-4, atol=1e-5)
    other = cnn(2).eval()
    load_weights(other, tmp_path / "a.safetensors", layout="pytorch", rename=lambda name: names.get(name, name))
    np.testing.assert_array_equal(other(Tensor(image)).data, model(Tensor(image)).data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fc1.weight": None}, r"fc1\.weight is not in the file"),
        (
            {"fc1.weight": None, "fc1.weigth": (10, 20)},
            r"fc1\.weight is not in the file, but fc1\.weigth is; fc1\.weigth",
        ),
        ({"fc1.weight": (20, 10)}, r"shape \(20, 10\), expected \(10, 20\) \(layout='pytorch' turns"),
        ({"fc1.bias": (3,)}, r"fc1\.bias has shape \(3,\), expected \(20,\)"),
        ({"more": (1,)}, "more is in the file only"),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(tmp_path, changes, message):
    """What is missing, too much or of another shape is named, with the nearest."""
    arrays = {name: array * 0 for name, array in named_weights(SimpleMLP()).items()}
    for name, shape in changes.items():
        if shape is None:
            del arrays[name]
        else:
            arrays[name] = np.zeros(shape, np.float32)
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors")
    model = SimpleMLP()
    with pytest.raises(ModelFileError, match=message):
        load_weights(model, tmp_path / "a.safetensors")
    assert all(np.abs(array).sum() for name, array in named_weights(model).items() if name.endswith("weight"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_must_be_finite(tmp_path, value):
    """NaN and infinity are refused, halves are rounded up to float32, integers are none."""
    arrays = {name: array.astype(np.float16) for name, array in named_weights(SimpleMLP()).items()}
    safetensors.numpy.save_file(arrays, tmp_path / "half.safetensors")
    load_weights(SimpleMLP(), tmp_path / "half.safetensors")
    arrays["fc1.bias"][3] = value
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match=r"fc1\.bias has NaN or infinite"):
        load_weights(SimpleMLP(), tmp_path / "a.safetensors")
    arrays["fc1.bias"] = np.zeros(20, np.int8)
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match="holds int8"):
        load_weights(SimpleMLP(), tmp_path / "a.safetensors")


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}more"])
def test_what_is_no_safetensors_file(tmp_path, content):
    """Empty, random, and with bytes that belong to nothing."""
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError, match="not a safetensors file"):
        load_weights(SimpleMLP(), tmp_path / "a.safetensors")


def test_quantized_layers_take_no_weights():
    """Their bytes are packed: the error says what to do."""
    with pytest.raises(TypeError, match=r"fc1 is a QuantizedLinear.*load them before"):
        named_weights(quantize_model(SimpleMLP(), bits=4))
