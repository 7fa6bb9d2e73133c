"""The task of texts: training by settings as they are for images, and answers with their losses."""

import numpy as np
import pytest

from tinytorch.core.watching import watched
from tinytorch.data.tokens import TextSplit, Tokens
from tinytorch.errors import TinyTorchError
from tinytorch.models.gpt import build
from tinytorch.runtime.session import InferenceSession
from tinytorch.serialization import dumps
from tinytorch.tasks import TABLES, load_task, task_of
from tinytorch.tasks.language_answers import answers, batch_for
from tinytorch.tasks.language_training import train

VOCAB, CONTEXT = 7, 8
SETTINGS = {"epochs": 2, "lr": 0.01, "batch_size": 4, "optimizer": "adamw", "schedule": "cosine", "grad_clip": 1.0}


def text(count=120):
    """Return 0, 1, …, 6, 0, 1, …."""
    return TextSplit(Tokens((np.arange(count) % VOCAB).astype(np.int32)), CONTEXT, np.ones(VOCAB, np.int32))


def gpt():
    """Return a tiny model with dropout."""
    return build((CONTEXT,), VOCAB, np.random.default_rng(0), layers=1, embed_dim=8, heads=2, dropout=0.1)


def test_every_aspect_knows_the_same_tasks():
    """A kind of task is a line in each table, and their modules have what the tables say."""
    assert len({tuple(sorted(table)) for table in TABLES.values()}) == 1
    functions = {"splits": ("read_split", "random_split"), "training": ("train",), "answers": ("answers", "batch_for")}
    for aspect, table in TABLES.items():
        for task in table:
            assert all(hasattr(load_task(aspect, task), name) for name in functions[aspect])
    assert load_task("splits", None) is load_task("splits", "classification")
    assert (task_of("text"), task_of("digits"), task_of("my_own")) == ("language", "classification", "classification")


def test_an_epoch_is_as_many_windows_as_cover_the_text():
    """A record for each, with the accuracy of the next token; the cosine ends near zero."""
    records = train(gpt(), text(), text(60), SETTINGS, 0)
    assert [record["epoch"] for record in records] == [1, 2]
    assert set(records[0]) == {"epoch", "train_loss", "validation_loss", "validation_accuracy", "lr"}
    assert 0 <= records[-1]["validation_accuracy"] <= 1
    assert records[-1]["lr"] < 0.005


def test_no_epochs_change_nothing():
    """As for weights that are taken as they are."""
    model = gpt()
    before = dumps(model)
    assert train(model, text(), text(60), SETTINGS | {"epochs": 0}, 0) == []
    assert dumps(model) == before


def test_a_setting_for_images_is_refused():
    """With its name and those that texts take."""
    with pytest.raises(TinyTorchError, match="augment in train is not for texts, which take accumulation"):
        train(gpt(), text(), text(60), SETTINGS | {"augment": {"flip": True}}, 0)


def test_a_training_that_was_killed_goes_on_to_the_same_bits(tmp_path):
    """After the last epoch that was finished; a damaged file is begun anew, and said."""
    whole, said = gpt(), []
    expected = train(whole, text(), text(60), SETTINGS, 3)

    def killed(epoch):
        raise KeyboardInterrupt if epoch == 2 else None

    with watched(tmp_path), pytest.raises(KeyboardInterrupt):
        train(gpt(), text(), text(60), SETTINGS, 3, look=lambda epoch: killed(epoch) if epoch == 2 else None)
    again = gpt()
    with watched(tmp_path, said.append):
        assert train(again, text(), text(60), SETTINGS, 3) == expected
    assert (dumps(again), said) == (dumps(whole), ["training continues where it was interrupted"])
    (tmp_path / "text.npz").write_bytes(b"half")
    anew = gpt()
    with watched(tmp_path, said.append):
        assert train(anew, text(), text(60), SETTINGS, 3) == expected
    assert dumps(anew) == dumps(whole)
    assert said[1].startswith("training begins anew")


def test_answers_are_tokens_with_their_losses():
    """The losses are -log softmax at the true tokens, as float64 computes it."""
    model, split = gpt(), text(60)
    model.eval()
    found = answers(InferenceSession(model, batch_for(model)), split)
    inputs, targets = split.windows()
    scores = model.predict(inputs.astype(np.float32)).astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    expected = -np.take_along_axis(log_p, targets[..., None].astype(int), axis=-1)[..., 0]
    np.testing.assert_allclose(found["_losses"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[""], scores.argmax(axis=-1).ravel())
    np.testing.assert_array_equal(found["_labels"], targets.ravel())
    assert found["_bytes"].tolist() == [CONTEXT] * len(split)


def test_answers_that_are_no_probabilities():
    """A model with weights that are no numbers is refused with the loss that guessing has."""
    model = gpt()
    model.gpt.lm_head.weight.data[:] = np.nan
    model.eval()
    with pytest.raises(TinyTorchError, match=r"no probabilities: .* guessing gives the logarithm"):
        answers(InferenceSession(model, 2), text(60))
