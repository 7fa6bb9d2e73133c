"""The rows of the baseline/optimized/change table that only language models have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.report.row import Figure, Value, row, value
from pipeline.submission.quantities import MISSING

__all__ = ["perplexity_rows"]

Document = Mapping[str, Any]

_TONES = {"significantly better": "good", "significantly worse": "bad"}


def perplexity_rows(language: Document) -> Iterator[Figure]:
    """Return perplexity and bits per byte of both models on the test text, and in detail on the other."""
    for split in ("test", "validation"):
        sides = [language[side][split] for side in ("baseline", "optimized")]
        change, is_detail = language["change"][split], split != "test"
        found = [value(side["perplexity"], "perplexity", side["interval"]) for side in sides]
        tone = "" if is_detail else _TONES.get(change["verdict"], "")
        ratio = value(change["ratio"], "ratio", change["interval"])
        yield row(f"perplexity ({split})", found, ratio, tone=tone, is_detail=is_detail)
        bits = [Value(MISSING if side["bits_per_byte"] is None else f"{side['bits_per_byte']:.4g}") for side in sides]
        yield row(f"bits per byte ({split})", bits, Value(""), is_detail=is_detail)
