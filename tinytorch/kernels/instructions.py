"""Which instruction set the native kernels use, here and now; None where the NumPy reference runs. Imports no numpy."""

from __future__ import annotations

import os
from pathlib import Path

from tinytorch.errors import KernelsError

try:
    from tinytorch.kernels import _native as extension
    from tinytorch.kernels._native import train as _newest  # noqa: F401 - an older build lacks it
except ImportError as error:
    _import_error = str(error)
    extension = None  # type: ignore[assignment]

__all__ = ["CHOICES", "VARIABLE", "extension", "isa", "isas", "why_not"]

VARIABLE = "TINYTORCH_KERNELS"
CHOICES = ("auto", "reference", "portable", "neon", "avx2", "avx512vnni")


def isas() -> tuple[str, ...]:
    """Return the instruction sets that kernels can use here, from the least to the most; none if they are not built."""
    return () if extension is None else tuple(name for name in extension.isa_names if name)


def isa() -> str | None:
    """Return the instruction set that programs use, or None where the NumPy reference runs instead.

    TINYTORCH_KERNELS chooses one of CHOICES; `auto` is the most that this processor has. Raises KernelsError for an
    unknown one and for one that is not offered here.
    """
    wanted = os.environ.get(VARIABLE) or "auto"
    if wanted not in CHOICES:
        raise KernelsError(f"{VARIABLE}={wanted}: found {wanted!r}, expected one of {', '.join(CHOICES)}")
    if wanted == "reference" or (wanted == "auto" and extension is None):
        return None
    if wanted == "auto":
        return extension.isa_names[extension.best_isa]
    if wanted not in isas():
        offered = ", ".join(("auto", "reference", *isas()))
        reason = _not_built() if extension is None else "this processor does not have it"
        raise KernelsError(f"{VARIABLE}={wanted}: {reason}; here it can be {offered}")
    return wanted


def why_not() -> str:
    """Say why the NumPy reference runs; empty where the native kernels do."""
    if os.environ.get(VARIABLE) == "reference":
        return f"{VARIABLE}=reference"
    return _not_built() if extension is None else ""


def _not_built() -> str:
    reason = Path(__file__).with_name("native") / "not_built.txt"  # as build_native wrote it
    found = reason.read_text().partition("\n")[0] if reason.is_file() else _import_error
    return f"the native kernels are not built: {found}"
