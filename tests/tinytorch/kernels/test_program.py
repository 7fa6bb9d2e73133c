"""A program of native operations: what it computes, what it refuses, and which instruction set it runs with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tinytorch.errors import KernelsError
from tinytorch.kernels import native

IS_BUILT = bool(native.isas())
needs_native = pytest.mark.skipif(not IS_BUILT, reason="the native kernels are not built")

W1 = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
W2 = np.random.default_rng(2).standard_normal((2, 5)).astype(np.float32)
BIAS = np.arange(5, dtype=np.float32) - 2
SLOTS = (12, 8, 20)


def layers(slots: tuple[int, int] = (0, 2)) -> list[native.OpDescription]:
    return [
        ("linear_f32", slots, (1, 3, 5, 1), (), (W1, BIAS)),
        ("linear_f32", (2, 1), (1, 5, 2, 0), (), (W2, None)),
    ]


def program(batch: int = 4, threads: int = 1, isa: str = "portable") -> native.Program:
    return native.Program(layers(), SLOTS, batch, threads, isa)


def inputs(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 3)).astype(np.float32)


def expected(x: np.ndarray) -> np.ndarray:
    return np.maximum(x @ W1.T + BIAS, 0) @ W2.T


@needs_native
@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("count", [0, 1, 4, 11])
def test_a_program_computes_any_number_of_samples(count: int, isa: str) -> None:
    """More samples than the batch go through in several parts, none at all does nothing."""
    x = inputs(count)
    out = np.full((count, 2), np.nan, np.float32)
    program(isa=isa).run(x, out)
    np.testing.assert_allclose(out, expected(x), rtol=1e-5, atol=1e-6)


@needs_native
def test_the_number_of_threads_does_not_change_a_bit() -> None:
    """Two threads give the bytes that one gives."""
    x, one, two = inputs(9), np.empty((9, 2), np.float32), np.empty((9, 2), np.float32)
    program(batch=9).run(x, one)
    program(batch=9, threads=2).run(x, two)
    assert one.tobytes() == two.tobytes()


@needs_native
def test_a_program_serves_several_python_threads() -> None:
    """Its buffers belong to one run at a time."""
    shared, x = program(), inputs(50)
    outs = [np.empty((50, 2), np.float32) for _ in range(4)]
    workers = [threading.Thread(target=lambda out=out: [shared.run(x, out) for _ in range(50)]) for out in outs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for out in outs:
        np.testing.assert_allclose(out, expected(x), rtol=1e-5, atol=1e-6)


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_runs_without_the_threads_of_its_parent() -> None:
    """OpenMP would wait for ever for the threads that the child does not have."""
    script = """
import os
import numpy as np
from tinytorch.kernels import native
w, x, out = np.ones((64, 64), "f"), np.ones((8, 64), "f"), np.empty((8, 64), "f")
program = native.Program([("linear_f32", (0, 1), (1, 64, 64, 0), (), (w, None))], (256, 256), 8, 2, "portable")
program.run(x, out)
child = os.fork()
if child == 0:
    out[...] = 0
    program.run(x, out)
    os._exit(int((out != 64).any()))
raise SystemExit(os.waitpid(child, 0)[1])
"""
    root = Path(native.__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True, timeout=300)


@needs_native
def test_time_ops_gives_a_time_for_each_operation() -> None:
    """Timing computes the outputs, too."""
    x, out = inputs(4), np.empty((4, 2), np.float32)
    times = program().time_ops(x, out, 5)
    assert len(times) == 2
    assert all(time >= 0 for time in times)
    np.testing.assert_allclose(out, expected(x), rtol=1e-5, atol=1e-6)


@needs_native
def test_nbytes_counts_weights_and_buffers() -> None:
    """Of a portable program, which packs nothing, it is the arrays and a batch of every slot."""
    assert program(batch=4).nbytes >= 4 * sum(SLOTS) + W1.nbytes + W2.nbytes + BIAS.nbytes


@needs_native
@pytest.mark.parametrize(
    ("ops", "slots", "problem"),
    [
        ([("linear_f16", (0, 1), (1, 3, 2, 0), (), (W2, None))], (12, 8), "no operation called 'linear_f16'"),
        ([("linear_f32", (0, 1), (1, 3, 2, 0), (), (W2, None))], (12, 8), r"operation 0 \(linear_f32\)"),
        ([("linear_f32", (0, 7), (1, 5, 2, 0), (), (W2, None))], (20, 8), "a slot that the program does not have"),
        ([("linear_f32", (1, 0), (1, 5, 2, 0), (), (W2, None))], (8, 20), "slot 0, cannot be written"),
        ([("linear_f32", (0,), (1, 5, 2, 0), (), (W2, None))], (20, 8), "linear_f32"),
        ([("linear_f32", (0, 1), (-1, 5, 2, 0), (), (W2, None))], (20, 8), "linear_f32"),
        ([("linear_f32", (0, 1), (2**31, 2**31, 2**31, 0), (), (W2, None))], (20, 8), "linear_f32"),
        ([("linear_f32", (0, 1), (1, 5, 2, 0), (), (None, None))], (20, 8), "linear_f32"),
        ([("linear_f32", range(7), (1, 5, 2, 0), (), (W2, None))], (20, 8), "7 slots"),
        ([("linear_f32", (0, 1), range(17), (), (W2, None))], (20, 8), "17 dimensions"),
        ([], (20,), "input"),
        ([], (0, 8), "slot 0"),
        ([], (8, 2**61), "slot 1"),
        ([], (8, -8), "slot 1"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(ops: list, slots: tuple[int, ...], problem: str) -> None:
    """Sizes are checked when a program is made, and the message names the operation."""
    with pytest.raises(ValueError, match=problem):
        native.Program(ops, slots, 4, 1, "portable")


@needs_native
def test_a_batch_that_overflows_is_refused() -> None:
    """Bytes of a whole batch are computed without overflow."""
    with pytest.raises(ValueError, match="slot 0"):
        native.Program([], (8, 8), 2**61, 1, "portable")
    with pytest.raises(ValueError, match="1 or more samples"):
        native.Program([], (8, 8), 0, 1, "portable")


@needs_native
@pytest.mark.parametrize(
    ("x", "out", "error"),
    [
        (np.zeros((2, 3)), np.zeros((2, 2), np.float32), TypeError),
        (np.zeros((2, 3), np.int32), np.zeros((2, 2), np.float32), TypeError),
        (np.zeros((2, 3), np.float32), np.zeros((1, 2), np.float32), ValueError),
        (np.zeros(7, np.float32), np.zeros((2, 2), np.float32), ValueError),
        (np.zeros((2, 6), np.float32)[:, ::2], np.zeros((2, 2), np.float32), ValueError),
        (np.zeros((2, 3), np.float32), np.broadcast_to(np.float32(0), (2, 2)), ValueError),
        (np.frombuffer(bytearray(25), np.float32, 6, 1), np.zeros((2, 2), np.float32), TypeError),
        (None, np.zeros((2, 2), np.float32), TypeError),
    ],
)
def test_run_refuses_what_is_not_contiguous_float32_of_as_many_samples(
    x: np.ndarray, out: np.ndarray, error: type[Exception]
) -> None:
    """Nothing outside of the two arrays is ever read or written."""
    with pytest.raises(error):
        program().run(x, out)


@needs_native
def test_run_refuses_to_write_over_its_input() -> None:
    """Operations would read what later ones have written."""
    memory = np.zeros((4, 5), np.float32).reshape(-1)
    with pytest.raises(ValueError, match="in two arrays"):
        program().run(memory[:12], memory[11:19])
    program().run(memory[:12], memory[12:])


@needs_native
def test_run_leaves_no_buffer_behind() -> None:
    """After a run, and after a refusal, the arrays can be resized again."""
    x, out = inputs(4), np.empty((4, 2), np.float32)
    made = program()
    made.run(x, out)
    with pytest.raises(ValueError, match="a sample has"):
        made.run(x, out[:1])
    out.resize((8, 2))


def test_the_reference_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TINYTORCH_KERNELS=reference no program is made, and the reason is given."""
    monkeypatch.setenv(native.VARIABLE, "reference")
    assert native.isa() is None
    assert native.why_not()
    with pytest.raises(KernelsError, match=r"reference|not built"):
        native.Program([], (8, 8), 1, 1)


@pytest.mark.parametrize("wanted", ["sse9", "avx2" if "avx2" not in native.isas() else "neon"])
def test_an_instruction_set_that_is_not_here_is_an_error(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names those that can be chosen."""
    monkeypatch.setenv(native.VARIABLE, wanted)
    with pytest.raises(KernelsError, match="auto, reference"):
        native.isa()


@needs_native
def test_automatic_is_the_most_this_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable the last of the offered instruction sets is taken, with it the named one."""
    monkeypatch.delenv(native.VARIABLE, raising=False)
    assert native.isa() == native.isas()[-1]
    assert native.why_not() == ""
    monkeypatch.setenv(native.VARIABLE, "portable")
    assert program().isa == native.isa() == "portable"
