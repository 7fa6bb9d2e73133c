"""How many samples go through a native part at once."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.kernels import native
from tinytorch.models import cnn
from tinytorch.runtime.parts import samples_at_once
from tinytorch.runtime.plan import NativePart, Op
from tinytorch.runtime.session import InferenceSession


def part(slots: tuple[int, ...], weights: int) -> NativePart:
    """Return a part with so many bytes a sample and numbers of weights."""
    op = Op("linear_f32", (0, 1), (), (), (np.empty(weights, np.float32), None))
    return NativePart((op,), slots, (None,), 1, None)


def test_few_large_samples_go_at_once() -> None:
    """Their buffers stay in the cache of each thread's core."""
    assert samples_at_once(part((1 << 18, 1 << 16), 100), 64, 1) == 3
    assert samples_at_once(part((1 << 18, 1 << 16), 100), 64, 2) == 6
    assert samples_at_once(part((1 << 24, 1 << 22), 100), 64, 1) == 1


def test_small_samples_go_all_at_once() -> None:
    """As many as the batch has, and no more."""
    assert samples_at_once(part((256, 40), 100), 64, 1) == 64


def test_large_weights_are_not_read_more_often() -> None:
    """A batch whose samples take less than the weights is not divided."""
    assert samples_at_once(part((12_288, 4_096), 3072 * 1024), 256, 1) == 256


@pytest.mark.skipif(not native.isas(), reason=f"the native kernels are not built: {native.why_not()}")
def test_samples_in_several_goes_give_the_same() -> None:
    """Also where the last one is smaller."""
    net = cnn.build((3, 32, 32), 10, np.random.default_rng(1), depth=2, width=16)
    x = np.random.default_rng(2).standard_normal((13, 3, 32, 32), np.float32)
    alone = InferenceSession(net, 1)
    expected = np.concatenate([alone.run(one[None]) for one in x])
    np.testing.assert_allclose(InferenceSession(net, 13).run(x), expected, rtol=1e-5, atol=1e-5)
