"""Checkpoint files and the states of random generators."""

import contextlib
import json

import numpy as np
import pytest

from tinytorch.core import checkpoint
from tinytorch.core.checkpoint import random_states, read_checkpoint, restore_random_states, write_checkpoint
from tinytorch.core.layers import Dropout, Linear, Sequential
from tinytorch.core.losses import MSELoss
from tinytorch.core.optimizers import Adam
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import Trainer


def test_facts_and_arrays_come_back(tmp_path):
    """Equal values and types; nothing else lies in the folder."""
    write_checkpoint(tmp_path / "a.npz", {"step": 3}, {"w": np.arange(3, dtype=np.int8)})
    facts, arrays = read_checkpoint(tmp_path / "a.npz")
    assert facts == {"step": 3}
    assert (arrays["w"].dtype, arrays["w"].tolist()) == (np.int8, [0, 1, 2])
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    """The file is exchanged in one step, and no half one stays behind."""
    write_checkpoint(tmp_path / "a.npz", {"step": 1}, {})

    def broken(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint.os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(tmp_path / "a.npz", {"step": 2}, {"w": np.ones(9)})
    assert read_checkpoint(tmp_path / "a.npz")[0] == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x04K\x01."])
def test_what_is_no_checkpoint(tmp_path, content):
    """Empty, truncated and pickled files are named."""
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz: found .* expected a checkpoint"):
        read_checkpoint(tmp_path / "a.npz")


def test_truncated_files_are_refused(tmp_path):
    """At any length."""
    write_checkpoint(tmp_path / "a.npz", {"step": 3}, {"w": np.arange(30)})
    whole = (tmp_path / "a.npz").read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "a.npz").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="expected a checkpoint"):
            read_checkpoint(tmp_path / "a.npz")


def test_a_wrong_bit_in_a_header_is_refused(tmp_path):
    """Whatever zipfile and NumPy make of it: methods, flags, versions, what is no Python in an array's header."""
    write_checkpoint(tmp_path / "a.npz", {"step": 3}, {"w": np.arange(30)})
    whole = (tmp_path / "a.npz").read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "a.npz").write_bytes(damaged)
        with contextlib.suppress(OSError, ValueError):  # a bit of a time changes nothing
            read_checkpoint(tmp_path / "a.npz")


@pytest.mark.parametrize("facts", [b"[1]", b"{", b"\xff"])
def test_facts_are_checked(tmp_path, facts):
    """They must be a JSON object."""
    np.savez(tmp_path / "a.npz", facts=np.frombuffer(facts, np.uint8))
    with pytest.raises(ValueError, match="expected a checkpoint"):
        read_checkpoint(tmp_path / "a.npz")


def test_generators_continue_where_they_stood():
    """NumPy's global one, one's own, and a Dropout's, through JSON."""
    rng, own = np.random.default_rng(1), np.random.default_rng(2)
    model = Sequential(Dropout(0.5, rng=own), Dropout(0.5))
    np.random.standard_normal()  # leaves half of a pair behind
    states = json.loads(json.dumps(random_states(model, rng)))
    draws = []
    for _ in range(2):
        draws.append((np.random.standard_normal(3).tolist(), rng.random(3).tolist(), own.random(3).tolist()))
        restore_random_states(states, model, rng)
    assert draws[0] == draws[1]
    with pytest.raises(ValueError, match="2 Dropouts, the model 1"):
        restore_random_states(states, Sequential(Dropout()), rng)


@pytest.mark.parametrize("states", [3, {}, {"global": {}, "rng": None, "dropout": []}])
def test_made_up_states_are_refused(states):
    """Whatever is in their place."""
    with pytest.raises(ValueError, match="states of random generators"):
        restore_random_states(states, Sequential())


@pytest.fixture
def trained(tmp_path):
    """Return a trainer and the facts and arrays of its checkpoint."""
    model = Linear(2, 2, rng=np.random.default_rng(0))
    trainer = Trainer(model, Adam(model.parameters()), MSELoss())
    trainer.train_epoch([(Tensor(np.ones((1, 2))), Tensor(np.ones((1, 2))))])
    trainer.save_checkpoint(tmp_path / "a.npz")
    return trainer, *read_checkpoint(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "m.0",
            np.zeros((3, 3), np.float32),
            r"found m\.0 as float32 of shape \(3, 3\), expected float32 of shape \(2, 2\)",
        ),
        ("parameter.1", np.zeros(2), r"found parameter\.1 as float64 of shape \(2,\), expected float32"),
        ("v.2", np.zeros(2, np.float32), r"found \['v\.2'\], which this model and optimizer do not have"),
    ],
)
def test_arrays_of_another_training_change_nothing(tmp_path, trained, name, array, message):
    """Moments of another shape, another type, and too many: nothing is restored."""
    trainer, facts, arrays = trained
    write_checkpoint(tmp_path / "b.npz", facts, {**arrays, name: array, "parameter.0": arrays["parameter.0"] + 1})
    before = trainer.model.weight.data.copy()
    with pytest.raises(ValueError, match=message):
        trainer.load_checkpoint(tmp_path / "b.npz")
    np.testing.assert_array_equal(trainer.model.weight.data, before)


def test_facts_that_are_missing_are_named(tmp_path, trained):
    """All of them."""
    trainer, facts, arrays = trained
    write_checkpoint(tmp_path / "b.npz", {"epoch": 1, "history": {}, "lr": facts["lr"]}, arrays)
    with pytest.raises(ValueError, match="found no optimizer, step, step_count, training_mode"):
        trainer.load_checkpoint(tmp_path / "b.npz")
