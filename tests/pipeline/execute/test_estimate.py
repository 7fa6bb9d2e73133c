"""What nodes are expected to take, from what is stored of others like them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.keys import Preimage, action_key
from pipeline.core.plan import Node
from pipeline.execute.estimate import Estimator
from pipeline.stages import STAGES
from pipeline.store.local import LocalStore
from pipeline.store.record import Record


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def node(stage: str, **spec: Any) -> Node:
    return Node(f"{stage} {spec}", stage, "", spec, {}, ())


def took(store: LocalStore, seconds: float, stage: str, at: float = 1.0, **params: Any) -> None:
    """Store a record of a computation that took so long and ended at that time."""
    preimage = Preimage(stage, 1, params, "", {"at": str(at)}, {})
    store.commit(Record(action_key(preimage), stage, preimage, {}, at, seconds))


def test_without_records_there_is_no_estimate(store: LocalStore) -> None:
    """A sum says how many nodes it lacks, and makes nothing up."""
    took(store, 3, "train")
    left = Estimator(store, STAGES).expect([node("train"), node("evaluate"), node("data")])
    assert (left.seconds, left.unknown) == (3, 2)


def test_the_nearest_parameters_count(store: LocalStore) -> None:
    """Also those one level deeper."""
    took(store, 10, "train", fit={"epochs": 10, "lr": 1}, arch="mlp")
    took(store, 50, "train", fit={"epochs": 50, "lr": 1}, arch="mlp")
    took(store, 99, "train", fit={"epochs": 50, "lr": 1}, arch="cnn")
    estimator = Estimator(store, STAGES)
    assert estimator.seconds(node("train", fit={"epochs": 50, "lr": 2}, arch="mlp")) == 50
    assert estimator.seconds(node("train", fit={"epochs": 10, "lr": 2}, arch="mlp")) == 10


def test_training_takes_as_long_as_it_has_epochs(store: LocalStore) -> None:
    """So that a tenfold one is no surprise."""
    took(store, 10, "train", fit={"epochs": 10, "lr": 1})
    took(store, 4, "optimize", **{"pass": "finetune", "params": {"epochs": 2}})
    estimator = Estimator(store, STAGES)
    assert estimator.seconds(node("train", fit={"epochs": 100, "lr": 1})) == 100
    assert estimator.seconds(node("optimize", **{"pass": "finetune", "params": {"epochs": 5}})) == 10


def test_of_equally_near_ones_the_newest_five_count(store: LocalStore) -> None:
    """Their median: one disturbed run says little, and an old one may be of another machine."""
    for at, seconds in enumerate([90, 90, 90, 5, 6, 7, 8, 70]):
        took(store, seconds, "train", at=at)
    assert Estimator(store, STAGES).seconds(node("train")) == 7


def test_passes_do_not_tell_of_each_other(store: LocalStore) -> None:
    """Pruning takes a moment, fine-tuning does not."""
    took(store, 1, "optimize", **{"pass": "structured_prune"})
    assert Estimator(store, STAGES).seconds(node("optimize", **{"pass": "finetune"})) is None


def test_workers_share_what_may_run_beside_something(store: LocalStore) -> None:
    """A measurement runs alone however many there are; what is done of a node is taken off."""
    took(store, 4, "train")
    took(store, 6, "benchmark")
    nodes = [node("train", seed=0), node("train", seed=1), node("benchmark")]
    estimator = Estimator(store, STAGES)
    assert estimator.expect(nodes).seconds == 14
    assert estimator.expect(nodes, slots=2).seconds == 10
    assert estimator.expect(nodes, elapsed=lambda node: 5.0).seconds == 1
