"""Training in several threads, with varied images, and through a kill: the same bits every time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinytorch.core import loading
from tinytorch.core.activations import ReLU
from tinytorch.core.augmentation import Augmentation
from tinytorch.core.fitting import SCHEDULES, FitSettings, fit
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.losses import CrossEntropyLoss
from tinytorch.core.normalization import BatchNorm2d
from tinytorch.core.replicas import Replicas, shares
from tinytorch.core.spatial import Conv2d, MaxPool2d
from tinytorch.core.tensor import Tensor
from tinytorch.core.watching import watched
from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.runtime.sparse import SparseLinear

SHAPE = (3, 8, 8)
VARIED = {"flip": True, "crop": 2}


class Stop(Exception):
    """What interrupts a run in these tests."""


def pictures(count: int = 60, seed: int = 0) -> Split:
    """Three kinds of pictures: one channel is brighter than the others."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, 128, (count, *SHAPE), dtype=np.uint8)
    pixels[np.arange(count), labels] += 90
    return Split(pixels, labels, 255.0, (0.3,) * 3, (0.2,) * 3)


def network(seed: int = 0) -> Network:
    """A small network with everything that has a state: batch norm and dropout."""
    rng = np.random.default_rng(seed)
    layers = {
        "conv1": Conv2d(3, 4, 3, padding=1, bias=False, rng=rng),
        "bn1": BatchNorm2d(4),
        "relu1": ReLU(),
        "pool1": MaxPool2d(2),
        "flatten": Flatten(),
        "dropout": Dropout(0.2),
        "fc_out": Linear(64, 3, rng=rng),
    }
    return Network(layers, SHAPE)


def arrays(model: Network) -> dict[str, Any]:
    """Return everything that a network has learned."""
    return {f"{name}.{k}": array for name, layer in model.named_layers() for k, array in layer.state().items()}


def same_bits(first: Network, second: Network) -> bool:
    """Tell whether two networks hold the same arrays."""
    return all(np.array_equal(array, arrays(second)[name]) for name, array in arrays(first).items())


def settings(**other: Any) -> FitSettings:
    """Return settings that use everything."""
    return FitSettings(**{"epochs": 3, "batch_size": 16, "schedule": "one_cycle", "augment": VARIED, **other})


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_number_of_workers_gives_the_same_bits_every_time(workers: int) -> None:
    """How threads take turns changes nothing."""
    trained = [network(), network()]
    histories = [fit(model, pictures(), None, settings(workers=workers), seed=1) for model in trained]
    assert same_bits(*trained)
    assert histories[0] == histories[1]


def test_workers_average_their_gradients() -> None:
    """Without batch norm and dropout, two shares of a batch have the gradient of the whole batch."""
    split, loss_of, found = pictures(7), CrossEntropyLoss(), []
    for workers in (1, 3):
        rng = np.random.default_rng(0)
        model = Network({"flatten": Flatten(), "fc_out": Linear(192, 3, rng=rng)}, SHAPE)
        for parameter in model.parameters():
            parameter.requires_grad = True
        with Replicas.of(model, workers) as replicas:
            loss = replicas.learn(
                7, lambda net, part: loss_of(net.forward(Tensor(split.images(part))), Tensor(split.labels[part]))
            )
        found.append((loss, [parameter.grad for parameter in model.parameters()]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    for whole, parts in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-6)


def test_workers_learn_and_share_what_batch_norms_saw() -> None:
    """All the pictures are told apart afterwards, by statistics that every copy contributed to."""
    model = network()
    history = fit(model, pictures(), pictures(seed=5), settings(workers=2, epochs=12, lr=1e-2), seed=0)
    assert history[-1]["validation_accuracy"] == 1
    assert np.abs(arrays(model)["bn1.running_mean"]).max() > 0


def test_an_error_in_a_worker_is_raised_where_it_was_asked() -> None:
    """A thread's failure is not lost."""

    def loss_of(net: Network, part: slice) -> Tensor:
        if part.start:
            raise Stop
        return net.forward(Tensor(pictures().images(part))).sum()

    with Replicas.of(network(), 2) as replicas, pytest.raises(Stop):
        replicas.learn(8, loss_of)


@pytest.mark.parametrize(("count", "workers", "sizes"), [(8, 2, [4, 4]), (7, 3, [2, 2, 3]), (3, 2, [3]), (1, 4, [1])])
def test_shares_have_at_least_two_samples(count: int, workers: int, sizes: list[int]) -> None:
    """Batch normalization learns nothing from one."""
    parts = shares(count, workers)
    assert [part.stop - part.start for part in parts] == sizes
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))


def test_the_thread_that_prepares_batches_changes_no_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of few and of many bytes are the same batches."""
    found = []
    for limit in (0, 1 << 40):
        monkeypatch.setattr(loading, "_WORTH_A_THREAD_BYTES", limit)
        found.append(network())
        fit(found[-1], pictures(), None, settings(), seed=1)
    assert same_bits(*found)


def test_what_fails_while_batches_are_prepared_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread hands its error over, and ends with the block when nobody wants more."""
    monkeypatch.setattr(loading, "_WORTH_A_THREAD_BYTES", 0)
    split, order = pictures(), np.array([0, 1, 2, 3, 999, 1000])
    varied = Augmentation(), np.random.default_rng(0)
    with loading.batches(split, 2, order, varied) as (count, ready):
        assert count == 3
        assert next(ready).images.shape == (2, *SHAPE)
        with pytest.raises(IndexError):
            list(ready)
    with loading.batches(split, 2, order, varied) as (_, ready):
        next(ready)  # and no more


def test_images_are_mirrored_and_shifted() -> None:
    """Each is the original, or its mirror image, moved by at most `crop` pixels, with zeros from outside."""
    image = np.arange(1, 26, dtype=np.float32).reshape(1, 1, 5, 5)
    many = np.repeat(image, 200, axis=0)
    drawn = Augmentation(flip=True, crop=1).drawn(200, np.random.default_rng(0))
    varied = drawn.of(many)
    padded = [np.pad(side, 1) for side in (image[0, 0], image[0, 0, :, ::-1])]
    wanted = {p[y : y + 5, x : x + 5].tobytes() for p in padded for y in range(3) for x in range(3)}
    assert {row[0].tobytes() for row in varied} == wanted
    np.testing.assert_array_equal(drawn.part(slice(50, 60)).of(many[50:60]), varied[50:60])


def test_without_variations_images_are_handed_on() -> None:
    """Nothing is drawn and nothing is copied."""
    images, rng = pictures().images(), np.random.default_rng(0)
    before = rng.bit_generator.state
    assert Augmentation().drawn(60, rng).of(images) is images
    assert rng.bit_generator.state == before


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ({"flop": True}, "no argument 'flop'; did you mean 'flip'"),
        ({"flip": 0.5}, "flip must be true or false, not 0.5"),
        ({"crop": -1}, "crop must be an integer from 0 to 512, not -1"),
    ],
)
def test_wrong_variations_are_named(augment: dict[str, Any], message: str) -> None:
    """A setting that cannot be is one line, as are more workers than make sense."""
    with pytest.raises(ValueError, match=message):
        FitSettings(augment=augment)
    with pytest.raises(ValueError, match="'workers': 0"):
        FitSettings(workers=0)


def test_variations_that_images_cannot_have_are_refused() -> None:
    """A shift by the whole image, and samples that are no images, before anything is trained."""
    with pytest.raises(TinyTorchError, match=r"crop=8 shifts images of 8 x 8 pixels out of sight; it must be below 8"):
        fit(network(), pictures(), None, settings(augment={"crop": 8}), seed=0)
    with pytest.raises(TinyTorchError, match=r"for images .*, not for samples of shape \(5,\)"):
        Augmentation(flip=True).check((5,))
    Augmentation().check((5,))


def test_one_cycle_rises_and_falls() -> None:
    """From a 25th of the rate to all of it after 30 % of the steps, then to nearly nothing."""
    chosen = FitSettings(lr=0.5, schedule="one_cycle")
    rates = [SCHEDULES["one_cycle"](chosen, 0, done / 100) for done in range(100)]
    assert rates[0] == pytest.approx(0.02)
    assert rates.index(max(rates)) == 30
    assert max(rates) == 0.5
    assert rates[-1] < 0.001
    assert sorted(rates[:31]) == rates[:31]
    assert sorted(rates[30:], reverse=True) == rates[30:]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_interrupted_continues_to_the_same_bits(tmp_path: Path, workers: int) -> None:
    """Weights, statistics, optimizer and generators are those of a run that nobody interrupted."""
    chosen, said = settings(epochs=5, workers=workers), []
    whole, broken, resumed = network(), network(), network()
    history = fit(whole, pictures(), pictures(9, seed=3), chosen, seed=4)

    def stop(epoch: int) -> None:
        if epoch == 4:
            raise Stop

    with pytest.raises(Stop), watched(tmp_path, every_s=0):
        fit(broken, pictures(), pictures(9, seed=3), chosen, seed=4, look=stop)
    assert not same_bits(broken, whole)
    with watched(tmp_path, said.append, every_s=0):
        again = fit(resumed, pictures(), pictures(9, seed=3), chosen, seed=4)
    assert said[0] == "training continues after epoch 3, where it was interrupted"
    assert [line.partition(":")[0] for line in said[1:]] == ["epoch 4 of 5", "epoch 5 of 5"]
    assert same_bits(resumed, whole)
    assert again == history


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("storage", ["bitmask", "csr", "dense"])
def test_a_pruned_network_continues_to_the_same_bits(tmp_path: Path, storage: str, workers: int) -> None:
    """What a file keeps of a sparse layer is made anew each time, and no part of how far its training came."""
    layer = Linear(192, 3, rng=np.random.default_rng(1))
    mask = np.random.default_rng(2).random((192, 3)) < 0.3

    def pruned() -> Network:
        return Network({"flatten": Flatten(), "fc": SparseLinear(layer, mask, storage)}, SHAPE)

    def stop(epoch: int) -> None:
        if epoch == 3:
            raise Stop

    chosen, said = settings(epochs=3, workers=workers), list[str]()
    whole, resumed = pruned(), pruned()
    fit(whole, pictures(), None, chosen, seed=4)
    with pytest.raises(Stop), watched(tmp_path, every_s=0):
        fit(pruned(), pictures(), None, chosen, seed=4, look=stop)
    with watched(tmp_path, said.append, every_s=0):
        fit(resumed, pictures(), None, chosen, seed=4)
    assert said[0] == "training continues after epoch 2, where it was interrupted"
    assert same_bits(resumed, whole)


@pytest.mark.parametrize("other", ["seed", "settings", "weights", "labels", "images"])
def test_another_run_never_continues_there(tmp_path: Path, other: str) -> None:
    """A state is found by all that the run began with."""
    said: list[str] = []
    with watched(tmp_path, every_s=0):
        fit(network(), pictures(), None, settings(), seed=0)
    split = pictures(seed=int(other == "images"))
    if other == "labels":
        split = Split(split.pixels, (split.labels + 1) % 3, split.scale, split.mean, split.std)
    with watched(tmp_path, said.append, every_s=0):
        fit(
            network(int(other == "weights")),
            split,
            None,
            settings(lr=0.1 if other == "settings" else 1e-3),
            int(other == "seed"),
        )
    assert not any("continues" in line for line in said)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_state_begins_anew(tmp_path: Path, damage: str) -> None:
    """It is said, and the result is that of a whole run."""
    with watched(tmp_path, every_s=0):
        fit(network(), pictures(), None, settings(epochs=2), seed=0)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    middle = slice(len(data) // 2, len(data) // 2 + 200)  # more than the gap between two arrays
    data[middle] = bytes(byte ^ 1 for byte in data[middle])
    path.write_bytes({"cut": data[:-50], "flipped": data, "empty": b"", "other": b"PK\x03\x04 nothing"}[damage])
    said: list[str] = []
    model, whole = network(), network()
    with watched(tmp_path, said.append, every_s=0):
        fit(model, pictures(), None, settings(epochs=2), seed=0)
    fit(whole, pictures(), None, settings(epochs=2), seed=0)
    assert said[0].startswith("training begins anew: ")
    assert same_bits(model, whole)


def test_short_runs_are_neither_kept_nor_heard(tmp_path: Path) -> None:
    """A state is written where it saves something."""
    said: list[str] = []
    with watched(tmp_path / "kept", said.append):
        fit(network(), pictures(), None, settings(), seed=0)
    assert not said
    assert not (tmp_path / "kept").exists()


KILLED = """
import sys
import time
from pathlib import Path
from tests.tinytorch.core.test_fitting_workers import arrays, fit, network, pictures, settings, watched
import numpy as np
folder, last = Path(sys.argv[1]), int(sys.argv[2])
model = network()


def say(line):
    print(line, flush=True)
    if line.startswith(f"epoch {last} of"):
        time.sleep(600)


with watched(folder / "kept", say, every_s=0):
    fit(model, pictures(), None, settings(epochs=150), seed=2)
np.savez(folder / "done.npz", **arrays(model))
"""


def test_a_killed_process_resumes_to_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL at any moment: the next process ends with the bits of one that was left alone."""
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    root = Path(__file__).parents[3]
    for epochs in (5, 60):  # and it waits 30 epochs later, should the kill come late
        with subprocess.Popen([*command, str(epochs + 30)], cwd=root, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(f"epoch {epochs} of"):
                    time.sleep(0.002)
                    os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    last = subprocess.run([*command, "0"], cwd=root, check=True, capture_output=True, text=True).stdout
    assert last.startswith("training continues after epoch ")
    whole = network()
    fit(whole, pictures(), None, settings(epochs=150), seed=2)
    with np.load(tmp_path / "done.npz") as done:
        assert all(np.array_equal(done[name], array) for name, array in arrays(whole).items())
