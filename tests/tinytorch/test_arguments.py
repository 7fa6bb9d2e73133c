"""Arguments from an experiment file: the checked value, or one line that says what is valid."""

from __future__ import annotations

import pytest

from tinytorch.arguments import choice, integer, integers, number, with_defaults


def test_defaults_fill_what_is_not_given() -> None:
    """Given arguments win over defaults, and the table of defaults stays as it is."""
    defaults = {"width": 16, "depth": 2}
    assert with_defaults("cnn", defaults, {"depth": 3}) == {"width": 16, "depth": 3}
    assert defaults == {"width": 16, "depth": 2}


def test_an_unknown_argument_names_the_nearest() -> None:
    """A misspelt argument is an error with the right spelling and all valid names."""
    with pytest.raises(
        ValueError, match=r"cnn has no argument 'widht'; did you mean 'width'\? \(valid: depth, width\)"
    ):
        with_defaults("cnn", {"width": 16, "depth": 2}, {"widht": 8})


@pytest.mark.parametrize("value", [0, 9, 2.0, True, "2", None, [2]])
def test_integer_refuses_everything_else(value: object) -> None:
    """Only an int within the range is an integer; True, 2.0 and "2" are not."""
    with pytest.raises(ValueError, match="depth must be an integer from 1 to 8, not"):
        integer("depth", value, 1, 8)  # type: ignore[arg-type]


def test_integers_says_which_item_is_wrong() -> None:
    """A bad item is named by its position."""
    assert integers("hidden", [3, 4], 1, 9, most=2) == (3, 4)
    with pytest.raises(ValueError, match=r"hidden\[1\] must be an integer from 1 to 9, not 0"):
        integers("hidden", [3, 0], 1, 9, most=2)


@pytest.mark.parametrize("value", [[], [1, 2, 3], "12", 5, None])
def test_integers_refuses_what_is_no_list_of_the_right_length(value: object) -> None:
    """Text, a bare number and lists that are too short or too long are errors."""
    with pytest.raises(ValueError, match="hidden must be a list of 1 to 2 integers"):
        integers("hidden", value, 1, 9, most=2)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), float("inf"), True, "0.5", None])
def test_number_refuses_everything_else(value: object) -> None:
    """Only a finite number within the range will do; the upper end can be left out."""
    with pytest.raises(ValueError, match="0 <= dropout < 1"):
        number("dropout", value, 0, 1, below_high=True)  # type: ignore[arg-type]


def test_number_takes_an_integer() -> None:
    """0 is as good as 0.0."""
    assert number("dropout", 0, 0, 1) == 0.0


def test_choice_names_the_nearest() -> None:
    """A misspelt choice is an error with the valid ones."""
    assert choice("activation", "relu", ["gelu", "relu"]) == "relu"
    with pytest.raises(ValueError, match=r"one of gelu, relu, not 'rellu'; did you mean 'relu'\?"):
        choice("activation", "rellu", ["gelu", "relu"])
