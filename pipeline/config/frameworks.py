"""What a schema cannot say about a comparison of frameworks: it stands alone, and its sizes go together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

from pipeline.config.finding import Finding, nearest_word
from pipeline.config.paths import Path
from pipeline.config.schema import UNLESS, case_names, fill, keys_at, node_at, root
from pipeline.config.wording import missing_key
from pipeline.core.experiment import JSON

__all__ = ["alone_findings", "case_findings"]

# Keys that say something of an experiment with data and a model, and would say nothing here.
_OTHERS = ("data", "model", "optimize", "sweep", "benchmark", "ablate", "goals", "competition")
_MOST_CHANNELS = 2048  # as in models of `arch: cnn`
_MOST_WEIGHTS = 500_000_000  # 2 GB in float32; three copies of them are timed


def alone_findings(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Yield what stands beside `frameworks` and means nothing there; without it, what an experiment has to have."""
    if "frameworks" not in data:
        known = keys_at(())
        misspelt = {nearest_word(str(key), known) for key in data if key not in known}
        yield from (missing_key((key,)) for key in root()[UNLESS]["frameworks"] if key not in {*data, *misspelt})
        return
    if data["frameworks"] is None:
        hint = "give it cases, or leave the key out: cases: [{linear: {inputs: 512, outputs: 512}}]"
        yield Finding("E113", ("frameworks",), "frameworks is empty", hint)
    for key in _OTHERS:
        if key in data:
            message = f"beside frameworks there is no {key}: its cases say what is computed"
            yield Finding(
                "E119", (key,), message, "an experiment with a model goes into a file of its own", at_key=True
            )
    seeds = data.get("seeds")
    if isinstance(seeds, list) and len(seeds) > 1:
        yield Finding("E119", ("seeds",), "frameworks takes one seed: repetition is by processes", "seeds: [0]")


def case_findings(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Yield cases without an op or with several, and sizes that do not go together or are too large."""
    section = data.get("frameworks")
    cases = section.get("cases") if isinstance(section, dict) else None
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        path: Path = ("frameworks", "cases", index)
        if not isinstance(case, dict):
            continue
        ops = [op for op in case_names() if op in case]
        if len(ops) != 1 and not set(case) - set(case_names()):
            message = f"a case has one op, not {len(ops)}"
            yield Finding("E117", path, message, f"ops: {', '.join(case_names())}")
        for op in ops[:1]:
            args = fill(case[op], (*path, op))
            if isinstance(args, dict):
                yield from _sizes(op, args, (*path, op))


def _sizes(op: str, args: Mapping[str, JSON], path: Path) -> Iterator[Finding]:
    if not all(_are_sizes(value, (*path, key)) for key, value in args.items()):
        return  # the schema's errors say so
    if op == "decode" and args["width"] % args["heads"]:
        heads = max(n for n in range(1, args["heads"] + 1) if not args["width"] % n)
        message = f"width must be a multiple of heads, and {args['width']} is none of {args['heads']}"
        yield Finding("E114", (*path, "heads"), message, f"the nearest below is heads: {heads}")
    if "depth" in args and args["image_size"] >> args["depth"] < 1:
        most = args["image_size"].bit_length() - 1
        message = (
            f"each block halves the image: {args['image_size']} pixels allow a depth of {most}, not {args['depth']}"
        )
        yield Finding("E114", (*path, "depth"), message)
    if "depth" in args and (channels := args["width"] << (args["depth"] - 1)) > _MOST_CHANNELS:
        message = f"the last of {args['depth']} blocks would have {channels:,} channels; at most {_MOST_CHANNELS:,}"
        hint = f"width: {max(1, _MOST_CHANNELS >> (args['depth'] - 1))} with this depth, at most"
        yield Finding("E114", (*path, "width"), message, hint)
    weights = _WEIGHTS[op](args) if op in _WEIGHTS else 0
    if weights > _MOST_WEIGHTS:
        message = f"this has {weights:,} weights; at most {_MOST_WEIGHTS:,} are compared"
        yield Finding("E114", path, message, "make it smaller: several copies of both sides are in memory at once")


def _are_sizes(value: JSON, path: Path) -> bool:
    """Say whether a value is a number, or a list of some, that the schema allows: nothing large is computed with."""
    node = node_at(path) or {}
    values, most = (value, node.get("items", {})) if isinstance(value, list) else ([value], node)
    limit = most.get("maximum", max(most.get("enum", [0])))
    return bool(values) and all(type(one) is int and 0 < one <= limit for one in values)


def _chain(args: Mapping[str, JSON]) -> int:
    widths = args["widths"]
    return sum(before * after for before, after in itertools.pairwise(widths))


_WEIGHTS: Mapping[str, Callable[[Mapping[str, JSON]], int]] = {
    "conv2d": lambda args: int(args["channels"] * args["filters"] * args["kernel_size"] ** 2),
    "decode": lambda args: int(12 * args["layers"] * args["width"] ** 2 + 2 * args["vocabulary"] * args["width"]),
    "linear": lambda args: int(args["inputs"] * args["outputs"]),
    "mlp": _chain,
    "train_mlp": _chain,
}
