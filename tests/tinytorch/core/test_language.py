"""Training a language model by steps, and its losses."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tinytorch.core.language import TextSettings, fit_text, perplexity, token_losses
from tinytorch.core.transformers import GPT
from tinytorch.errors import TinyTorchError

VOCAB = 7
SETTINGS = TextSettings(
    steps=6, batch_size=2, context=8, lr=0.01, min_lr=0.001, warmup=2, accumulation=2, record_every=2
)


@dataclass
class Text:
    """A text of repeated tokens with some noise."""

    ids: np.ndarray

    def sample(self, count, context, rng):
        starts = rng.integers(0, len(self.ids) - context, count)
        rows = self.ids[starts[:, None] + np.arange(context + 1)]
        return rows[:, :-1], rows[:, 1:]

    def windows(self, context):
        count = (len(self.ids) - 1) // context
        used = self.ids[: count * context + 1]
        return used[:-1].reshape(count, context), used[1:].reshape(count, context)


def text(count=200):
    """Return 0, 1, …, 6, 0, 1, …."""
    return Text((np.arange(count) % VOCAB).astype(np.int32))


def gpt():
    """Return a tiny model with dropout."""
    return GPT(VOCAB, 8, 1, 2, max_seq_len=8, dropout_prob=0.1, rng=np.random.default_rng(0))


def bits(model):
    """Return all parameters as bytes."""
    return [p.data.tobytes() for p in model.parameters()]


def test_it_learns_and_is_judged():
    """Losses of both texts fall; one record for each so many steps and at the end; eval mode."""
    model = gpt()
    records = fit_text(model, text(), text(60), replace(SETTINGS, steps=101, record_every=50), 0)
    assert [record["step"] for record in records] == [50, 100, 101]
    assert records[-1]["validation_loss"] < 0.5 < records[0]["train_loss"]
    assert not model.training


def test_the_seed_alone_decides():
    """Equal seeds give equal bits, whatever NumPy's global state is; another one gives others."""
    runs = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        np.random.seed(state)
        model = gpt()
        runs.append((fit_text(model, text(), None, SETTINGS, seed), bits(model)))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert runs[0][0][0]["validation_loss"] is None


def test_a_run_that_was_ended_goes_on_to_the_same_bits(tmp_path):
    """Killed in the middle of a step after the second record, dropout, moments and order of windows included."""
    whole, path = gpt(), tmp_path / "at.npz"
    expected = fit_text(whole, text(), text(60), SETTINGS, 3)

    class Killed(Text):
        calls = 0

        def sample(self, count, context, rng):
            self.calls += 1
            if self.calls == 10:
                raise KeyboardInterrupt
            return super().sample(count, context, rng)

    with pytest.raises(KeyboardInterrupt):
        fit_text(gpt(), Killed(text().ids), text(60), SETTINGS, 3, path)
    again = gpt()
    assert fit_text(again, text(), text(60), SETTINGS, 3, path) == expected
    assert bits(again) == bits(whole)
    assert fit_text(gpt(), text(), text(60), SETTINGS, 3, path) == expected


@pytest.mark.parametrize(
    ("settings", "seed", "count", "name"),
    [(replace(SETTINGS, lr=0.02), 3, 200, "settings"), (SETTINGS, 4, 200, "seed"), (SETTINGS, 3, 190, "text")],
)
def test_a_checkpoint_of_another_training(tmp_path, settings, seed, count, name):
    """What differs is named, and nothing is trained."""
    fit_text(gpt(), text(), None, SETTINGS, 3, tmp_path / "at.npz")
    with pytest.raises(ValueError, match=rf"another training \({name} differ\)"):
        fit_text(gpt(), text(count), None, settings, seed, tmp_path / "at.npz")


def test_the_rate_rises_and_falls():
    """Linearly to lr, then along half a cosine to min_lr."""
    settings = TextSettings(steps=12, warmup=2, lr=1.0, min_lr=0.2)
    assert [settings.rate(step) for step in (0, 1, 2, 7, 12)] == pytest.approx([0.5, 1.0, 1.0, 0.6, 0.2])
    assert TextSettings(steps=3, warmup=0, lr=1.0, min_lr=0.0).rate(0) == 1.0


def test_losses_are_of_each_token():
    """A model of equal scores hesitates among all tokens; windows do not see each other."""
    model = gpt()
    for p in model.parameters():
        p.data *= 0
    losses = token_losses(model, text(30), 8)
    assert losses.shape == (3, 8)
    assert perplexity(losses) == pytest.approx(VOCAB)
    trained = gpt()
    fit_text(trained, text(), None, SETTINGS, 0)
    together, alone = token_losses(trained, text(30), 8), token_losses(trained, Text(text(30).ids[8:17]), 8)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)
    assert math.isfinite(perplexity(together))


def test_divergence_is_an_error():
    """With step and rate."""
    model = gpt()
    model.lm_head.weight.data[0] = np.nan
    with pytest.raises(TinyTorchError, match=r"diverged in step 1: its loss is nan. Lower lr=0\.01"):
        fit_text(model, text(), None, SETTINGS, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, 0) for name in ("batch_size", "context", "lr", "grad_clip", "accumulation", "record_every")],
        *[(name, -1) for name in ("steps", "warmup", "weight_decay", "min_lr")],
        ("min_lr", 2.0),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    """Every setting is checked when the settings are made."""
    with pytest.raises(ValueError, match=name):
        TextSettings(**{name: value})
