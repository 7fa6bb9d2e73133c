"""Looking into trainings: what is kept of them, rates that are tried where nothing is learned, and advice."""

import numpy as np
import pytest

from tinytorch.core.tokenization import CharTokenizer
from tinytorch.data.digits import load
from tinytorch.data.split import Split
from tinytorch.data.tokens import TextSplit, Tokens
from tinytorch.errors import TrainingDiverged
from tinytorch.models import load_model_module
from tinytorch.perf.training_findings import inspections_of, training_findings
from tinytorch.tasks import load_task
from tinytorch.tasks.study import train_and_look

FIT = {"epochs": 2, "lr": 1e-3, "optimizer": "adam", "batch_size": 64, "momentum": 0.9}


@pytest.fixture(scope="module")
def splits():
    """Return three hundred digits and the validation split."""
    digits = load(None, 0)
    arrays = digits.train.to_arrays()
    some = {name: a[:300] if len(a) == len(digits.train) else a for name, a in arrays.items()}
    return Split.from_arrays(some), digits.validation


def build():
    """Return a small network for digits."""
    return load_model_module("mlp").build((1, 8, 8), 10, np.random.default_rng(0), hidden=[32])


def looked(splits, **settings):
    """Train with these settings; return network, history and inspection."""
    model, history = train_and_look(load_task("training", None), build, splits, {**FIT, **settings}, 0)
    return model, history, history[0]["inspection"]


def test_the_weights_are_those_of_a_training_alone(splits):
    """Bit by bit, and so are the figures of the epochs."""
    model, history, _ = looked(splits)
    alone = build()
    plain = load_task("training", None).train(alone, *splits, FIT, 0)
    assert [{k: v for k, v in record.items() if k != "inspection"} for record in history] == plain
    pairs = zip(model.parameters(), alone.parameters(), strict=True)
    assert all(a.data.tobytes() == b.data.tobytes() for a, b in pairs)


def test_what_is_kept_of_a_training_that_learns(splits):
    """Looks with the rates in effect; no rates were tried."""
    _, history, seen = looked(splits, schedule="cosine", epochs=3)
    assert [point["epoch"] for point in seen["points"]] == [0, 1, 2, 3]
    assert seen["points"][0]["lr"] == 1e-3
    assert [point["lr"] for point in seen["points"][1:]] == [record["lr"] for record in history]
    assert (seen["items"], seen["rate_test"]) == (64, None)
    assert len(inspections_of(seen)) == 4


def test_rates_are_tried_where_nothing_was_learned(splits):
    """And the one that is suggested learns."""
    _, history, seen = looked(splits, lr=1e-6)
    (finding,) = training_findings(seen, history)
    assert finding.kind == "flat"
    suggested = seen["rate_test"]["suggested"]
    assert f"Try lr={suggested:.1g}" in finding.suggestion
    assert looked(splits, lr=suggested)[1][-1]["train_loss"] < 0.95 * seen["points"][0]["loss"]


def test_divergence_comes_with_a_rate(splits):
    """The network is a fresh one when rates are tried."""
    with pytest.raises(TrainingDiverged, match=r"diverged in epoch 1.*loss fell most around lr=0"):
        looked(splits, lr=1e20, optimizer="sgd")


def test_no_epochs_no_look(splits):
    """Nothing is trained, nothing is said."""
    _, history = train_and_look(load_task("training", None), build, splits, {**FIT, "epochs": 0}, 0)
    assert history == []


def test_a_text_is_looked_into_too():
    """By windows; the layers have their dotted names."""
    tokenizer = CharTokenizer()
    text = "the quick brown fox jumps over the lazy dog. " * 30
    tokenizer.build_vocab([text])
    ids = np.array(tokenizer.encode(text), np.int32)
    widths = np.ones(tokenizer.vocab_size, np.int32)
    parts = tuple(TextSplit(Tokens(ids[part]), 8, widths) for part in (slice(0, 900), slice(900, None)))

    def make():
        args = {"layers": 1, "embed_dim": 8, "heads": 2}
        return load_model_module("gpt").build((8,), tokenizer.vocab_size, np.random.default_rng(0), **args)

    _, history = train_and_look(load_task("training", "language"), make, parts, {**FIT, "batch_size": 16}, 0)
    seen = history[0]["inspection"]
    assert [point["epoch"] for point in seen["points"]] == [0, 1, 2]
    assert seen["points"][0]["loss"] == pytest.approx(np.log(tokenizer.vocab_size), abs=1)
    assert any(parameter["name"].endswith("mlp.linear1.weight") for parameter in seen["parameters"])
    assert not any(parameter["name"].startswith("parameter") for parameter in seen["parameters"])
