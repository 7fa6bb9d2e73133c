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
    """The count is the last line, with the codes that `explain` knows."""
    several = [problem(), problem(), problem(code="E111")]
    assert render_problems(several).splitlines()[-1] == "3 problems; more: pipeline explain E114 E111"
    assert render_problems([problem()]).splitlines()[-1] == "more: pipeline explain E114"


def test_a_cut_line_shows_where_it_is_cut() -> None:
    """Dots stand where text is left out, and the caret stays below its value."""
    text = render_problem(problem(source_line="x" * 500 + "15" + "y" * 500, column=501)).splitlines()
    assert text[1].removeprefix("    2 | ").startswith("...x")
    assert text[1].endswith("y...")
    assert text[1].index("15") == text[2].index("^^")


@pytest.mark.parametrize("width", [0, 40, 60, 200])
def test_a_source_line_is_cut_to_the_width(width: int) -> None:
    """A terminal that wraps the line would tear line and caret apart."""
    line = "名前" * 100 + "15" + "y" * 500
    text = render_problem(problem(source_line=line, column=201), width).splitlines()
    cells = [sum(2 if "\u4e00" <= char <= "\u9fff" else 1 for char in row) for row in text]
    assert max(cells[1:3]) <= max(width, 40)
    assert cells[1] > max(width, 40) - 4
    assert sum(2 if "\u4e00" <= char <= "\u9fff" else 1 for char in text[1].partition("15")[0]) == text[2].index("^^")


def test_a_message_without_room_beside_the_caret_stands_below() -> None:
    """Nothing is cut from a message."""
    lines = render_problem(problem(source_line=" " * 90 + "15", column=91, message="word " * 12)).splitlines()
    assert lines[2] == "      | " + " " * 90 + "^^"
    assert lines[3] == "      | " + ("word " * 12).rstrip()


def test_a_line_of_a_megabyte_is_rendered_at_once() -> None:
    """What is cut away is not looked at, whatever its characters are."""
    for char in ("x", "名", "\u0301"):
        line = char * 10**6
        assert len(render_problem(problem(source_line=line, column=500_000, width=10**6))) < 1000


def test_endless_names_are_cut() -> None:
    """A key of a megabyte does not fill the screen."""
    assert len(render_problem(problem(yaml_path="k" * 10**6, message="m" * 10**6))) < 2000


def test_thousands_of_problems_do_not_fill_the_screen() -> None:
    """A hundred are shown, all are counted."""
    lines = render_problems([problem()] * 5000).splitlines()
    assert lines[-2:] == ["... and 4900 more", "5000 problems; more: pipeline explain E114"]
    assert sum(line.startswith("error:") for line in lines) == 100
