"""A GPT as a network: names, shapes, replaced layers, files, and the passes that go layer by layer."""

import json

import numpy as np
import pytest

from tinytorch.core.layers import Linear
from tinytorch.core.transformers import GPT
from tinytorch.errors import ModelFileError, TargetError
from tinytorch.models.language_model import LanguageModel
from tinytorch.models.network import Network
from tinytorch.passes import load_pass
from tinytorch.runtime.quantized import QuantizedLinear
from tinytorch.runtime.session import InferenceSession
from tinytorch.serialization import clone, dumps, loads

VOCAB = 9


def model(pos_encoding="learned", context=6):
    """Return a small model with weights as large as after training."""
    rng = np.random.default_rng(0)
    gpt = GPT(VOCAB, 16, 2, 2, max_seq_len=8, pos_encoding=pos_encoding, rng=rng)
    for p in gpt.parameters():
        p.data += rng.normal(scale=0.1, size=p.shape)
    return LanguageModel(gpt.eval(), context)


@pytest.fixture
def texts():
    """Return three texts of six tokens, as a network takes its samples."""
    return np.random.default_rng(1).integers(0, VOCAB, (3, 6)).astype(np.float32)


def run_pass(name, network, **params):
    """Return what a pass makes of the network, and its effect."""
    module = load_pass(name)
    result, effect, _ = module.apply(network, module.Settings.from_params(params), {}, 0)
    return result, effect


def test_it_is_the_gpt(texts):
    """Outputs, weights and costs are the GPT's; its layers have dotted names in order of execution."""
    network = model()
    np.testing.assert_array_equal(network.predict(texts), network.gpt(texts).data)
    assert network.parameter_count() == sum(p.size for p in network.gpt.parameters())
    assert network.macs() == network.gpt.macs((6,))
    assert network.macs() == sum(layer.macs(shape) for _, layer, shape, _ in network.named_shapes())
    names = [name for name, _ in network.named_layers()]
    assert names[:4] == [
        "embedding_layer.token_embedding",
        "embedding_layer.pos_encoding",
        "blocks.0.ln1",
        "blocks.0.attention.q_proj",
    ]
    assert names[-3:] == ["blocks.1.mlp.dropout", "ln_f", "lm_head"]


def test_shapes_are_those_of_a_run(texts):
    """Before and after each layer, as a forward pass sees them."""
    network = model()
    seen = {}
    for name, layer in network.named_layers():
        layer.forward = lambda x, *rest, name=name, forward=layer.forward: seen.setdefault(
            name, (np.shape(x), forward(x, *rest))
        )[1]
    network.predict(texts)
    for name, _, before, after in network.named_shapes():
        assert (seen[name][0][1:], seen[name][1].shape[1:]) == (before, after), name


@pytest.mark.parametrize("pos_encoding", ["learned", "sinusoidal", None])
def test_files_and_clones_are_equal(texts, pos_encoding):
    """Bytes there and back; a clone shares nothing; a text of the loaded model is the same."""
    network = model(pos_encoding)
    data = dumps(network)
    again = loads(data)
    assert dumps(again) == data
    assert isinstance(again, LanguageModel)
    np.testing.assert_array_equal(again.predict(texts), network.predict(texts))
    copy = clone(network)
    copy.gpt.blocks[0].ln1.gamma.data *= 2
    assert dumps(network) == data
    expected = network.gpt.generate(texts[:, :2], 4, temperature=0).data
    np.testing.assert_array_equal(again.gpt.generate(texts[:, :2], 4, temperature=0).data, expected)


def test_a_large_vocabulary_is_stored():
    """More entries than any other number of a file may be."""
    network = LanguageModel(GPT(70_000, 2, 1, 1, max_seq_len=4))
    assert dumps(loads(dumps(network))) == dumps(network)


def test_layers_are_replaced_by_name(texts):
    """The rest is shared; the original stays; a network may stand in the place of a layer."""
    network, rng = model(), np.random.default_rng(2)
    pair = Network({"a": Linear(16, 3, rng=rng), "b": Linear(3, 64, rng=rng)}, (16,))
    changed = network.replaced({"blocks.1.mlp.linear1": pair, "lm_head": Linear(16, VOCAB, rng=rng)})
    assert {"blocks.1.mlp.linear1.a", "blocks.1.mlp.linear1.b"} <= dict(changed.named_layers()).keys()
    assert changed.gpt.blocks[0].attention.q_proj is network.gpt.blocks[0].attention.q_proj
    assert type(network.gpt.blocks[1].mlp.linear1) is Linear
    assert not np.array_equal(changed.predict(texts), network.predict(texts))
    assert dumps(loads(dumps(changed))) == dumps(changed)
    inner = changed.replaced({"blocks.1.mlp.linear1.b": Linear(3, 64, rng=rng)})
    assert inner.gpt.blocks[1].mlp.linear1.layers[0] is pair.layers[0]


def test_what_does_not_fit_is_refused():
    """A name that is not there, another shape, another type, and nothing in a place."""
    network = model()
    with pytest.raises(TargetError, match=r"blocks\.0\.ln1"):
        network.replaced({"blocks.0.ln3": Linear(16, 16)})
    with pytest.raises(ValueError, match=r"q_proj gives \(6, 5\)"):
        network.replaced({"blocks.0.attention.q_proj": Linear(16, 5)})
    with pytest.raises(ValueError, match=r"ln1 must be a LayerNorm, not a Linear"):
        network.replaced({"blocks.0.ln1": Linear(16, 16)})
    with pytest.raises(ValueError, match="cannot be left out"):
        network.replaced({"blocks.0.mlp.gelu": None})
    with pytest.raises(ValueError, match="1 to 8 tokens"):
        model(context=9)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("quantize", {"bits": 8}),
        ("quantize", {"bits": 4, "weights": "per_group", "group_size": 32, "activations": "none"}),
        ("magnitude_prune", {"sparsity": 0.8}),
        ("block_prune", {"sparsity": 0.5}),
        ("low_rank", {"keep": 0.25}),
    ],
)
def test_passes_go_layer_by_layer(texts, name, params):
    """The file is smaller, texts are generated, and the bytes come back."""
    network = model()
    result, effect = run_pass(name, network, **params)
    assert effect.stored_bytes_after == len(dumps(result)) < len(dumps(network))
    assert dumps(loads(dumps(result))) == dumps(result)
    error = np.abs(result.predict(texts) - network.predict(texts)).max()
    assert error > 0
    assert result.gpt.generate(texts[:, :2], 4, temperature=0).shape == (3, 6)


def test_quantized_models_keep_their_integers():
    """Targets choose among the dotted names."""
    result, effect = run_pass("quantize", model(), bits=8, targets=["blocks.*.mlp.*"])
    layers = dict(result.named_layers())
    assert {name for name, layer in layers.items() if type(layer) is QuantizedLinear} == {
        f"blocks.{i}.mlp.linear{j}" for i in (0, 1) for j in (1, 2)
    }
    assert {layer.name for layer in effect.layers} >= {"blocks.0.mlp.linear1"}


def test_a_session_runs_it_as_one_layer(texts):
    """No kernel knows it as a chain; the outputs are the same."""
    network = model()
    session = InferenceSession(network, batch=3)
    np.testing.assert_allclose(session.run(texts), network.predict(texts), atol=1e-5)
    assert len(session.layers) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.update(num_layers=3), "has the layers"),
        (lambda tree: tree.update(num_heads=5), "heads that divide"),
        (lambda tree: tree.update(num_layers=60000), "too large"),
        (lambda tree: tree.update(pos_encoding="rotary"), "pos_encoding must be"),
        (lambda tree: tree.update(max_seq_len=5), "do not fit|1 to 5 tokens|pos_encoding"),
        (lambda tree: tree.update(vocab_size=8), "vocab_size"),
        (lambda tree: tree["layers"].pop(), "has the layers"),
        (lambda tree: tree["layers"][2][1].update(type="GELU"), "arrays|has no"),
        (lambda tree: tree.update(input_shape=[6, 2]), "values to unpack|not a LanguageModel"),
        (lambda tree: tree.pop("embed_dim"), "embed_dim"),
    ],
)
def test_a_tampered_file_is_refused(change, message):
    """Whatever is changed in the structure, nothing is built."""
    data = dumps(model())
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    tree = json.loads(header["__metadata__"]["tinytorch"])
    change(tree)
    header["__metadata__"]["tinytorch"] = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with pytest.raises(ModelFileError, match=message):
        loads(len(text).to_bytes(8, "little") + text + data[8 + size :])


@pytest.mark.parametrize("name", ["vocab_size", "embed_dim", "num_layers", "num_heads", "max_seq_len"])
def test_sizes_are_whole_numbers(name):
    """A file may say 5.0 or a text where a length belongs; it is refused before anything is made of it."""
    config = model("sinusoidal").config()
    for value in (float(config[name]), str(config[name])):
        with pytest.raises(ValueError, match="sizes are integers"):
            LanguageModel.from_children({**config, name: value}, model("sinusoidal").parts())


def test_tables_of_sinusoids_are_bounded():
    """What is computed and not stored cannot be made huge by a file."""
    data = dumps(model("sinusoidal"))
    bad = data.replace(b'max_seq_len\\":8', b'max_seq_len\\":9')
    assert len(bad) == len(data)
    loads(bad)
    config = {**model("sinusoidal").config(), "max_seq_len": 1 << 30}
    with pytest.raises(ValueError, match="too large"):
        LanguageModel.from_children(config, model("sinusoidal").parts())
