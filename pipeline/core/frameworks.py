"""A comparison of frameworks as frozen values: which pieces of work, and how precisely they are timed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Case", "FrameworksSpec", "case_title", "frameworks_from_json"]


class Case(NamedTuple):
    """One piece of work: an op and its arguments, defaults filled."""

    op: str
    args: Mapping[str, Any]


class FrameworksSpec(NamedTuple):
    """Say what is done in both frameworks; the rest means what it means for a benchmark (`BenchmarkSpec`)."""

    cases: tuple[Case, ...]
    threads: int = 1
    processes: int = 6
    target_ci: float = 0.02
    budget_s: float = 20.0
    wait_s: float = 30.0
    threshold: float = 0.02


def frameworks_from_json(data: Mapping[str, Any] | None) -> FrameworksSpec | None:
    """Rebuild a spec from what `as_json` gave, or from the checked section of a file, defaults filled."""
    if data is None:
        return None
    cases = tuple(Case(*(case.values() if "op" in case else next(iter(case.items())))) for case in data["cases"])
    given = {name: data[name] for name in FrameworksSpec._fields if name in data}
    return FrameworksSpec(**{**given, "cases": cases})


def case_title(op: str, args: Mapping[str, Any]) -> str:
    """Return what a person reads: the op and its sizes, such as "linear 512x512, int8"."""
    batch = args.get("batch_size", 1)
    parts = [f"{op.replace('_', ' ')} {_SIZES[op](args)}"]
    parts += ["int8"] * (args.get("bits") == 8) + [f"batch {batch}"] * (batch != 1)
    return ", ".join(parts)


def _blocks(args: Mapping[str, Any]) -> str:
    pixels = args["image_size"]
    return f"{'-'.join(str(args['width'] << place) for place in range(args['depth']))}, {pixels}x{pixels}"


def _widths(args: Mapping[str, Any]) -> str:
    return "-".join(map(str, args["widths"]))


def _filters(args: Mapping[str, Any]) -> str:
    kernel, pixels = args["kernel_size"], args["image_size"]
    return f"{args['channels']}-{args['filters']}, {kernel}x{kernel}, {pixels}x{pixels}"


def _gpt(args: Mapping[str, Any]) -> str:
    return f"{args['layers']}x{args['width']}, {args['vocabulary']} tokens"


_SIZES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "cnn": _blocks,
    "conv2d": _filters,
    "decode": _gpt,
    "linear": lambda args: f"{args['inputs']}x{args['outputs']}",
    "mlp": _widths,
    "train_cnn": _blocks,
    "train_mlp": _widths,
}
