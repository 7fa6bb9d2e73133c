"""Checkpoint files and the states of random generators."""

import json

import numpy as np
import pytest

from tinytorch.core import checkpoint
from tinytorch.core.checkpoint import random_states, read_checkpoint, restore_random_states, write_checkpoint
from tinytorch.core.layers import Dropout, Sequential


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
