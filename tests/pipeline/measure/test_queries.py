"""Queries drawn from a data set."""

import numpy as np
import pytest

from pipeline.measure.queries import draw_queries
from tinytorch.data.split import Split


def split(count, side=4):
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, side, side), np.uint8)
    return Split(pixels, np.zeros(count, np.int64))


def test_small_queries_are_all_different():
    """As many queries as images or 256 are drawn without repeating an image before all were used."""
    queries = draw_queries(split(100), samples_per_query=1, seed=0)
    assert queries.shape == (256, 1, 1, 4, 4)
    assert queries.dtype == np.float32
    assert len(np.unique(queries[:100, 0, 0, 0, 0])) == 100


def test_large_queries_are_few_but_several():
    """A batch larger than the data repeats images, and four queries are drawn however large they are."""
    queries = draw_queries(split(10, side=64), samples_per_query=512, seed=0)
    assert queries.shape == (4, 512, 1, 64, 64)
    assert not np.array_equal(queries[0], queries[1])


def test_draw_depends_on_the_seed_only():
    """The same seed draws the same queries, another seed others."""
    first, again, other = (draw_queries(split(50), 2, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_empty_data_set_is_refused():
    """No images, no queries."""
    with pytest.raises(ValueError, match="no images"):
        draw_queries(split(0), 1, 0)
