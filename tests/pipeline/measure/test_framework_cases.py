"""Work that is compared: what is counted of it, and that PyTorch computes the very same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import case_names
from pipeline.core.frameworks import _SIZES
from pipeline.measure.framework_cases import CASES, Training, make_case
from tinytorch.core.function import no_grad

IMAGES = {"width": 4, "depth": 2, "image_size": 8, "batch_size": 3}
DECODE = {"layers": 2, "width": 16, "heads": 2, "vocabulary": 30, "context": 16}
EXAMPLES: list[tuple[str, dict[str, Any], float]] = [
    ("linear", {"inputs": 24, "outputs": 16, "bits": 32, "batch_size": 2}, 1e-5),
    ("linear", {"inputs": 24, "outputs": 16, "bits": 8, "batch_size": 2}, 0.1),
    ("conv2d", {"channels": 3, "filters": 4, "kernel_size": 5, "image_size": 7, "batch_size": 2}, 1e-5),
    ("mlp", {"widths": [12, 9, 5], "bits": 32, "batch_size": 3}, 1e-5),
    ("cnn", IMAGES, 1e-5),
    ("train_mlp", {"widths": [12, 9, 5], "batch_size": 4}, 1e-4),
    ("train_cnn", IMAGES, 1e-4),
    ("decode", {**DECODE, "bits": 32}, 1e-5),
    ("decode", {**DECODE, "bits": 8}, 0.1),
]


def test_every_op_is_in_all_tables() -> None:
    """The schema, the titles, the work."""
    assert set(case_names()) == CASES.keys() == _SIZES.keys() == {op for op, _, _ in EXAMPLES}


@pytest.mark.parametrize(("op", "args", "allowed"), EXAMPLES)
def test_both_sides_answer_alike(op: str, args: dict[str, Any], allowed: float) -> None:
    """Call by call, from the same arrays; a decoded token computed again is the same."""
    pytest.importorskip("torch")
    from pipeline.measure.framework_torch import torch_call, torch_context

    case = make_case(op, args, 0)
    with torch_context(case), no_grad() if not isinstance(case, Training) else torch_context(case):
        ours, theirs = case.ours(1, None), torch_call(case, 1)
        numbers = [0, 1, 2, *([] if isinstance(case, Training) else [0])]
        pairs = [(np.array(ours(number)), np.asarray(theirs(number))) for number in numbers]
    for found, expected in pairs:
        assert found.shape == expected.shape
        assert float(np.abs(found - expected).max()) <= allowed * float(np.abs(expected).max())
    if not isinstance(case, Training):
        np.testing.assert_array_equal(pairs[0][0], pairs[-1][0])


def test_work_is_counted_by_hand() -> None:
    """A linear layer: two operations for each weight and sample; weights once, activations once."""
    work = make_case("linear", {"inputs": 10, "outputs": 20, "bits": 32, "batch_size": 3}, 0).work
    assert work.operations == 2 * 3 * 10 * 20
    assert work.moved_bytes == work.working_set_bytes == 4 * (10 * 20 + 20 + 3 * 30)
    step = make_case("train_mlp", {"widths": [10, 20], "batch_size": 3}, 0).work
    assert step.operations == 2 * work.operations
    assert step.moved_bytes == 4 * (10 * 220 + 3 * 3 * 30)
    assert step.working_set_bytes == 4 * (4 * 220 + 3 * 30)


def test_arrays_follow_from_the_seed() -> None:
    """Every process computes the same."""
    args = {"inputs": 8, "outputs": 8, "bits": 32, "batch_size": 1}
    with no_grad():
        first, again, other = (make_case("linear", args, seed).ours(1, None)(0) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
