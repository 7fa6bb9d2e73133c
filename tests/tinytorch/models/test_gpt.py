"""The architecture gpt: what is wrong with its arguments is said in one line."""

import numpy as np
import pytest

from tinytorch.models.gpt import build


@pytest.mark.parametrize(
    ("shape", "args", "message"),
    [
        ((3, 8, 8), {}, r"a gpt reads texts, samples of shape \(context,\), not \(3, 8, 8\)"),
        ((16,), {"embed_dim": 10, "heads": 4}, "embed_dim must be a multiple of heads=4, not 10"),
        ((16,), {"embed_dim": 9, "heads": 3, "positions": "sinusoidal"}, "embed_dim must be even"),
        ((16,), {"positions": "learnt"}, "positions must be one of learned, sinusoidal, not 'learnt'; did you mean"),
        ((16,), {"embed_dim": 8192, "layers": 64}, "would make .* weights, more than"),
    ],
)
def test_arguments_that_do_not_fit(shape, args, message):
    """Before anything large is made."""
    with pytest.raises(ValueError, match=message):
        build(shape, 100, np.random.default_rng(0), **args)


def test_its_positions_are_those_of_the_data():
    """A text is as long as the windows of the data set."""
    model = build((24,), 50, np.random.default_rng(0), layers=2, embed_dim=16, positions="sinusoidal")
    assert (model.input_shape, model.gpt.max_seq_len, model.gpt.num_layers) == ((24,), 24, 2)
    assert model.output_shape((24,)) == (24, 50)


def test_random_samples_are_tokens_that_it_has():
    """What kernels are timed on, the same each time."""
    model = build((24,), 50, np.random.default_rng(0), layers=1, embed_dim=16)
    tokens = model.random_samples(3)
    assert tokens.shape == (3, 24)
    assert set(np.unique(tokens)) <= set(range(50))
    np.testing.assert_array_equal(tokens, model.random_samples(3))
