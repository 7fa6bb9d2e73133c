"""Learning from the baseline: the loss, the teacher, and what must not change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tinytorch.data.split import Split
from tinytorch.errors import TinyTorchError
from tinytorch.models.network import Network
from tinytorch.passes import distill, finetune, magnitude_prune, quantize
from tinytorch.passes.distill import Settings, apply
from tinytorch.serialization import dumps

Build = Callable[..., Network]


def test_the_student_comes_to_agree_with_its_teacher(build: Build, train: Split, images: np.ndarray) -> None:
    """With labels that mean nothing, the outputs approach the teacher's, which training on labels does not do."""
    teacher, student = build("mlp", hidden=[32]), build("mlp", hidden=[8])
    data = {"train": train, "teacher": teacher}
    settings = {"epochs": 60, "lr": 5e-3}
    taught = apply(student, Settings(**settings, teacher_weight=1.0), data, 0)[0]
    alone = finetune.apply(student, finetune.Settings(**settings), data, 0)[0]
    wanted = teacher.predict(images).argmax(axis=1)
    agreement = [float((model.predict(images).argmax(axis=1) == wanted).mean()) for model in (taught, alone)]
    assert agreement[0] > 0.75 > 0.5 > agreement[1]


def test_without_the_teachers_share_it_is_finetune(build: Build, train: Split) -> None:
    """A teacher weight of 0 leaves the labels alone to learn from, with the same result."""
    model, data = build("cnn"), {"train": train, "teacher": build("cnn")}
    taught = apply(model, Settings(epochs=1, teacher_weight=0.0), data, 0)[0]
    alone = finetune.apply(model, finetune.Settings(epochs=1), data, 0)[0]
    for (_, a), (_, b) in zip(taught.named_layers(), alone.named_layers(), strict=True):
        for name, array in a.state().items():
            np.testing.assert_allclose(array, b.state()[name], rtol=1e-5, atol=1e-6)


def test_the_teacher_is_untouched_and_zeros_stay(build: Build, train: Split) -> None:
    """The teacher learns nothing, and pruned weights stay pruned."""
    teacher = build("mlp")
    student = magnitude_prune.apply(teacher, magnitude_prune.Settings(sparsity=0.9), {}, 0)[0]
    before = dumps(teacher)
    result, _, history = apply(
        student, Settings(epochs=2), {"train": train, "validation": train, "teacher": teacher}, 0
    )
    assert dumps(teacher) == before
    assert result.nonzero_count() <= student.nonzero_count()
    assert history is not None
    assert [record["epoch"] for record in history] == [1, 2]


def test_a_teacher_of_another_kind_is_refused(build: Build, train: Split) -> None:
    """Shapes that differ are an error that says both."""
    other = build("mlp").replaced({})
    small = Network(
        {"fc": dict(other.named_layers())["fc_out"]}, (dict(other.named_layers())["fc_out"].weight.shape[0],)
    )
    with pytest.raises(TinyTorchError, match="the teacher maps"):
        apply(build("mlp"), Settings(), {"train": train, "teacher": small}, 0)


def test_integers_cannot_learn(build: Build, train: Split) -> None:
    """Quantized layers are named, and the way out said."""
    student = quantize.apply(build("mlp"), quantize.Settings(), {}, 0)[0]
    with pytest.raises(TinyTorchError, match=r"distill cannot train .*fc1.*put distill before quantize"):
        apply(student, Settings(), {"train": train, "teacher": build("mlp")}, 0)


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"temperature": True}, {"teacher_weight": 1.5}, {"lr": -1}])
def test_settings_out_of_range_are_refused(settings: dict) -> None:
    """Each is named."""
    with pytest.raises(TinyTorchError, match=next(iter(settings))):
        distill.Settings.from_params(settings)
