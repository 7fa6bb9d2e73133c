"""The error tree: codes, exit codes, and problems as text."""

from __future__ import annotations

import pickle

import pytest

from pipeline.core import errors
from pipeline.core.errors import ConfigError, PipelineError, Problem, UserError, render_problem, render_problems


def problem(**changes: object) -> Problem:
    facts = {
        "code": "E114",
        "path": "x.yaml:2:4",
        "yaml_path": "a.b",
        "message": "is wrong",
        "source_line": "b: 15",
        "line": 2,
    }
    return Problem(**{**facts, "column": 4, "width": 2, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "exit_code"),
    [
        ("UserError", 2),
        ("StageFailed", 1),
        ("GoalNotMet", 3),
        ("SubmissionInvalid", 4),
        ("TooNoisy", 5),
        ("EnvironmentProblem", 6),
        ("InternalError", 70),
    ],
)
def test_each_branch_has_its_exit_code(name: str, exit_code: int) -> None:
    """Scripts tell the kinds of failure apart."""
    error = getattr(errors, name)("message", hint="do this")
    assert isinstance(error, PipelineError)
    assert error.to_json()["exit_code"] == exit_code
    assert (str(error), error.hint) == ("message", "do this")


def test_an_error_may_carry_a_more_precise_code() -> None:
    """A code given to one error does not change its class."""
    assert UserError("x", code="E201").code == "E201"
    assert UserError("x").code == "E200"


def test_a_config_error_sums_its_problems_up() -> None:
    """One problem lends its code and message; of several only the number is told."""
    assert str(ConfigError([problem()])) == "x.yaml:2:4: is wrong"
    assert ConfigError([problem()]).code == "E114"
    several = ConfigError([problem(), problem()])
    assert (str(several), several.code) == ("2 problems in the experiment file", "E100")


def test_errors_cross_process_boundaries() -> None:
    """Problems, codes and hints survive pickling between our own processes."""
    for error in (ConfigError([problem(), problem()]), UserError("x", code="E201", hint="y")):
        again = pickle.loads(pickle.dumps(error))
        assert again.to_json() == error.to_json()


def test_a_problem_shows_its_line_and_a_caret() -> None:
    """The caret underlines as many characters as the value has, and the hint follows."""
    assert render_problem(problem(hint="try 14")).splitlines() == [
        "error: x.yaml:2:4  a.b",
        "    2 | b: 15",
        "      |    ^^ is wrong",
        "      = try 14",
    ]


def test_a_problem_without_a_line_is_one_message() -> None:
    """A missing file has nothing to show."""
    assert render_problem(problem(source_line="", yaml_path="")) == "error: x.yaml:2:4\n      is wrong"


def test_carets_stand_below_wide_and_tabbed_text() -> None:
    """East Asian characters take two cells, tabs are repeated, combining marks take none."""
    line = "名:\té\u0301x 15"
    text = render_problem(problem(source_line=line, column=line.index("15") + 1)).splitlines()
    assert text[2] == "      |    \t   ^^ is wrong"


def test_a_long_line_is_cut_around_the_problem() -> None:
    """A file in one line does not fill the screen."""
    text = render_problem(problem(source_line="x" * 5000 + "15" + "y" * 5000, column=5001)).splitlines()
    assert len(text[1]) < 140
    assert text[1].index("15") == text[2].index("^^")


def test_control_characters_do_not_reach_the_terminal() -> None:
    """Escape sequences in names, values and lines are made visible."""
    text = render_problem(problem(source_line="\x1b[2Jb: 15", message="not \x1b]0;x\x07", path="\x9b31m"))
    assert not any((ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 for char in text)


def test_several_problems_end_with_their_number() -> None:
    """The count is the last line."""
    assert render_problems([problem(), problem()]).splitlines()[-1] == "2 problems"
    assert "problems" not in render_problems([problem()])
