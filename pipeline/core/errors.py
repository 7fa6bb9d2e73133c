"""Everything that can go wrong, as one tree; what the process exits with is a property of the branch.

    PipelineError
    ├── UserError            2   the input is wrong: an argument, a file, a name
    │   └── ConfigError      2   an experiment file, with every problem in it
    ├── StageFailed          1   a stage could not do its work
    │   ├── WorkerLost       1   the process that computed it ended by itself
    │   ├── TimedOut         1   it took longer than the limit
    │   └── OverMemory       1   it needed more memory than the limit
    ├── GoalNotMet           3   the results are fine, a goal or gate of the experiment is not
    ├── SubmissionInvalid    4   a submission breaks its schema, a rule, or a re-run disagrees
    ├── TooNoisy             5   the machine is too restless to conclude anything
    ├── EnvironmentProblem   6   a missing package, a full disk, a folder that cannot be written
    │   └── StoreUnwritable  6   results cannot be kept, so nothing more is worth computing
    ├── Stopped            130   a person ended the run, or the system did
    └── InternalError       70   our own bug

Every error carries a code (`E114`) that `pipeline explain` knows. Printing is the command line's business; this file
only turns a problem into text.
"""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

__all__ = [
    "ConfigError",
    "EnvironmentProblem",
    "GoalNotMet",
    "InternalError",
    "OverMemory",
    "PipelineError",
    "Problem",
    "StageFailed",
    "Stopped",
    "StoreUnwritable",
    "SubmissionInvalid",
    "TimedOut",
    "TooNoisy",
    "UserError",
    "WorkerLost",
    "render_problem",
    "render_problems",
    "trace",
]

_WIDTH = 120  # where a source line is cut; a minified file must not fill the screen
_NARROWEST = 40
_MARGIN = "      | "
_CUT = "..."
_LONGEST_TEXT = 600
_MOST_PROBLEMS = 100
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class Problem(NamedTuple):
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


class WorkerLost(StageFailed):
    """The process that computed a node ended by itself: it was killed, or it crashed."""

    code = "E313"


class TimedOut(StageFailed):
    """A node took longer than it may and was stopped."""

    code = "E314"


class OverMemory(StageFailed):
    """A node needed more memory than it may have."""

    code = "E315"


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


class Stopped(PipelineError):
    """A run was ended from outside after what was running; what it finished is kept."""

    exit_code = 130
    code = "E130"


class StoreUnwritable(EnvironmentProblem):
    """The store cannot be written: its disk is full, read-only or gone; whatever is computed now is lost."""

    code = "E701"


class InternalError(PipelineError):
    """A bug of ours: a state that the code rules out."""

    exit_code = 70
    code = "E900"


def render_problem(problem: Problem, width: int = _WIDTH) -> str:
    """Render a problem as text: where, the source line, a caret under the value with the message, and the hint.

    error: experiments/bad.yaml:11:23  optimize[0].prune.sparsity
       11 |   - prune: {sparsity: 1.5}
          |                       ^^^ must be at least 0 and below 1, not 1.5 (the share of weights to remove)

    The source line is cut to `width` cells, so that the caret stays below its value; a message that does not fit beside
    the caret stands below it.
    """
    head = f"error: {_printable(problem.path)}"
    if problem.yaml_path:
        head += f"  {_printable(problem.yaml_path[:_LONGEST_TEXT])}"
    message = _printable(problem.message[:_LONGEST_TEXT])
    if not problem.source_line:
        lines = [head, f"      {message}"]
    else:
        width = max(width, _NARROWEST)
        shown, caret = _underline(problem, width - len(_MARGIN))
        number = str(problem.line) if problem.line else ""
        fits = len(_MARGIN) + len(caret) + 1 + len(message) <= width
        below = [f"{caret} {message}"] if fits else [caret, message]
        lines = [head, f"{number:>5} | {shown}", *(_MARGIN + line for line in below)]
    if problem.hint:
        lines.append(f"      = {_printable(problem.hint)}")
    return "\n".join(line.rstrip() for line in lines)


def trace(error: BaseException) -> str:
    """Return an error with its traceback, as Python prints it."""
    lines: list[str] = importlib.import_module("traceback").format_exception(error)  # brings the tokenizer with it
    return "".join(lines)


def render_problems(problems: Sequence[Problem], width: int = _WIDTH) -> str:
    """Render problems one below the other, at most 100; the last line counts all and says how to learn more."""
    blocks = [render_problem(problem, width) for problem in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        blocks.append(f"... and {len(problems) - _MOST_PROBLEMS} more")
    codes = " ".join(dict.fromkeys(problem.code for problem in problems))
    count = f"{len(problems)} problems; " if len(problems) > 1 else ""
    return "\n".join([*blocks, f"{count}more: pipeline explain {codes}"])


def _underline(problem: Problem, longest: int) -> tuple[str, str]:
    """Return the shown part of the source line, and the padding and carets that go below it."""
    text, start = problem.source_line, max(problem.column - 1, 0)
    first, last = _window(text, start, longest)
    shown = _printable(text[first:last])
    before, marked = shown[: start - first], shown[start - first :][: max(problem.width, 1)]
    padding = "".join("\t" if char == "\t" else " " * _cells(char) for char in before)
    if first > 0:
        shown = _dotted(shown)
    if last < len(text):
        shown = _dotted(shown[::-1])[::-1]
    return shown, padding + "^" * max(_width(marked), 1)


def _window(text: str, start: int, longest: int) -> tuple[int, int]:
    """Return the ends of the part of a line that is shown: at most `longest` cells, the problem not at its edge."""
    lowest, first, last = max(0, start - longest), max(0, start - longest), min(len(text), start + longest)
    while first < start and _width(text[first:start]) > longest // 2:
        first += 1
    while _width(text[first:last]) > longest:
        last -= 1
    while first > lowest and _width(text[first - 1 : last]) <= longest:
        first -= 1
    return first, last


def _dotted(text: str) -> str:
    """Return the text with dots in place of its first characters, as wide as it was."""
    count = next((count for count in range(len(text)) if _width(text[:count]) >= len(_CUT)), len(text))
    return f"{_CUT:<{_width(text[:count])}}{text[count:]}"


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(char: str) -> int:
    """Return how many terminal cells a character takes: 2 for wide ones, 0 for combining marks."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _printable(text: str) -> str:
    """Replace control characters, and those that hide or reorder text: a hostile file must not drive the terminal."""
    return _UNSAFE.sub("\ufffd", text)
