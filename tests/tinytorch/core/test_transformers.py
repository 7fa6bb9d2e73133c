"""Blocks and the GPT: causality, gradients for every parameter, generation with and without a cache."""

import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.attention import AttentionProduct, CachedAttention
from tinytorch.core.decoding import Decoder
from tinytorch.core.embeddings import Embedding
from tinytorch.core.function import no_grad
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.optimizers import AdamW
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import CosineSchedule, Trainer
from tinytorch.core.transformers import GPT, MLP, LayerNorm, TinyGPT, TransformerBlock, create_causal_mask
from tinytorch.perf.memoization import disable_kv_cache, enable_kv_cache
from tinytorch.perf.quantization import quantize_model
from tinytorch.perf.structure import held_bytes, slots
from tinytorch.runtime.decoding import why_not_native

VOCAB = 11


@pytest.fixture
def model(rng):
    """Return a GPT of two layers whose positions matter."""
    gpt = GPT(VOCAB, 12, 2, 3, max_seq_len=16, rng=rng)
    for p in gpt.embedding_layer.parameters():
        p.data *= 30  # as large as after training: at 0.02 everything would be nearly linear
    return gpt


@pytest.fixture
def ids(rng):
    """Return two texts of ten tokens."""
    return rng.integers(0, VOCAB, (2, 10))


def test_the_mask_is_lower_triangular():
    """Ones on and below the diagonal."""
    np.testing.assert_array_equal(create_causal_mask(3).data, [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]])


def test_names_and_shapes_of_the_parts():
    """The attributes and sizes of the course."""
    block = TransformerBlock(8, 2, mlp_ratio=3)
    assert (block.mlp.linear1.weight.shape, block.ln1.gamma.shape) == ((8, 24), (8,))
    assert TransformerBlock(8, 2, ff_dim=10).mlp.linear2.weight.shape == (10, 8)
    assert MLP(8)(Tensor(np.zeros((2, 8)))).shape == (2, 8)
    gpt = GPT(VOCAB, 8, 2, 2)
    assert (gpt.max_seq_len, len(gpt.blocks), gpt.lm_head.bias, TinyGPT) == (1024, 2, None, GPT)
    assert isinstance(gpt.ln_f, LayerNorm)
    assert len(gpt.parameters()) == 2 + 2 * (8 + 4 + 4) + 2 + 1
    assert gpt.output_shape((5,)) == (5, VOCAB)
    assert gpt.macs((5,)) == 2 * (4 * 5 * 64 + 2 * 25 * 8 + 2 * 5 * 8 * 32) + 5 * 8 * VOCAB


def test_dropout_is_for_training_only(rng):
    """In training mode two passes differ, after eval() they do not."""
    block, x = TransformerBlock(8, 2, dropout_prob=0.5, rng=rng), Tensor(rng.normal(size=(1, 3, 8)))
    assert not np.array_equal(block(x).data, block(x).data)
    block.eval()
    np.testing.assert_array_equal(block(x).data, block(x).data)


@pytest.mark.parametrize("position", [0, 4, 9])
def test_a_token_changes_nothing_before_it(model, ids, position):
    """The scores before the token stay to the last bit; its own and later ones change."""
    other = ids.copy()
    other[:, position] = (other[:, position] + 1) % VOCAB
    before, after = model(ids).data, model(other).data
    np.testing.assert_array_equal(before[:, :position], after[:, :position])
    assert (np.abs(before - after)[:, position:].max(axis=-1) > 1e-4).all()


def test_attention_is_not_uniform_at_the_beginning(rng):
    """A new GPT already tells positions and tokens apart: swapping two earlier tokens changes what follows."""
    gpt = GPT(VOCAB, 12, 2, 3, rng=rng)
    a, b = gpt([[1, 2, 3, 4]]).data[0, -1], gpt([[2, 1, 3, 4]]).data[0, -1]
    assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize("pos_encoding", ["learned", "sinusoidal"])
def test_every_parameter_has_its_gradient(rng, pos_encoding):
    """Against central differences of the loss along a random direction of each parameter."""
    gpt = GPT(5, 4, 2, 2, max_seq_len=6, pos_encoding=pos_encoding, rng=rng)
    for p in gpt.parameters():
        p.data += rng.normal(scale=0.3, size=p.shape)
    ids, targets = rng.integers(0, 5, (2, 5)), rng.integers(0, 5, (2, 5))

    def loss():
        return CrossEntropyLoss()(gpt(ids), targets)

    loss().backward()
    # the same number added to all scores of a query changes no weight: those of the keys' biases are 0 by nature
    without = {id(block.attention.k_proj.bias) for block in gpt.blocks}
    for p in gpt.parameters():
        direction = rng.normal(size=p.shape).astype(np.float32)
        direction /= np.linalg.norm(direction)
        before, slopes = p.data.copy(), []
        for step in (0.01, 0.005):
            sides = []
            for sign in (1, -1):
                p.data = before + np.float32(sign * step) * direction
                with no_grad():
                    sides.append(float(loss().data))
            slopes.append((sides[0] - sides[1]) / (2 * step))
        p.data = before
        extrapolated = (4 * slopes[1] - slopes[0]) / 3  # the error of a difference is as the square of its step
        assert float((p.grad * direction).sum()) == pytest.approx(extrapolated, abs=5e-4)
        assert (np.abs(p.grad).max() > 1e-5) == (id(p) not in without)


def test_it_learns_by_heart(rng):
    """A few steps of the course's Trainer on one text, with accumulation, clipping and a schedule."""
    gpt = GPT(VOCAB, 16, 2, 2, max_seq_len=13, rng=rng)
    text = rng.integers(0, VOCAB, 13)
    batches = [(text[None, :-1], Tensor(text[None, 1:]))] * 8
    optimizer = AdamW(gpt.parameters(), lr=0.01)
    trainer = Trainer(gpt, optimizer, CrossEntropyLoss(), CosineSchedule(0.01, 0.001, 12), grad_clip_norm=1.0)
    for _ in range(12):
        last = trainer.train_epoch(batches, accumulation_steps=2)
    assert last < 0.1
    assert gpt.generate(text[None, :3], 10, temperature=0).data[0].astype(int).tolist() == text.tolist()


def test_a_checkpoint_resumes_exactly(rng, tmp_path):
    """The next epoch after loading gives the bits that going on gives, dropout included."""
    text = rng.integers(0, VOCAB, (4, 9))
    batches = [(text[:2, :-1], Tensor(text[:2, 1:])), (text[2:, :-1], Tensor(text[2:, 1:]))]

    def trainer():
        np.random.seed(1)
        gpt = GPT(VOCAB, 8, 2, 2, max_seq_len=8, dropout_prob=0.2)
        return Trainer(gpt, AdamW(gpt.parameters(), lr=0.01), CrossEntropyLoss())

    first, second = trainer(), trainer()
    first.train_epoch(batches)
    first.save_checkpoint(tmp_path / "at.npz")
    first.train_epoch(batches)
    np.random.seed(99)
    second.load_checkpoint(tmp_path / "at.npz")
    second.train_epoch(batches)
    assert first.history == second.history
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("pos_encoding", ["learned", "sinusoidal", None])
@pytest.mark.parametrize("prompt", [1, 4, 10])
def test_cached_scores_equal_uncached_ones(rng, ids, pos_encoding, prompt):
    """At every position, for a batch, however much of the text is fed at once: forward and the fast decoder."""
    gpt = GPT(VOCAB, 12, 3, 2, max_seq_len=16, pos_encoding=pos_encoding, rng=rng)
    for p in gpt.parameters():
        p.data += rng.normal(scale=0.2, size=p.shape)
    whole = gpt(ids).data
    cache = enable_kv_cache(gpt, batch_size=2)
    np.testing.assert_allclose(gpt(ids[:, :prompt]).data, whole[:, :prompt], atol=1e-5)
    for t in range(prompt, 10):
        np.testing.assert_allclose(gpt(ids[:, t : t + 1], start_pos=t).data[:, 0], whole[:, t], atol=1e-5)
    decoder = Decoder(gpt, cache)
    cache.seq_pos = prompt
    for t in range(prompt, 10):
        np.testing.assert_allclose(decoder.step(ids[:, t]), whole[:, t], atol=1e-5)


def test_a_part_can_be_fed_again(model, ids):
    """A cached text continues at any position that it has; later ones are overwritten."""
    whole = model(ids).data
    cache = enable_kv_cache(model, batch_size=2)
    model(np.flip(ids, axis=1))
    model(ids[:, :4])
    model(ids[:, 5:6], start_pos=4)
    np.testing.assert_allclose(model(ids[:, 4:7], start_pos=4).data, whole[:, 4:7], atol=1e-5)
    assert cache.seq_pos == 7
    with pytest.raises(ValueError, match="holds 7 positions of 2 texts: it cannot continue 2 texts at position 8"):
        model(ids[:, :1], start_pos=8)


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"temperature": 0.9, "top_k": 5, "top_p": 0.9}])
def test_generation_is_the_same_with_and_without_a_cache(model, ids, settings):
    """The texts begin with the prompts and are equal for equal seeds."""
    texts = [
        model.generate(ids[:, :4], 12, rng=np.random.default_rng(5), cache=cache, **settings).data
        for cache in ("float32", "float32", None)
    ]
    assert texts[0].shape == (2, 16)
    np.testing.assert_array_equal(texts[0][:, :4], ids[:, :4])
    np.testing.assert_array_equal(texts[0], texts[1])
    np.testing.assert_array_equal(texts[0], texts[2])


def test_generation_with_integers_in_the_cache(model, ids):
    """An int8 cache rounds keys and values: scores move a little, by less than a hundredth of their size."""
    whole = model(ids).data
    enable_kv_cache(model, batch_size=2, dtype="int8")
    model(ids[:, :2])
    parts = [model(ids[:, t : t + 1], start_pos=t).data[:, 0] for t in range(2, 10)]
    error = np.abs(np.stack(parts, axis=1) - whole[:, 2:]).max()
    assert 0 < error < 0.01 * np.abs(whole).max()
    assert model.generate(ids[:, :4], 3, temperature=0, cache="int8").shape == (2, 7)


def test_generation_uses_an_enabled_cache(model, ids):
    """It is filled by generate for as many texts; for others a temporary one serves."""
    cache = enable_kv_cache(model, batch_size=2)
    assert model._kv_cache is cache
    expected = model.generate(ids[:, :4], 5, temperature=0, cache=None).data
    np.testing.assert_array_equal(model.generate(ids[:, :4], 5, temperature=0).data, expected)
    assert cache.seq_pos == 8
    np.testing.assert_array_equal(model.generate(ids[:1, :4], 5, temperature=0).data, expected[:1])
    disable_kv_cache(model)
    assert (model._kv_cache, model._cache_enabled) == (None, False)
    with pytest.raises(TypeError, match="take a GPT"):
        enable_kv_cache(MLP(4))


def test_training_goes_on_with_a_cache_enabled(model, ids):
    """Gradients are those without a cache."""
    grads = []
    for is_enabled in (False, True):
        if is_enabled:
            enable_kv_cache(model, batch_size=2)
        for p in model.parameters():
            p.zero_grad()
        CrossEntropyLoss()(model(ids[:, :-1]), ids[:, 1:]).backward()
        grads.append([p.grad for p in model.parameters()])
    for a, b in zip(*grads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_generation_leaves_the_model_as_it_was(model, ids):
    """Dropout is off while generating, modes are put back, nothing is recorded."""
    model.blocks[1].mlp.dropout.p = 0.9
    model.blocks[0].eval()
    texts = [model.generate(ids, 4, temperature=0).data for _ in range(2)]
    np.testing.assert_array_equal(*texts)
    assert (model.training, model.blocks[0].training, model.blocks[1].mlp.dropout.training) == (True, False, True)


def test_own_attention_layers_generate_too(model, ids):
    """A block whose attention was wrapped takes the plain way through forward."""
    expected = model.generate(ids[:, :3], 6, temperature=0).data
    model.blocks[0].attention = CachedAttention(model.blocks[0].attention, model.new_cache(2), 0)
    np.testing.assert_array_equal(model.generate(ids[:, :3], 6, temperature=0).data, expected)


@pytest.mark.parametrize("place", ["gelu", "product", "norm", "embedding"])
def test_what_a_decoder_does_not_know_runs_itself(model, ids, place):
    """Another activation, attention, normalization or embedding in its place: the text is the one without a cache."""

    class Doubled(LayerNorm):
        def forward(self, x):
            return super().forward(x) * 2

    class Sharp(AttentionProduct):
        def forward(self, x, keys=None, values=None, mask=None):
            return super().forward(x * 3, keys, values, mask)

    class Negative(Embedding):
        def forward(self, x):
            return super().forward(x) * -1

    if place == "gelu":
        model.blocks[1].mlp.gelu = ReLU()
    elif place == "product":
        model.blocks[0].attention.product = Sharp()
    elif place == "norm":
        model.ln_f = Doubled(12)
    else:
        model.embedding_layer.token_embedding = Negative(VOCAB, 12)
    expected = model.generate(ids[:, :3], 8, temperature=0, cache=None).data
    np.testing.assert_array_equal(model.generate(ids[:, :3], 8, temperature=0).data, expected)
    assert not model.is_plain()
    with pytest.raises(ValueError, match="usual parts of a GPT only"):
        Decoder(model, model.new_cache())
    assert why_not_native(model, model.new_cache())


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantized_model_generates(model, ids, bits):
    """All linear layers hold integers, and cached scores still equal those of the whole text."""
    before = held_bytes(model)
    quantize_model(model, bits=bits)
    assert sum(type(slot.get()).__name__ == "QuantizedLinear" for slot in slots(model)) == 2 * 6 + 1
    assert held_bytes(model) < before / 1.8
    whole = model(ids).data
    texts = [model.generate(ids[:, :3], 6, temperature=0).data for _ in range(2)]
    np.testing.assert_array_equal(*texts)
    cache = enable_kv_cache(model, batch_size=2)
    model(ids[:, :3])
    decoder = Decoder(model, cache)
    for t in range(3, 10):
        # a sum that differs in its last bit may round to the next integer
        np.testing.assert_allclose(decoder.step(ids[:, t]), whole[:, t], atol=0.02 * np.abs(whole).max())


@pytest.mark.parametrize(
    ("prompt", "arguments", "message"),
    [
        ([[1, 2]], {"max_new_tokens": 15}, "14 new tokens fit"),
        ([[1, 2]], {"temperature": -1.0}, "temperature"),
        ([[1, 2]], {"temperature": float("nan")}, "temperature"),
        ([[1, 2]], {"max_new_tokens": -1}, "max_new_tokens from 0 on"),
        ([[1, 2]], {"max_new_tokens": 2.5}, r"whole numbers, but are 2\.5 and 1"),
        ([[1, 2]], {"threads": 0}, "whole numbers, but are 50 and 0"),
        ([[1, 2]], {"temperature": "hot"}, "temperature must be a number from 0"),
        ("12", {}, "encode the text by a tokenizer first"),
        ([[1, 2]], {"max_new_tokens": 1, "cache": "int4"}, "not 'int4'"),
        ([1, 2], {}, r"shape \(batch, T\)"),
        ([[]], {}, "at least one token"),
        ([[1], [1, 2]], {}, r"equal length, but theirs are \(1,\), \(2,\)"),
        ([[1, VOCAB]], {}, "the ids 0 to 10"),
    ],
)
def test_generation_refuses(model, prompt, arguments, message):
    """Texts that become too long, settings out of range, prompts that are none."""
    with pytest.raises(ValueError, match=message):
        model.generate(prompt, **arguments)


def test_no_new_tokens_are_the_prompt(model, ids):
    """Zero strength is the identity, and a prompt may fill the model."""
    np.testing.assert_array_equal(model.generate(ids, 0).data, ids)
    assert model.generate(ids, 6, temperature=0).shape == (2, 16)


def test_a_model_of_nonsense_sizes():
    """Layers, heads, and inputs that do not fit."""
    with pytest.raises(ValueError, match="num_layers is 0"):
        GPT(5, 4, 0, 2)
    with pytest.raises(ValueError, match="do not fit: there are 4 positions"):
        GPT(5, 4, 1, 2, max_seq_len=4)([[1, 2, 3, 4, 0]])
    with pytest.raises(ValueError, match=r"needs tokens of shape \(batch, T\)"):
        GPT(5, 4, 1, 2)([1, 2])
