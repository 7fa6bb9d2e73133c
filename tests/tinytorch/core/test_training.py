"""Schedules, clipping, the Trainer with its checkpoints, and fit."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.fitting import FitSettings, fit
from tinytorch.core.layers import Dropout, Linear, Sequential
from tinytorch.core.losses import CrossEntropyLoss, MSELoss
from tinytorch.core.optimizers import SGD, Adam
from tinytorch.core.spatial import BatchNorm2d, Conv2d, Flatten
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import CosineSchedule, Trainer, clip_grad_norm
from tinytorch.errors import TinyTorchError


@dataclass
class Blobs:
    """Three well separated clouds of points."""

    points: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    def images(self, index=slice(None)):
        return self.points[index]


def blobs(seed, count=90):
    """Return `count` points around three centres."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.array([[2, 0], [-2, 1], [0, -3]])
    return Blobs((centres[labels] + rng.normal(scale=0.4, size=(count, 2))).astype(np.float32), labels)


def mlp(seed=0, dropout=0.0):
    """Return a small network."""
    rng = np.random.default_rng(seed)
    return Sequential(Linear(2, 8, rng=rng), ReLU(), Dropout(dropout), Linear(8, 3, rng=rng))


def loader(split, size=30):
    """Return the split as the course's loader."""
    return DataLoader(TensorDataset(Tensor(split.points), Tensor(split.labels)), size)


def test_cosine_schedule():
    """Starts at the maximum, is half way at half time, and stays at the minimum."""
    schedule = CosineSchedule(max_lr=0.1, min_lr=0.02, total_epochs=10)
    assert schedule.get_lr(0) == pytest.approx(0.1)
    assert schedule.get_lr(5) == pytest.approx(0.06)
    assert schedule.get_lr(10) == schedule.get_lr(99) == 0.02


def test_clipping_scales_all_gradients_together():
    """The norm before clipping is returned; small gradients and missing ones are left alone."""
    a, b, c = Tensor([0.0]), Tensor([0.0, 0.0]), Tensor([1.0])
    a.grad, b.grad = np.array([3.0], np.float32), np.array([0.0, 4.0], np.float32)
    assert clip_grad_norm([a, b, c], max_norm=1.0) == pytest.approx(5.0)
    np.testing.assert_allclose([*a.grad, *b.grad], [0.6, 0.0, 0.8], rtol=1e-6)
    assert clip_grad_norm([a, b], max_norm=10.0) == pytest.approx(1.0)
    np.testing.assert_allclose(a.grad, [0.6], rtol=1e-6)


def test_trainer_learns_and_keeps_history():
    """Epochs lower the loss; epoch, step, modes and history are the course's."""
    model, split = mlp(), blobs(0)
    trainer = Trainer(model, Adam(model.parameters(), lr=0.05), CrossEntropyLoss(), CosineSchedule(0.05, 0.01, 10))
    losses = [trainer.train_epoch(loader(split)) for _ in range(10)]
    loss, accuracy = trainer.evaluate(loader(split))
    assert losses[-1] < losses[0] / 5
    assert accuracy > 0.97
    assert (trainer.epoch, trainer.step, trainer.training_mode, model.training) == (10, 30, False, False)
    assert trainer.history["train_loss"] == losses
    assert trainer.history["eval_loss"] == [loss]
    assert trainer.history["learning_rates"][0] == pytest.approx(0.05)


def test_accumulated_batches_equal_one_large_batch():
    """Three batches of 30 with one update give the update of the 90 together."""
    models = [mlp(), mlp()]
    for model, size, steps in zip(models, (30, 90), (3, 1), strict=True):
        trainer = Trainer(model, SGD(model.parameters(), lr=0.1), CrossEntropyLoss())
        trainer.train_epoch(loader(blobs(0), size), accumulation_steps=steps)
        assert trainer.step == 1
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-4, atol=1e-6)


def test_left_over_batches_are_used():
    """Five batches accumulated by two make three updates."""
    model = mlp()
    trainer = Trainer(model, SGD(model.parameters()), CrossEntropyLoss(), grad_clip_norm=1.0)
    trainer.train_epoch(loader(blobs(0, 50), 10), accumulation_steps=2)
    assert trainer.step == 3


def test_left_over_batches_count_as_much_as_others():
    """An update of one batch that is left over is that of the batch alone."""
    models = [mlp(), mlp()]
    for model, steps in zip(models, (1, 4), strict=True):
        trainer = Trainer(model, SGD(model.parameters(), lr=0.1), CrossEntropyLoss())
        trainer.train_epoch(loader(blobs(0, 30)), accumulation_steps=steps)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-6)


def test_regression_has_no_accuracy():
    """For outputs that are no class scores the accuracy is NaN, not a number someone made up."""
    model = Linear(2, 1)
    trainer = Trainer(model, SGD(model.parameters()), MSELoss())
    data = DataLoader(TensorDataset(Tensor(np.ones((4, 2))), Tensor(np.ones((4, 1)))), 2)
    assert math.isnan(trainer.evaluate(data)[1])


def test_one_hot_targets_count_too():
    """Accuracy takes the largest entry of a target row."""
    model = mlp()
    split = blobs(0, 6)
    one_hot = DataLoader(TensorDataset(Tensor(split.points), Tensor(np.eye(3)[split.labels])), 6)
    expected = float((model.eval()(Tensor(split.points)).data.argmax(axis=1) == split.labels).mean())
    assert Trainer(model, SGD(model.parameters()), MSELoss()).evaluate(one_hot)[1] == expected


def test_an_empty_loader_is_refused():
    """No batch, no loss."""
    trainer = Trainer(mlp(), SGD([]), MSELoss())
    for use in (trainer.train_epoch, trainer.evaluate):
        with pytest.raises(ValueError, match="without a single batch"):
            use([])


def test_a_model_that_is_no_layer_is_trained():
    """Course code may have a plain class with forward and parameters."""

    class Plain:
        def __init__(self):
            self.fc = Linear(2, 3)

        def forward(self, x):
            return self.fc(x)

        def parameters(self):
            return self.fc.parameters()

    model = Plain()
    Trainer(model, SGD(model.parameters()), CrossEntropyLoss()).train_epoch(loader(blobs(0)))
    assert model.training is True


class PlainCNN:
    """A course model that is no Layer, with batch norm and dropout inside."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.norm, self.dropout, self.fc = BatchNorm2d(1), Dropout(0.5), Linear(4, 3, rng=rng)

    def forward(self, x):
        return self.fc(Flatten()(self.dropout(self.norm(x))))

    def parameters(self):
        return [*self.norm.parameters(), *self.fc.parameters()]


def test_the_layers_of_a_plain_model_follow_the_mode_and_are_saved(tmp_path):
    """Evaluation drops nothing and uses the running statistics, and a checkpoint restores them."""
    images = Tensor(np.random.default_rng(0).normal(5.0, 1.0, size=(6, 1, 2, 2)))
    data = DataLoader(TensorDataset(images, Tensor(np.arange(6) % 3)), 3)
    model = PlainCNN()
    trainer = Trainer(model, SGD(model.parameters()), CrossEntropyLoss())
    trainer.train_epoch(data)
    mean = model.norm.running_mean.copy()
    assert trainer.evaluate(data) == trainer.evaluate(data)
    np.testing.assert_array_equal(model.norm.running_mean, mean)
    trainer.save_checkpoint(tmp_path / "at.npz")
    other = PlainCNN()
    Trainer(other, SGD(other.parameters()), CrossEntropyLoss()).load_checkpoint(tmp_path / "at.npz")
    np.testing.assert_array_equal(other.norm.running_mean, mean)


def cnn_trainer(optimizer):
    """Return a trainer of a network with batch norm, after one epoch."""
    rng = np.random.default_rng(0)
    model = Sequential(Conv2d(1, 2, 3, rng=rng), BatchNorm2d(2), Flatten(), Linear(8, 3, rng=rng))
    trainer = Trainer(model, optimizer(model.parameters()), CrossEntropyLoss())
    images = Tensor(rng.normal(size=(6, 1, 4, 4)))
    data = DataLoader(TensorDataset(images, Tensor(np.arange(6) % 3)), 3)
    trainer.train_epoch(data)
    return trainer, data


@pytest.mark.parametrize("optimizer", [Adam, lambda p: SGD(p, momentum=0.9), SGD])
def test_a_checkpoint_continues_bit_for_bit(tmp_path, optimizer):
    """Save, load into a fresh trainer, and the next epoch is the same, batch norm and optimizer state included."""
    first, data = cnn_trainer(optimizer)
    first.save_checkpoint(tmp_path / "at.ckpt")
    expected = first.train_epoch(data)
    second, _ = cnn_trainer(optimizer)
    second.train_epoch(data)
    second.load_checkpoint(tmp_path / "at.ckpt")
    assert (second.epoch, second.step, len(second.history["train_loss"])) == (1, 2, 1)
    assert second.train_epoch(data) == expected
    assert second.history == first.history
    for a, b in zip(first._arrays().values(), second._arrays().values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_holds_no_pickle(tmp_path):
    """Every member of the file loads with pickles forbidden, and the facts are JSON."""
    trainer, _ = cnn_trainer(Adam)
    trainer.save_checkpoint(tmp_path / "at.npz")
    with np.load(tmp_path / "at.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert all(a.dtype != object for a in arrays.values())
    assert json.loads(arrays["facts"].tobytes())["epoch"] == 1


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    """Another optimizer, another model, and a file that is no checkpoint."""
    trainer, _ = cnn_trainer(Adam)
    trainer.save_checkpoint(tmp_path / "at.npz")
    with pytest.raises(ValueError, match="found the state of Adam, expected that of SGD"):
        cnn_trainer(SGD)[0].load_checkpoint(tmp_path / "at.npz")
    with pytest.raises(ValueError, match="found parameters of shapes"):
        Trainer(mlp(), Adam(mlp().parameters()), MSELoss()).load_checkpoint(tmp_path / "at.npz")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    with pytest.raises(ValueError, match="no training facts"):
        trainer.load_checkpoint(tmp_path / "other.npz")


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_fit_learns_in_place_and_leaves_eval_mode(optimizer):
    """One record an epoch with loss, validation accuracy and learning rate."""
    model = mlp(dropout=0.1)
    settings = FitSettings(epochs=15, lr=0.05, optimizer=optimizer, momentum=0.9, schedule="cosine", batch_size=16)
    history = fit(model, blobs(0), blobs(1), settings, seed=0)
    assert [set(record) for record in history] == [{"epoch", "train_loss", "validation_accuracy", "lr"}] * 15
    assert [record["epoch"] for record in history] == list(range(1, 16))
    assert history[-1]["validation_accuracy"] > 0.97
    assert history[0]["lr"] == pytest.approx(0.05)
    assert 0 < history[-1]["lr"] < 0.005
    assert not model.training


def test_fit_depends_on_the_seed_alone():
    """Equal seeds give equal bits, dropout included, whatever NumPy's global state is."""
    runs = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        np.random.seed(state)
        model = mlp(dropout=0.5)
        history = fit(model, blobs(0), None, FitSettings(epochs=3), seed)
        runs.append((history, model.parameters()[0].data.tobytes()))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert runs[0][0][0]["validation_accuracy"] is None


def test_fit_gives_dropout_its_generator_back():
    """The generator used for training stays inside fit."""
    model = mlp(dropout=0.5)
    fit(model, blobs(0), None, FitSettings(epochs=1), 0)
    assert model.layers[2].rng is None


def test_zero_epochs_change_nothing():
    """Zero strength is the identity."""
    model = mlp()
    before = model.parameters()[0].data.copy()
    assert fit(model, blobs(0), None, FitSettings(epochs=0), 0) == []
    np.testing.assert_array_equal(model.parameters()[0].data, before)


@pytest.mark.filterwarnings("error")
def test_divergence_is_an_error():
    """A loss that is no number any more ends training at once, with epoch, step and learning rate named."""
    with pytest.raises(TinyTorchError, match=r"in epoch 1: the loss of step \d is \S+\. Lower lr=1e\+30 or set"):
        fit(mlp(), blobs(0), None, FitSettings(lr=1e30, optimizer="sgd", epochs=5, batch_size=10), 0)


@pytest.mark.filterwarnings("error")
def test_a_last_update_that_destroys_the_weights_is_an_error():
    """Even if no loss was computed after it."""
    settings = FitSettings(lr=1e39, optimizer="sgd", epochs=1, batch_size=90, grad_clip=1.0)
    with pytest.raises(TinyTorchError, match=r"in epoch 1: \d+ weights are NaN or infinite. Lower lr=1e\+39\."):
        fit(mlp(), blobs(0), None, settings, 0)


def norm_net():
    """Return a network whose batch norm sees one value for each image."""
    rng = np.random.default_rng(0)
    return Sequential(Conv2d(1, 4, (1, 2), rng=rng), BatchNorm2d(4), ReLU(), Flatten(), Linear(4, 3, rng=rng))


def one_pixel_images(count):
    """Return points as images (N, 1, 1, 2)."""
    split = blobs(0, count)
    return Blobs(split.points.reshape(count, 1, 1, 2), split.labels)


def test_a_last_image_joins_the_batch_before_it():
    """Batch norm never has to normalize by the statistics of one value: 13 images in batches of 4 are 4, 4 and 5."""
    sizes = []

    class Recorder(BatchNorm2d):
        def forward(self, x):
            sizes.append(len(x.data))
            return super().forward(x)

    model = norm_net()
    model.layers[1] = Recorder(4)
    fit(model, one_pixel_images(13), None, FitSettings(epochs=1, batch_size=4), 0)
    assert sizes == [4, 4, 5]


@pytest.mark.parametrize(("count", "size"), [(1, 1), (1, 64), (2, 1), (3, 64)])
def test_tiny_datasets_train(count, size):
    """One image, batches of one, and batches larger than the dataset."""
    model = norm_net()
    history = fit(model, one_pixel_images(count), one_pixel_images(count), FitSettings(epochs=2, batch_size=size), 0)
    assert [record["epoch"] for record in history] == [1, 2]
    assert all(np.isfinite(array).all() for array in model.layers[1].state().values())


def test_fit_needs_data():
    """An empty split is refused."""
    with pytest.raises(ValueError, match="empty"):
        fit(mlp(), blobs(0, 0), None, FitSettings(), 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", -1),
        ("lr", 0),
        ("optimizer", "adamm"),
        ("batch_size", 0),
        ("momentum", 1.0),
        ("schedule", "x"),
        ("weight_decay", -1),
        ("label_smoothing", 1),
        ("grad_clip", 0),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    """Every setting is checked when the settings are made."""
    with pytest.raises(ValueError, match=name):
        FitSettings(**{name: value})
