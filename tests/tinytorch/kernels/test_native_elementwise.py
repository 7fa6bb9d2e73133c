"""The native elementwise kernels against NumPy, on each instruction set that this processor has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tinytorch.core.activations import sigmoid
from tinytorch.kernels import native, quantized
from tinytorch.kernels.transformer import TOLERANCE, layer_norm, softmax

pytestmark = pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")

RNG = np.random.default_rng(5)
ISAS = native.isas()
LENGTHS = (1, 3, 8, 15, 16, 17, 31, 64, 100, 257)
SPECIAL = np.array([0, -0.0, 1e-45, -1e-40, 1e-20, 3e38, -3e38, 88.8, -88.8, np.inf, -np.inf, np.nan], np.float32)
UNARY: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: np.maximum(x, 0),
    2: sigmoid,
    3: np.tanh,
    4: lambda x: x * sigmoid(1.702 * x),
}


def run(isa: str, ops: Sequence[tuple], x: np.ndarray, *, inner: Sequence[int] = (), threads: int = 1) -> np.ndarray:
    """Run ops whose output is as large as their input x (N, ...); `inner` are the bytes a sample of further slots."""
    size, out = x[0].nbytes, np.full_like(x, -77)
    native.Program(ops, (size, size, *inner), max(1, len(x)), threads, isa).run(x, out)
    return out


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", UNARY)
@pytest.mark.parametrize("length", LENGTHS)
def test_unary_functions_are_numpys(isa: str, kind: int, length: int) -> None:
    """ReLU, sigmoid, tanh and GELU agree with float64 relative to the output, or for GELU to the input."""
    x = (RNG.standard_normal((3, length)) * 10.0 ** RNG.uniform(-6, 1.5, (3, length))).astype(np.float32)
    expected = UNARY[kind](x.astype(np.float64))
    size = np.abs(x) if kind == 4 else np.abs(expected)
    assert np.all(
        np.abs(run(isa, [("unary", (0, 1), (length, kind), (), ())], x) - expected) <= TOLERANCE * size + 1e-37
    )


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", UNARY)
def test_unary_functions_of_special_values(isa: str, kind: int) -> None:
    """Zeros, subnormal and huge numbers, infinities and NaN give what NumPy gives."""
    x = np.tile(SPECIAL, 3)[None]
    with np.errstate(invalid="ignore", over="ignore"):
        expected = UNARY[kind](x)
    out = run(isa, [("unary", (0, 1), (x.size, kind), (), ())], x)
    np.testing.assert_allclose(out, expected, rtol=TOLERANCE, atol=1e-37)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("act", [0, 1])
def test_affine_and_add_are_numpys_bit_for_bit(isa: str, length: int, act: int) -> None:
    """x·a + b and a sum of two slots have NumPy's two roundings; ReLU keeps a NaN."""
    x = RNG.standard_normal((2, 5, length)).astype(np.float32)
    x.flat[:2] = np.nan, -np.inf
    a, b = RNG.standard_normal((2, length)).astype(np.float32)
    size = x[0].nbytes
    ops = [
        ("affine", (0, 2), (5, length, act), (), (a, b)),
        ("add", (2, 0, 1), (5 * length, act), (), ()),
    ]
    activate = (lambda y: np.maximum(y, 0)) if act else (lambda y: y)
    with np.errstate(invalid="ignore"):
        expected = activate(activate(x * a + b) + x)
    np.testing.assert_array_equal(run(isa, ops, x, inner=(size,)), expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("length", LENGTHS)
def test_softmax_and_layer_norm_agree_with_float64(isa: str, length: int) -> None:
    """Rows of any length, with large means and a large spread."""
    x = (RNG.standard_normal((2, 3, length)) * 5 + RNG.uniform(-50, 50, (2, 3, 1))).astype(np.float32)
    gain, bias = RNG.standard_normal((2, length)).astype(np.float32)
    exact = x.astype(np.float64)
    out = run(isa, [("softmax", (0, 1), (3, length), (), ())], x)
    # the terms of an exponent are x and the maximum, rounded to float32
    assert np.all(np.abs(out - softmax(exact)) <= TOLERANCE * softmax(exact) + 1e-37)
    out = run(isa, [("layer_norm", (0, 1), (3, length), (1e-5,), (gain, bias))], x)
    expected = layer_norm(exact, gain, bias, 1e-5)
    spread = np.sqrt(exact.var(axis=-1, keepdims=True) + 1e-5)
    size = np.abs(gain) * np.abs(exact).max(axis=-1, keepdims=True) / spread + np.abs(bias)
    assert np.all(np.abs(out - expected) <= TOLERANCE * size)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_with_a_bad_value_are_what_numpy_says(isa: str, bad: float) -> None:
    """A NaN or an infinity spoils its own row of a softmax or a layer norm, and no other; -inf is a chance of 0."""
    x = RNG.standard_normal((1, 3, 20)).astype(np.float32)
    x[0, 1, 17] = bad
    gain, bias = RNG.standard_normal((2, 20)).astype(np.float32)
    with np.errstate(invalid="ignore"):
        expected = softmax(x), layer_norm(x, gain, bias, 1e-5)
    ops = ("softmax", (0, 1), (3, 20), (), ()), ("layer_norm", (0, 1), (3, 20), (1e-5,), (gain, bias))
    for op, y in zip(ops, expected, strict=True):
        np.testing.assert_allclose(run(isa, [op], x), y, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("isa", ISAS)
def test_quantized_activations_saturate_and_round_as_numpys(isa: str) -> None:
    """The bytes that quantize_i8 leaves for an integer product are to_integers'; a NaN makes the product NaN."""
    if "linear_i8" not in native.kernel_names:
        pytest.skip("no integer product to read them with")
    values = np.array([0.5, 1.5, -2.5, 500, -500, 3e38, -3e38, 0, -0.0, 126.5, -127.5], np.float32) * np.float32(0.37)
    x = np.tile(np.concatenate([values, SPECIAL]), (2, 1))
    x[0, np.isnan(x[0])] = 0
    scale, n = np.array([0.37], np.float32), x.shape[1]
    unit = np.ones(n, np.float32)
    ops = [
        ("quantize_i8", (0, 2), (n,), (), (scale,)),
        ("linear_i8", (2, 1), (1, n, n, 0, 1, 0, n), (), (np.eye(n, dtype=np.int8), unit, None, scale, None)),
    ]
    out = run(isa, ops, x, inner=(n,))
    with np.errstate(over="ignore"):
        expected = quantized.to_integers(x[0], scale, 8) * scale
    np.testing.assert_array_equal(out[0], expected)
    assert np.isnan(out[1]).all()


@pytest.mark.parametrize("isa", ISAS)
def test_in_and_out_may_be_one_slot(isa: str) -> None:
    """Every elementwise operation can overwrite its input."""
    x = RNG.standard_normal((2, 4, 37)).astype(np.float32)
    gain, bias = RNG.standard_normal((2, 37)).astype(np.float32)
    n = x[0].size
    steps = [
        ("add", (n, 0), (), ()),
        ("unary", (n, 4), (), ()),
        ("affine", (4, 37, 1), (), (gain, bias)),
        ("layer_norm", (4, 37), (1e-5,), (gain, bias)),
        ("softmax", (4, 37), (), ()),
    ]

    def chain(*slots: int) -> list[tuple]:
        return [
            (kind, (before, before, after) if kind == "add" else (before, after), *rest)
            for (kind, *rest), before, after in zip(steps, slots, slots[1:], strict=False)
        ]

    apart = run(isa, chain(0, 2, 3, 4, 5, 1), x, inner=[x[0].nbytes] * 4)
    np.testing.assert_array_equal(run(isa, chain(0, 1, 1, 1, 1, 1), x), apart)


@pytest.mark.parametrize("isa", ISAS)
def test_threads_change_nothing(isa: str) -> None:
    """Two threads and one give the same bytes: values and rows are divided, never a sum."""
    x = RNG.standard_normal((3, 300, 111)).astype(np.float32)
    gain, bias = RNG.standard_normal((2, 111)).astype(np.float32)
    n = x[0].size
    ops = [
        ("unary", (0, 1), (n, 4), (), ()),
        ("affine", (1, 1), (300, 111, 0), (), (gain, bias)),
        ("layer_norm", (1, 1), (300, 111), (1e-5,), (gain, bias)),
        ("softmax", (1, 1), (300, 111), (), ()),
        ("add", (0, 1, 1), (n, 0), (), ()),
    ]
    np.testing.assert_array_equal(run(isa, ops, x, threads=2), run(isa, ops, x, threads=1))
