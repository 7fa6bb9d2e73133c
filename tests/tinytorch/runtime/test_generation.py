"""Texts that grow token by token: the same scores whatever keeps keys and values, and clear limits."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.core.function import no_grad
from tinytorch.core.layer_norm import LayerNorm
from tinytorch.core.transformers import GPT
from tinytorch.kernels import native
from tinytorch.perf.quantization import quantize_model
from tinytorch.runtime.generation import Generation

VOCAB, LENGTH, PROMPT = 11, 9, 4
CACHES = (None, "float32", "int8")


class OwnNorm(LayerNorm):
    """A normalization that nobody else knows, though it does what the usual one does."""


@pytest.fixture(scope="module")
def gpt() -> GPT:
    model = GPT(VOCAB, 8, 2, 2, 12, rng=np.random.default_rng(0))
    model.eval()
    return model


@pytest.fixture(scope="module")
def texts() -> np.ndarray:
    return np.random.default_rng(1).integers(0, VOCAB, (3, LENGTH))


@pytest.mark.parametrize(("cache", "tolerance"), [(None, 1e-5), ("float32", 1e-5), ("int8", 0.02)])
def test_scores_are_those_of_one_pass(gpt: GPT, texts: np.ndarray, cache: str | None, tolerance: float) -> None:
    """After the prompt and after each token, for every text of the batch."""
    with no_grad():
        expected = gpt.forward(texts).data
        session = Generation(gpt, len(texts), LENGTH, cache)
        found = [session.begin(texts[:, :PROMPT])]
        found += [session.step(texts[:, position]) for position in range(PROMPT, LENGTH)]
    np.testing.assert_allclose(np.stack(found, axis=1), expected[:, PROMPT - 1 :], atol=tolerance)


@pytest.mark.parametrize("cache", CACHES)
def test_a_new_text_forgets_the_last(gpt: GPT, texts: np.ndarray, cache: str | None) -> None:
    """The same prompt gives the same bits again, after another text."""
    with no_grad():
        session = Generation(gpt, 3, LENGTH, cache)
        first = session.begin(texts[:, :PROMPT])
        session.step(texts[:, 0])
        session.begin(texts[:, 2:7])
        np.testing.assert_array_equal(session.begin(texts[:, :PROMPT]), first)


def test_what_the_cache_holds(gpt: GPT) -> None:
    """Two arrays of a layer in float32; int8 has a byte for each value and a scale for each vector."""
    values = 2 * 2 * 3 * LENGTH * 8
    found = {cache: Generation(gpt, 3, LENGTH, cache).cache_bytes for cache in (None, "float32", "int8")}
    assert found == {None: 0, "float32": 4 * values, "int8": values + 4 * values // 4}


def test_a_cache_is_the_only_difference(gpt: GPT) -> None:
    """What is compared with and without one is computed by the same code."""
    ways = {(session.computed_by, session.reason) for session in (Generation(gpt, 2, LENGTH, c) for c in CACHES)}
    assert ways == {(native.isa() or "numpy", native.why_not())}


@pytest.mark.parametrize("cache", CACHES)
def test_what_is_not_native_says_why(texts: np.ndarray, cache: str | None) -> None:
    """A layer of the user's own is computed by NumPy, to the same scores."""
    model = GPT(VOCAB, 8, 2, 2, 12, rng=np.random.default_rng(0))
    model.eval()
    with no_grad():
        usual = Generation(model, 3, LENGTH, cache).begin(texts[:, :PROMPT])
        model.ln_f = OwnNorm(8)
        session = Generation(model, 3, LENGTH, cache)
        np.testing.assert_allclose(session.begin(texts[:, :PROMPT]), usual, atol=1e-5)
    assert session.computed_by == "numpy"
    assert session.reason == (native.why_not() or "it has parts that are not the usual ones")


def test_no_room_is_an_error(gpt: GPT, texts: np.ndarray) -> None:
    """For a length beyond the model's, a prompt beyond the length, and a token beyond both."""
    with pytest.raises(ValueError, match="max_seq_len = 12"):
        Generation(gpt, 1, 13)
    session = Generation(gpt, 3, PROMPT)
    with pytest.raises(ValueError, match="prompt of 9 tokens"):
        session.begin(texts)
    session.begin(texts[:, :PROMPT])
    with pytest.raises(ValueError, match="all their 4 positions"):
        session.step(texts[:, 0])


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("count", [1, 3])
def test_a_prompt_is_read_by_the_same_code_whatever_keeps_it(texts: np.ndarray, bits: int | None, count: int) -> None:
    """The time to a first token tells kinds of cache and numbers of texts apart, not kernels from NumPy."""
    model = GPT(VOCAB, 16, 2, 2, 12, rng=np.random.default_rng(3))
    model.eval()
    if bits:
        quantize_model(model, bits=bits)
    prompts = texts[:count, :PROMPT]
    with no_grad():
        found = [Generation(model, count, LENGTH, cache).begin(prompts) for cache in CACHES]
        alone = [Generation(model, 1, LENGTH, cache).begin(prompts[-1:]) for cache in CACHES]
    difference = 0.0 if native.isa() else 0.05 * float(np.abs(found[0]).max())
    for scores in found[1:]:
        np.testing.assert_allclose(scores, found[0], rtol=0, atol=difference)
    for scores in alone:
        np.testing.assert_allclose(scores, found[0][-1:], rtol=0, atol=difference)


def test_quantized_prompts_are_read_as_they_are_decoded(texts: np.ndarray) -> None:
    """Token by token or at once: floats that lie between two integers are rounded to either."""
    model = GPT(VOCAB, 16, 2, 2, 12, rng=np.random.default_rng(3))
    quantize_model(model, None)
    with no_grad():
        session = Generation(model, 3, LENGTH)
        expected = session.begin(texts[:, :PROMPT])
        session.begin(texts[:, :1])
        found = [session.step(texts[:, position]) for position in range(1, PROMPT)]
    np.testing.assert_allclose(found[-1], expected, atol=0.05 * np.abs(expected).max())
