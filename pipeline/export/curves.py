"""How the networks of a run were trained, epoch by epoch: read from the store, by the digests of their weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.export.target import Source
from pipeline.store.codecs import codec_named
from pipeline.store.objects import CorruptObject
from pipeline.store.record import Record

__all__ = ["Curve", "Curves", "numbered"]

_MOST_STEPS = 64  # of one network's making
_MOST_EPOCHS = 10_000
_LARGEST = 1e300
_KEY = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Curve:
    """One training: its step's place among those that made the network, its label, and a mapping for each epoch."""

    place: int
    label: str
    epochs: Sequence[Mapping[str, float]]


class Curves:
    """The trainings behind any network of a run; `reason` says why there are none, "" where they can be read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._made_by: dict[str, Record] = {}
        for node in source.nodes:
            key = node.get("key")
            record = source.store.get(key) if isinstance(key, str) and _KEY.fullmatch(key) else None
            if record is not None and "history" in record.outputs and "model" in record.outputs:
                self._made_by.setdefault(record.outputs["model"].digest, record)
        self.reason = "" if self._made_by else "the store no longer has what the run was made from"

    def behind(self, weights: str) -> tuple[Curve, ...]:
        """Return the trainings that led to the network with these weights, in order; steps without one are left out."""
        chain: list[Record] = []
        digest: str | None = weights
        while digest in self._made_by and len(chain) < _MOST_STEPS:
            chain.append(self._made_by[digest])
            digest = chain[-1].preimage.inputs.get("model")
        found = ((place, record.label, self._epochs(record)) for place, record in enumerate(reversed(chain)))
        return tuple(Curve(place, label, epochs) for place, label, epochs in found if epochs)

    def _epochs(self, record: Record) -> Sequence[Mapping[str, float]]:
        try:
            history = codec_named("json").decode(self._source.store.read(record.outputs["history"].digest))
        except (CorruptObject, ValueError):
            return ()
        return tuple(_numbers(history)) if isinstance(history, list) else ()


def numbered(curves: Iterable[Curve]) -> Iterator[tuple[int, str, Mapping[str, float]]]:
    """Yield every epoch with its label and its number, from 1, through all trainings."""
    epochs = ((curve.label, epoch) for curve in curves for epoch in curve.epochs)
    return ((number, label, epoch) for number, (label, epoch) in enumerate(epochs, start=1))


def _numbers(history: Sequence[Any]) -> Iterator[Mapping[str, float]]:
    """Yield what is a number of each epoch; its own number is its place."""
    for epoch in history[:_MOST_EPOCHS]:
        if isinstance(epoch, Mapping):
            known = {name: value for name, value in epoch.items() if type(value) in (int, float) and name != "epoch"}
            yield {name: float(value) for name, value in known.items() if -_LARGEST < value < _LARGEST}  # and no NaN
