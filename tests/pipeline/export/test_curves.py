"""The trainings behind a network, found in a store by digests alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.keys import Preimage, action_key
from pipeline.export.curves import Curves, numbered
from pipeline.export.target import Source
from pipeline.store.local import LocalStore
from pipeline.store.record import Record


def made(store: LocalStore, label: str, model: bytes, history: bytes, before: str | None) -> tuple[dict[str, str], str]:
    """Commit a step that made `model` from the one before; return its node and the model's digest."""
    inputs = {} if before is None else {"model": before}
    preimage = Preimage("train", 1, {"label": label}, "0" * 64, inputs, {})
    outputs = {"model": store.put(model, "model"), "history": store.put(history, "json")}
    record = Record(action_key(preimage), label, preimage, outputs, 0.0, 0.0)
    store.commit(record)
    node = {"outcome": "ran", "label": label, "reason": "new", "key": record.key}
    return node, outputs["model"].digest


def history(*losses: Any) -> bytes:
    return json.dumps([{"epoch": 1, "train_loss": loss} for loss in losses]).encode()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """An empty store."""
    return LocalStore(tmp_path / "store")


def test_all_trainings_are_in_order(store: LocalStore) -> None:
    """Through steps that train nothing; epochs are numbered through."""
    train, first = made(store, "train", b"a", history(3, 2), None)
    prune, second = made(store, "prune", b"b", b"[]", first)
    tune, third = made(store, "finetune", b"c", history(1.5), second)
    _, other = made(store, "other", b"d", history(9), first)
    curves = Curves(Source({}, store, None, [tune, train, prune]))
    behind = curves.behind(third)
    assert [(curve.place, curve.label) for curve in behind] == [(0, "train"), (2, "finetune")]
    assert [(number, label, epoch["train_loss"]) for number, label, epoch in numbered(behind)] == [
        (1, "train", 3.0),
        (2, "train", 2.0),
        (3, "finetune", 1.5),
    ]
    assert curves.behind(other) == ()
    assert curves.reason == ""


def test_without_the_store_there_is_a_reason(store: LocalStore) -> None:
    """Records that are gone, or keys that are none, make no curve."""
    nodes: list[dict[str, Any]] = [{"key": key} for key in ("0" * 64, "../../etc/passwd", None, 3)]
    curves = Curves(Source({}, store, None, [{}, *nodes]))
    assert curves.behind("0" * 64) == ()
    assert "no longer has" in curves.reason


@pytest.mark.parametrize("data", [b"", b"{}", b"[1, null]", b'[{"a": NaN, "b": 1e999, "c": true, "d": "x"}]', b"\xff"])
def test_a_history_that_is_none_is_left_out(store: LocalStore, data: bytes) -> None:
    """Only numbers that are finite become points of a curve."""
    node, digest = made(store, "train", b"a", data, None)
    for curve in Curves(Source({}, store, None, [node])).behind(digest):
        assert all(dict(epoch) == {} for epoch in curve.epochs)


def test_a_number_beyond_floats_is_left_out(store: LocalStore) -> None:
    """As is one that no tool could show."""
    node, digest = made(store, "train", b"a", b'[{"a": 1' + b"0" * 400 + b', "b": 2}]', None)
    (curve,) = Curves(Source({}, store, None, [node])).behind(digest)
    assert [dict(epoch) for epoch in curve.epochs] == [{"b": 2.0}]


def test_a_circle_ends(store: LocalStore) -> None:
    """Records of a damaged store that lead back to themselves are followed a bounded number of times."""
    _, first = made(store, "a", b"a", history(1), None)
    node, second = made(store, "b", b"b", history(1), first)
    back, _ = made(store, "c", b"a", history(1), second)
    assert len(Curves(Source({}, store, None, [node, back])).behind(first)) <= 64
