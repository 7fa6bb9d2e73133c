"""The cases of the bench `framework`: for each one, its sides as calls without arguments."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.bench import training_cases
from tinytorch.core.tokenization import BPETokenizer

Call = Callable[[], Any]

MEGABYTE = 1_000_000


def source_text() -> str:
    """Return 1 MB of Python's own library, which has far more distinct words than prose of that size."""
    parts, size = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        parts.append(path.read_text(encoding="utf-8", errors="replace"))
        size += len(parts[-1])
        if size >= MEGABYTE:
            break
    return "".join(parts)[:MEGABYTE]


def bpe() -> Mapping[str, Call]:
    """Learn 1,000 merges from 1 MB."""
    text = source_text()
    return {"ours": lambda: BPETokenizer(257 + 1000, byte_level=True).train(text)}


CASES: Mapping[str, Callable[[], Mapping[str, Call]]] = {
    "BPE": bpe,
    "CIFAR CNN": training_cases.cnn,
    "conv": lambda: training_cases.conv(is_backward=False),
    "conv and gradients": lambda: training_cases.conv(is_backward=True),
    "MLP": training_cases.adam_step,
}
