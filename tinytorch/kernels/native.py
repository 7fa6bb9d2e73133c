"""Programs of native kernels: what a network's forward pass is compiled to, run in one call without Python.

The extension `_native` is optional. Where it was not built, or TINYTORCH_KERNELS=reference asks for it, `isa()` is None
and the NumPy code runs instead. Nothing here imports numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tinytorch.errors import KernelsError
from tinytorch.kernels.instructions import CHOICES, VARIABLE, extension, isa, isas, why_not

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    OpDescription: TypeAlias = tuple[str, Sequence[int], Sequence[int], Sequence[float], Sequence[Array | None]]

__all__ = [
    "CHOICES",
    "Program",
    "VARIABLE",
    "build_facts",
    "has_newer_source",
    "isa",
    "isas",
    "kernel_names",
    "openmp",
    "training_facts",
    "why_not",
]

kernel_names: tuple[str, ...] = () if extension is None else extension.kernel_names
"""The operations that a program may have; none where the extension is not built."""


def openmp() -> int:
    """Return the version of OpenMP that the extension was built with (as 201511), or 0: programs have one thread."""
    return 0 if extension is None else extension.openmp


def build_facts() -> tuple[str, str]:
    """Return the digest of the C source that the extension was built from, compiler and flags, or two empty ones."""
    return ("", "") if extension is None else (extension.digest, extension.compiler)


def training_facts() -> tuple[str, str]:
    """Return the same of the C source that training runs: a part of it, which seldom changes."""
    return ("", "") if extension is None else (extension.training_digest, extension.compiler)


def has_newer_source() -> bool:
    """Say whether a C file was written after the extension: then it is worth comparing digests (`build_native`)."""
    if extension is None or extension.__file__ is None:
        return False
    built = Path(extension.__file__).stat().st_mtime
    return any(file.stat().st_mtime > built for file in Path(__file__).with_name("native").glob("*.[ch]"))


class Program:
    """The operations of one network with their weights, packed for an instruction set, and the buffers between them.

    An operation is (kind, slots, dimensions, scalars, arrays) with one of `kernel_names`; the arrays, which may hold
    None, are borrowed and must not change. `slots` are bytes per sample: slot 0 is the input of `run`, 1 its output,
    the rest are buffers. At most `batch` samples go through at once. `isa` is the instruction set, by default `isa()`.

    Raises ValueError for an operation whose dimensions, arrays and slots do not fit together, and KernelsError where
    the reference runs instead.
    """

    __slots__ = ("_program", "isa", "run", "time_ops")

    run: Callable[[Array, Array], None]
    """run(x, out): compute `out` from any number of samples x, both contiguous float32. Other threads go on meanwhile.

    Raises TypeError for another type of number, ValueError for sizes that are not those of as many samples.
    """
    time_ops: Callable[[Array, Array, int], list[float]]
    """time_ops(x, out, repeats): run so often; return each operation's median time in ns."""

    def __init__(
        self, ops: Sequence[OpDescription], slots: Sequence[int], batch: int, threads: int, isa: str | None = None
    ) -> None:
        chosen = isa or _chosen()
        if extension is None or chosen is None:
            raise KernelsError(why_not())
        if chosen not in isas():
            raise KernelsError(f"found instruction set {chosen!r}, expected one of {', '.join(isas())}")
        self._program = extension.Program(ops, slots, batch, threads, extension.isa_names.index(chosen))
        self.isa = chosen
        # The built-in methods themselves: a call in between would take as long as a small layer.
        self.run = self._program.run
        self.time_ops = self._program.time_ops

    @property
    def nbytes(self) -> int:
        """Bytes that a run of a whole batch reads and writes: weights as they are packed, buffers, input, output."""
        return self._program.nbytes

    @property
    def threads(self) -> int:
        """How many threads it uses: as many as were asked for, but one in a build without OpenMP."""
        return self._program.threads


def _chosen() -> str | None:
    return isa()  # Program.__init__ has a parameter of this name
