"""Freed memory is there for the next step."""

import ctypes
import sys

import numpy as np
import pytest

from tinytorch.kernels.memory import freed_memory_kept

resource = pytest.importorskip("resource")
THP_DISABLE, THP_IS_DISABLED = 41, 42  # <linux/prctl.h>: PR_SET_THP_DISABLE and PR_GET_THP_DISABLE
HAS_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")


@pytest.fixture
def small_pages():
    """Have memory provided in pages of 4 KiB, also by a system that takes huge ones: each is a single fault."""
    libc = ctypes.CDLL(None)
    was_disabled = libc.prctl(THP_IS_DISABLED, 0, 0, 0, 0)
    libc.prctl(THP_DISABLE, 1, 0, 0, 0)
    yield
    libc.prctl(THP_DISABLE, was_disabled, 0, 0, 0)


def page_faults_of_a_step():
    """Hold and free 60 MB, as a training step does, and return how many pages the system had to provide."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for array in [np.empty(3 << 20, np.uint8) for _ in range(20)]:
        array[::4096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not HAS_GLIBC, reason="only glibc can be told to keep memory")
@pytest.mark.usefixtures("small_pages")
def test_a_second_step_finds_the_memory_of_the_first():
    """Inside the block the system provides 60 MB once; after it, memory is given back and usable as ever."""
    with freed_memory_kept():
        page_faults_of_a_step()
        assert page_faults_of_a_step() < 1000
    assert page_faults_of_a_step() > 1000


def test_an_error_ends_the_block():
    """The usual ways come back with an exception, too."""
    with pytest.raises(ZeroDivisionError), freed_memory_kept():
        raise ZeroDivisionError
