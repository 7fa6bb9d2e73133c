"""Native decoding against the whole text at once, on each instruction set that this processor has."""

import numpy as np
import pytest

from tinytorch.core.decoding import Decoder
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.tensor import Tensor
from tinytorch.core.transformers import GPT
from tinytorch.errors import KernelsError
from tinytorch.kernels import native
from tinytorch.perf.memoization import enable_kv_cache
from tinytorch.perf.quantization import quantize_model
from tinytorch.runtime.decoding import NativeDecoder, why_not_native

needs_kernels = pytest.mark.skipif(native.isa() is None, reason=f"no native kernels: {native.why_not()}")
VOCAB = 13


@pytest.fixture
def ids():
    """Return three texts of nine tokens."""
    return np.random.default_rng(1).integers(0, VOCAB, (3, 9))


def model(pos_encoding="learned", width=20):
    """Return a GPT of odd sizes with weights as large as after training."""
    rng = np.random.default_rng(0)
    gpt = GPT(VOCAB, width, 2, 2, max_seq_len=12, pos_encoding=pos_encoding, rng=rng)
    for p in gpt.parameters():
        p.data += rng.normal(scale=0.15, size=p.shape)
    return gpt


def decoded(gpt, ids, prompt=4, threads=1, dtype="float32"):
    """Return the scores after each token from `prompt` on."""
    cache = enable_kv_cache(gpt, batch_size=len(ids), dtype=dtype)
    gpt(ids[:, :prompt])
    decoder = NativeDecoder(gpt, cache, threads)
    return np.stack([decoder.step(ids[:, t]) for t in range(prompt, ids.shape[1])], axis=1)


@needs_kernels
@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("pos_encoding", ["learned", "sinusoidal"])
@pytest.mark.parametrize("batch", [1, 3])
def test_scores_are_those_of_the_whole_text(monkeypatch, ids, isa, pos_encoding, batch):
    """At every position, to 1e-5."""
    monkeypatch.setenv(native.VARIABLE, isa)
    gpt = model(pos_encoding)
    whole = gpt(ids[:batch]).data
    np.testing.assert_allclose(decoded(gpt, ids[:batch]), whole[:, 4:], atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("is_mixed", [True, False])
def test_numpy_decodes_what_the_whole_text_scores(ids, batch, has_bias, is_mixed):
    """A text alone and several, projections joined or not, with and without a bias: at every position, to 1e-5."""
    gpt = model()
    attention = gpt.blocks[1].attention
    attention.k_proj = Linear(20, 20, bias=has_bias, rng=np.random.default_rng(5))
    if is_mixed:
        attention.v_proj = Sequential(attention.v_proj)
    whole = gpt(ids[:batch]).data
    cache = enable_kv_cache(gpt, batch_size=batch)
    gpt(ids[:batch, :4])
    decoder = Decoder(gpt, cache)
    for t in range(4, ids.shape[1]):
        np.testing.assert_allclose(decoder.step(ids[:batch, t]), whole[:, t], atol=1e-5)
    cache.seq_pos = cache.max_seq_len
    with pytest.raises(ValueError, match="cache is full"):
        decoder.step(ids[:batch, 0])


@needs_kernels
@pytest.mark.parametrize("bits", [None, 8, 4])
def test_threads_change_no_bit(ids, bits):
    """One and two give the same, and so does a second run."""
    gpt = model(width=40)
    if bits:
        quantize_model(gpt, bits=bits)
    expected = decoded(gpt, ids)
    np.testing.assert_array_equal(decoded(gpt, ids, threads=2), expected)
    np.testing.assert_array_equal(decoded(gpt, ids), expected)


@needs_kernels
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("is_calibrated", [False, True])
def test_quantized_models_decode_with_their_integers(ids, bits, is_calibrated):
    """As their layers compute; a float that differs in its last bit may round to the next integer."""
    gpt = model()
    quantize_model(gpt, [ids] if is_calibrated else None, bits=bits)
    whole = gpt(ids).data
    found = decoded(gpt, ids)
    assert np.abs(found - whole[:, 4:]).max() < 0.03 * np.abs(whole).max()
    assert np.median(np.abs(found - whole[:, 4:])) < 1e-5


@needs_kernels
@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("width", [20, 64])
def test_a_cache_of_bytes_decodes_as_in_numpy(monkeypatch, ids, isa, width):
    """Scores to 1e-5, and the same bytes in the cache of the first layer."""
    monkeypatch.setenv(native.VARIABLE, isa)
    gpt = model(width=width)
    found = decoded(gpt, ids, dtype="int8")
    held = [array.copy() for array in gpt._kv_cache.arrays(0)]
    cache = enable_kv_cache(gpt, batch_size=len(ids), dtype="int8")
    gpt(ids[:, :4])
    decoder = Decoder(gpt, cache)
    expected = np.stack([decoder.step(ids[:, t]) for t in range(4, ids.shape[1])], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.mean(held[0] == cache.arrays(0)[0]) > 0.99  # a float that differs in its last bit may round otherwise


@needs_kernels
@pytest.mark.parametrize("bits", [None, 8, 4])
def test_products_of_one_input_are_one_operation(monkeypatch, ids, bits):
    """Query, key and value, with the same bits as three of them; layers of two kinds stay apart."""
    gpt = model(width=40)
    if bits:
        quantize_model(gpt, bits=bits)
    joined = decoded(gpt, ids)
    operations = NativeDecoder(gpt, gpt.new_cache())._operations(gpt)
    assert len([op for op in operations if op[0].startswith("linear")]) == 4 * len(gpt.blocks)
    monkeypatch.setattr("tinytorch.runtime.decoding._joined", lambda products: None)
    np.testing.assert_array_equal(decoded(gpt, ids), joined)
    assert len([op for op in NativeDecoder(gpt, gpt.new_cache())._operations(gpt) if "linear" in op[0]]) == 12


@needs_kernels
def test_products_of_different_kinds_stay_apart(ids):
    """A projection that alone has no bias, and one that alone is quantized."""
    gpt = model(width=40)
    gpt.blocks[0].attention.k_proj = Linear(40, 40, bias=False, rng=np.random.default_rng(5))
    quantize_model(gpt.blocks[1].attention)
    gpt.blocks[1].attention.q_proj = Linear(40, 40, rng=np.random.default_rng(6))
    operations = NativeDecoder(gpt, gpt.new_cache())._operations(gpt)
    assert len([op for op in operations if op[0].startswith("linear")]) == 12
    whole = gpt(ids).data
    assert np.median(np.abs(decoded(gpt, ids) - whole[:, 4:])) < 1e-5


@needs_kernels
@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_prompt_is_read_some_positions_at_once(monkeypatch, ids, isa, dtype, batch):
    """Seven tokens, three at once where a text is alone: the scores as of one after the other, and after the next."""
    monkeypatch.setenv(native.VARIABLE, isa)
    monkeypatch.setattr("tinytorch.runtime.decoding.AT_ONCE", 3)
    gpt = model(width=40)
    caches = [gpt.new_cache(batch, dtype=dtype) for _ in range(3)]
    stepping, reading, on_two = (NativeDecoder(gpt, cache, n) for cache, n in zip(caches, (1, 1, 2), strict=True))
    for t in range(7):
        expected = stepping.step(ids[:batch, t])
    found = reading.read(ids[:batch, :7])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(on_two.read(ids[:batch, :7]), found)
    assert [cache.seq_pos for cache in caches] == [7, 7, 7]
    np.testing.assert_allclose(reading.step(ids[:batch, 7]), stepping.step(ids[:batch, 7]), atol=1e-5)
    with pytest.raises(ValueError, match="cache is full"):
        reading.read(ids[:batch, :5])
    assert caches[1].seq_pos == 8


@needs_kernels
def test_generate_decodes_natively(monkeypatch, ids):
    """The same texts as the reference, which is used where it is asked for; of a single one the prompt, too."""
    read = []

    class Recorded(NativeDecoder):
        def read(self, prompts, start_pos=None):
            read.append(prompts.shape)
            return super().read(prompts, start_pos)

    monkeypatch.setattr("tinytorch.core.transformers.NativeDecoder", Recorded)
    texts = [model().generate(prompts, 3, temperature=0).data for prompts in (ids, ids[:1])]
    assert read == [(1, 9)]
    monkeypatch.setenv(native.VARIABLE, "reference")
    np.testing.assert_array_equal(model().generate(ids, 3, temperature=0).data, texts[0])
    np.testing.assert_array_equal(model().generate(ids[:1], 3, temperature=0).data, texts[1])
    assert read == [(1, 9)]


@needs_kernels
def test_a_full_cache_is_refused(ids):
    """Before anything is written."""
    gpt = model()
    cache = gpt.new_cache(3, 2)
    decoder = NativeDecoder(gpt, cache)
    for t in range(2):
        decoder.step(ids[:, t])
    with pytest.raises(ValueError, match="cache is full"):
        decoder.step(ids[:, 2])
    assert decoder.kernels == native.isa()


@needs_kernels
def test_what_cannot_be_decoded_natively():
    """A layer of one's own is named; the plain decoder takes it."""
    gpt = model()

    class Doubled(Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 2

    gpt.blocks[1].mlp.linear1 = Doubled(20, 80)
    assert why_not_native(gpt, gpt.new_cache()) == "no kernel computes blocks.1.mlp.linear1, a Doubled"
    gpt.lm_head = Sequential(gpt.lm_head)
    whole = gpt([[1, 2, 3]]).data
    cache = enable_kv_cache(gpt)
    gpt([[1, 2]])
    np.testing.assert_allclose(Decoder(gpt, cache).step(np.array([3])), whole[:, 2], atol=1e-5)


def test_without_kernels_it_says_so(monkeypatch):
    """The reference is asked for."""
    monkeypatch.setenv(native.VARIABLE, "reference")
    gpt = model()
    with pytest.raises(KernelsError, match="TINYTORCH_KERNELS=reference"):
        NativeDecoder(gpt, gpt.new_cache())
