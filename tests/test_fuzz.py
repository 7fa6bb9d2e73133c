"""A few inputs of the fuzzer, and the fuzzer itself: it must notice what it is there to notice."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.fuzz.driver import Found, Worker, fuzz, shrink
from tests.fuzz.files import PIPE, Files, Link, read_files, write_files
from tests.fuzz.kinds import KINDS, make
from tests.fuzz.worker import Watch, _checked

INPUTS = {"competition": 30, "embedded": 40, "evidence": 20, "experiment": 20, "idx": 15, "images": 15}
INPUTS |= {"leaderboard": 12, "submission": 40}
HANGS_S = 60.0  # of a processor: here a hang fails, not a slow machine; how long an input may take is for the command


@pytest.fixture(autouse=True)
def _pillow() -> None:
    pytest.importorskip("PIL.Image", reason='pictures need pip install "tinytorch-pipeline[images]"')


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_file_holds_it_is_valid_or_refused(kind: str) -> None:
    """No traceback, no hang, no write elsewhere, no more than 1 GB. `python -m tests.fuzz` tries many more.

    Some stay valid: what is changed is valid to begin with, so that changes reach deeper than the first check.
    """
    tally = fuzz(kind, INPUTS.get(kind, 60), seed=20261122, each=HANGS_S)
    assert [(found.index, found.why, found.detail) for found in tally.found.values()] == []
    assert tally.valid + tally.refused == INPUTS.get(kind, 60)
    assert tally.valid > 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_is_the_same_every_time(kind: str) -> None:
    """Its number and the seed are all that is needed to make it again; others are others."""
    assert make(kind, 1, 5) == make(kind, 1, 5)
    assert len({repr(make(kind, 1, index)) for index in range(8)}) > 4


def test_files_links_and_pipes_are_written_and_read(tmp_path: Path) -> None:
    """An input that is kept can be given again."""
    files: Files = {"a/b": b"x", "a/c": Link("../d"), "p": PIPE}
    write_files(files, tmp_path)
    assert read_files(tmp_path) == files


def outcome(check: Any, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    return _checked(check, folder, Watch())


def test_errors_and_writes_elsewhere_are_noticed(tmp_path: Path) -> None:
    """An error has its place for a kind; a write is found out even if what wrote catches everything."""

    def breaks(folder: Path) -> bool:
        raise KeyError("x")

    def writes(folder: Path) -> bool:
        (folder / "inside").write_text("")
        (tmp_path.parent / f"{tmp_path.name}-outside").write_text("")
        return True

    def runs(folder: Path) -> bool:
        return bool(os.system("true"))

    here = Path.cwd()
    try:
        assert outcome(breaks, tmp_path / "a")["kind"] == "KeyError in test_fuzz.py:breaks"
        assert outcome(writes, tmp_path / "b")["kind"] == "acts outside its folder: open"
        assert outcome(runs, tmp_path / "c")["kind"] == "acts outside its folder: os.system"
        assert outcome(lambda folder: True, tmp_path / "d") == {"outcome": "valid"}
    finally:
        os.chdir(here)


class Needle(Worker):
    """Fails whenever there is an X in the file called a."""

    def check(self, seconds: float = 5, **request: Any) -> dict[str, Any]:
        """Look for it."""
        path = Path(request["folder"]) / "a"
        return {"outcome": "failed", "kind": "X"} if path.exists() and b"X" in path.read_bytes() else {"outcome": ""}


def test_what_failed_is_made_as_small_as_it_still_fails(tmp_path: Path) -> None:
    """Files and bytes that a failure does not need are left out."""
    noise = Random(0).randbytes(300).replace(b"X", b"")
    files: Files = {"a": noise + b"X" + noise, "b": b"more", "c": PIPE}
    assert shrink(Needle(tmp_path), Found("model", "X", "", 0), files, tmp_path) == {"a": b"X"}
