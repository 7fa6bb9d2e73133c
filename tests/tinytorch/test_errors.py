"""The package's errors: their messages, their facts, and that they survive a process boundary."""

import copy

import pytest

from tinytorch import errors

SAMPLES = [
    errors.DataFileError("a/b.idx", "12 bytes", "at least 16"),
    errors.TargetError("fcc1", ["fc1", "fc2", "conv1"]),
    errors.ModelFileError("broken"),
    errors.NoEffectError("nothing matched"),
]


def test_a_data_file_error_is_one_line():
    """PATH: found X, expected Y."""
    assert str(SAMPLES[0]) == "a/b.idx: found 12 bytes, expected at least 16"


def test_a_target_error_names_the_nearest():
    """Pattern, valid names and the nearest of them."""
    error = SAMPLES[1]
    assert (error.pattern, error.names, error.nearest[0]) == ("fcc1", ("fc1", "fc2", "conv1"), "fc1")
    assert "Did you mean 'fc1'" in str(error)
    assert str(errors.TargetError("zzz", [])) == "'zzz' matches no layer. Layers here: none."


@pytest.mark.parametrize("error", SAMPLES)
def test_errors_are_value_errors_that_copy(error):
    """Course code catches ValueError; a copy says the same."""
    assert isinstance(error, errors.TinyTorchError)
    assert isinstance(error, ValueError)
    twin = copy.copy(error)
    assert (type(twin), str(twin)) == (type(error), str(error))
