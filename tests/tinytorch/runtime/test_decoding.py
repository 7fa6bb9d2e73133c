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


def decoded(gpt, ids, prompt=4, threads=1):
    """Return the scores after each token from `prompt` on."""
    cache = enable_kv_cache(gpt, batch_size=len(ids))
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
def test_generate_decodes_natively(monkeypatch, ids):
    """The same text as the reference, which is used where it is asked for."""
    made = []
    monkeypatch.setattr("tinytorch.core.transformers.NativeDecoder", lambda *a: made.append(1) or NativeDecoder(*a))
    text = model().generate(ids, 3, temperature=0).data
    assert made == [1]
    monkeypatch.setenv(native.VARIABLE, "reference")
    np.testing.assert_array_equal(model().generate(ids, 3, temperature=0).data, text)
    assert made == [1]


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
    assert decoder.working_set_bytes > sum(p.size for p in gpt.parameters())
    assert decoder.kernels == native.isa()


@needs_kernels
def test_what_cannot_be_decoded_natively():
    """A cache of integers and a layer of one's own are named; the plain decoder takes them."""
    gpt = model()
    with pytest.raises(KernelsError, match="a cache of float32, not int8"):
        NativeDecoder(gpt, gpt.new_cache(dtype="int8"))

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
