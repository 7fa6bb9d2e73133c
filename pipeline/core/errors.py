"""Everything that can go wrong, as one tree; what the process exits with is a property of the branch.

    PipelineError
    ├── UserError            2   the input is wrong: an argument, a file, a name
    │   └── ConfigError      2   an experiment file, with every problem in it
    ├── StageFailed          1   a stage could not do its work
    ├── GoalNotMet           3   the results are fine, a goal or gate of the experiment is not
    ├── SubmissionInvalid    4   a submission breaks its schema, a rule, or a re-run disagrees
    ├── TooNoisy             5   the machine is too restless to conclude anything
    ├── EnvironmentProblem   6   a missing package, a full disk, a folder that cannot be written
    └── InternalError       70   our own bug

Every error carries a code (`E114`) that `pipeline explain` knows. Printing is the command line's business; this file
only turns a problem into text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "ConfigError",
    "EnvironmentProblem",
    "GoalNotMet",
    "InternalError",
    "PipelineError",
    "Problem",
    "StageFailed",
    "SubmissionInvalid",
    "TooNoisy",
    "UserError",
    "render_problem",
    "render_problems",
]

_LONGEST_LINE = 120  # characters of a source line that are shown; a minified file must not fill the screen


@dataclass(frozen=True)
class Problem:
    """Say what is wrong at one place of a file.

    `path` is what a person clicks on ("file:line:column", or "command line"); `yaml_path` names the value
    ("optimize[0].prune.sparsity", "" for the whole file). `line` and `column` count from 1; `width` is the number of
    characters the caret underlines. `source_line` is the line as written, "" if there is none to show.
    """

    code: str
    path: str
    yaml_path: str
    message: str
    source_line: str = ""
    column: int = 1
    width: int = 1
    hint: str = ""
    line: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the problem as a JSON object."""
        return {
            "code": self.code,
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "yaml_path": self.yaml_path,
            "message": self.message,
            "hint": self.hint,
        }


class PipelineError(Exception):
    """The root: a message for a person, a code for `explain`, an exit code for a script, a hint about what to do."""

    exit_code: ClassVar[int] = 70
    code: str = "E900"

    def __init__(
        self, message: str, *, code: str | None = None, hint: str = "", problems: Iterable[Problem] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.problems: tuple[Problem, ...] = tuple(problems)
        if code is not None:
            self.code = code

    def to_json(self) -> dict[str, Any]:
        """Return the error as a JSON object: code, exit_code, message, hint and problems."""
        return {
            "code": self.code,
            "exit_code": self.exit_code,
            "message": self.message,
            "hint": self.hint,
            "problems": [problem.to_json() for problem in self.problems],
        }


class UserError(PipelineError):
    """The input is wrong: a misspelt name, a missing file, an argument out of range."""

    exit_code = 2
    code = "E200"


class ConfigError(UserError):
    """An experiment file has problems; all of them are in `problems`, sorted by position."""

    code = "E100"

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise InternalError("a ConfigError needs at least one problem")
        first, count = problems[0], len(problems)
        summary = f"{first.path}: {first.message}" if count == 1 else f"{count} problems in the experiment file"
        super().__init__(summary, code=first.code if count == 1 else None, problems=problems)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        """Keep the problems when the error crosses a process boundary."""
        return ConfigError, (self.problems,)


class StageFailed(PipelineError):
    """A stage could not do its work."""

    exit_code = 1
    code = "E300"


class GoalNotMet(PipelineError):
    """The experiment ran and one of its goals is not met."""

    exit_code = 3
    code = "E400"


class SubmissionInvalid(PipelineError):
    """A submission breaks its schema or a rule, or a re-run disagrees with it."""

    exit_code = 4
    code = "E500"


class TooNoisy(PipelineError):
    """The control shows that the machine is too restless to compare anything on it."""

    exit_code = 5
    code = "E600"


class EnvironmentProblem(PipelineError):
    """Something outside the experiment is missing or full; the message names the command that repairs it."""

    exit_code = 6
    code = "E700"


class InternalError(PipelineError):
    """A bug of ours: a state that the code rules out."""

    exit_code = 70
    code = "E900"


def render_problem(problem: Problem) -> str:
    """Render a problem as text: where, the source line, a caret under the value with the message, and the hint.

    error: experiments/bad.yaml:11:23  optimize[0].prune.sparsity
       11 |   - prune: {sparsity: 1.5}
          |                       ^^^ must be at least 0 and below 1, not 1.5 (the share of weights to remove)
    """
    head = f"error: {_printable(problem.path)}"
    if problem.yaml_path:
        head += f"  {_printable(problem.yaml_path)}"
    message = _printable(problem.message)
    if not problem.source_line:
        lines = [head, f"      {message}"]
    else:
        shown, caret = _underline(problem)
        number = str(problem.line) if problem.line else ""
        lines = [head, f"{number:>5} | {shown}", f"      | {caret} {message}"]
    if problem.hint:
        lines.append(f"      = {_printable(problem.hint)}")
    return "\n".join(line.rstrip() for line in lines)


def render_problems(problems: Sequence[Problem]) -> str:
    """Render problems one below the other, with a closing count when there are several."""
    blocks = [render_problem(problem) for problem in problems]
    if len(problems) > 1:
        blocks.append(f"{len(problems)} problems")
    return "\n".join(blocks)


def _underline(problem: Problem) -> tuple[str, str]:
    """Return the shown part of the source line, and the padding and carets that go below it."""
    text, start = problem.source_line, max(problem.column - 1, 0)
    cut = 0
    if len(text) > _LONGEST_LINE:
        cut = max(0, min(start - _LONGEST_LINE // 2, len(text) - _LONGEST_LINE))
        text = text[cut : cut + _LONGEST_LINE]
    before = _printable(text[: start - cut])
    marked = _printable(text[start - cut : start - cut + max(problem.width, 1)])
    padding = "".join("\t" if char == "\t" else " " * _cells(char) for char in before)
    return _printable(text), padding + "^" * max(sum(_cells(char) for char in marked), 1)


def _cells(char: str) -> int:
    """Return how many terminal cells a character takes: 2 for wide ones, 0 for combining marks."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _printable(text: str) -> str:
    """Replace control characters, which a hostile file could use to drive the terminal."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]", "\ufffd", text)
