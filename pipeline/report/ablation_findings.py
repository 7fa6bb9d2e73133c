"""What follows from an ablation, as sentences whose figures know where they stand in it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.stats.correction import holm
from pipeline.submission.quantities import quantity, with_interval

__all__ = ["Finding", "Quoted", "findings"]

Document = Mapping[str, Any]
Place = tuple[str | int, ...]

_LEVEL = 0.05  # of all that is said of accuracies together, as `pipeline.submission.compare.SIGNIFICANCE`
_INTERPLAY = 0.05  # from this relative difference on, sizes that multiply otherwise are worth a sentence


@dataclass(frozen=True)
class Quoted:
    """A figure of the document: its value, its place there, those of its interval; `how` it follows from the place."""

    value: float
    unit: str
    place: Place
    interval: Sequence[float] | None = None
    interval_place: Place | None = None
    how: str = ""

    @property
    def text(self) -> str:
        """The figure as people read it."""
        return with_interval(self.value, self.interval, self.unit) if self.interval else quantity(self.value, self.unit)


@dataclass(frozen=True)
class Finding:
    """A sentence without its full stop: words and figures in turn."""

    parts: tuple[str | Quoted, ...]

    @property
    def text(self) -> str:
        """The sentence as people read it."""
        return self.said(lambda part: part if isinstance(part, str) else part.text)

    def said(self, write: Callable[[str | Quoted], str]) -> str:
        """Return the sentence with each part written by a function."""
        return "".join(map(write, self.parts))


def findings(ablation: Document) -> Iterator[Finding]:
    """Say which step brings most, which nothing, and whether steps help or hinder each other.

    What is said of accuracies holds after Holm's correction for all steps that can be left out.
    """
    steps = ablation["steps"]
    if len(steps) < 2:
        return
    left_out = {i: step["left_out"] for i, step in enumerate(steps) if step["left_out"]}
    if smaller := [i for i, found in left_out.items() if found["size"]["ratio"] > 1]:
        most = max(smaller, key=lambda i: left_out[i]["size"]["ratio"])
        ratio = _quoted(ablation, "ratio", ("steps", most, "left_out", "size", "ratio"))
        yield Finding((f"most of the size: {steps[most]['id']}; without it the model is ", ratio, " as large"))
    if faster := [i for i, found in left_out.items() if found["speed"] and found["speed"]["verdict"] == "faster"]:
        most = max(faster, key=lambda i: left_out[i]["speed"]["speedup"]["estimate"])
        place = ("steps", most, "left_out", "speed", "speedup")
        factor = _quoted(ablation, "ratio", (*place, "estimate"), (*place, "interval"))
        yield Finding((f"most of the speed: {steps[most]['id']}; without it a call takes ", factor, " as long"))
    corrected = holm([found["accuracy"]["test"]["p_value"] for found in left_out.values()])
    for (i, found), p_value in zip(left_out.items(), corrected, strict=True):
        place = ("steps", i, "left_out", "accuracy", "test")
        change = _quoted(ablation, "points", (*place, "delta"), (*place, "interval"))
        verdict = found["accuracy"]["test"]["verdict"] if p_value < _LEVEL else ""
        if verdict == "significantly better":
            yield Finding((f"accuracy needs {steps[i]['id']}: ", change, ", compared with leaving it out"))
        if verdict == "significantly worse":
            yield Finding((f"accuracy suffers from {steps[i]['id']}: ", change, ", compared with leaving it out"))
        if _does_nothing(found):
            same = "size, speed and accuracy are the same without it, within their intervals"
            yield Finding((f"nothing shows what {steps[i]['id']} is for: {same}",))
    yield from _interplay(ablation)


def _quoted(ablation: Document, unit: str, place: Place, interval_place: Place | None = None) -> Quoted:
    return Quoted(
        _at(ablation, place), unit, place, _at(ablation, interval_place) if interval_place else None, interval_place
    )


def _at(document: Any, place: Place) -> Any:
    for part in place:
        document = document[part]
    return document


def _does_nothing(found: Document) -> bool:
    if found["speed"] is None:
        return False
    low, high = found["speed"]["speedup"]["interval"]
    is_as_fast = found["speed"]["verdict"] in ("equivalent", "inconclusive") and low <= 1 <= high
    is_as_right = found["accuracy"]["test"]["verdict"] == "no significant change"
    return found["size"]["verdict"] == "same" and is_as_right and is_as_fast


def _interplay(ablation: Document) -> Iterator[Finding]:
    alone = [step["alone"] for step in ablation["steps"]]
    if any(found is None for found in alone):
        return
    whole = _quoted(ablation, "ratio", ("whole", "size", "ratio"))
    product = math.prod(found["size"]["ratio"] for found in alone)
    if abs(whole.value / product - 1) > _INTERPLAY:
        expected = Quoted(product, "ratio", ("steps",), how="product of alone/size/ratio in ")
        word = "more" if whole.value > product else "less"
        yield Finding(
            (
                "together the steps reach ",
                whole,
                f" in size, {word} than ",
                expected,
                ", the product of what each reaches alone",
            )
        )
