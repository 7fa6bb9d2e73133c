"""Reading a stranger's JSON: bounded, and strict about what JSON leaves open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.submission.read import MAX_BYTES, MAX_DEPTH, parse_submission, read_submission

BAD = {
    "NaN": (b'{"a": NaN}', "NaN"),
    "infinity": (b'{"a": -Infinity}', "-Infinity"),
    "overflow": (b'{"a": 1e999}', "out of range"),
    "huge integer": (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
    "large integer": (b'{"a": 1234567890123456789}', "19 digits"),
    "duplicate key": (b'{"a": 1, "b": 2, "a": 3}', "'a' twice"),
    "inner duplicate": (b'{"x": {"k": 1, "k": 1}}', "'k' twice"),
    "surrogate": (b'{"a": "\\ud800"}', "surrogate"),
    "surrogate in a key": (b'{"\\udc00": 1}', "surrogate"),
    "not UTF-8": (b'{"a": "\xff"}', "UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-8"),
    "empty": (b"", "not JSON"),
    "truncated": (b'{"a": [1, 2', "not JSON"),
    "trailing text": (b"{} {}", "not JSON"),
    "a list": (b"[1]", "a list"),
    "a number": (b"3", "a number"),
    "deep": (b'{"a":' * 100 + b"1" + b"}" * 100, "nested 100 deep"),
    "very deep": (b"[" * 1_000_000, "nested 1000000 deep"),
    "too large": (b'"' + b"x" * MAX_BYTES + b'"', "larger than 16 MiB"),
    "quotes without end": (b'"' + b'\\"' * 2_000_000, "not JSON"),
    "many keys, one twice": (b"{" + b",".join(b'"%d":0' % (i % 200_000) for i in range(200_001)) + b"}", "'0' twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_bounded_object_is_rejected(name: str) -> None:
    """With one line that says why; nothing hangs and nothing overflows the stack."""
    data, message = BAD[name]
    with pytest.raises(SubmissionInvalid, match=message) as caught:
        parse_submission(data)
    assert caught.value.code == "E501"
    assert "\n" not in caught.value.message


def test_brackets_inside_strings_do_not_count_as_depth() -> None:
    """Only structure is bounded."""
    text = "[" * (MAX_DEPTH + 1) + '\\"{'
    assert parse_submission(b'{"a": "' + text.encode() + b'"}') == {"a": text.replace("\\", "")}


def test_ordinary_json_is_read_as_it_is() -> None:
    """Numbers keep their type."""
    assert parse_submission('{"µ": [1, 1.5, -2e-3, true, null, "ß"]}'.encode()) == {
        "µ": [1, 1.5, -0.002, True, None, "ß"]
    }


def test_a_file_is_named_in_the_message(tmp_path: Path) -> None:
    """What cannot be read is the user's mistake, what is read and wrong is the submission's."""
    path = tmp_path / "s.json"
    with pytest.raises(UserError, match=r"s\.json: cannot be read"):
        read_submission(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_submission(tmp_path)
    path.write_text("[]")
    with pytest.raises(SubmissionInvalid, match=r"s\.json: holds a list"):
        read_submission(path)


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    """A pipe that nobody writes to would be waited for; a device may never end."""
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(UserError, match="it is not a regular file"):
            read_submission(path)
