"""Locks on names: who waits for whom, and that nothing is left of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.store import locks
from pipeline.store.locks import lock_file, locked

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
sys.path.insert(0, {root!r})
from pipeline.store.locks import locked
with locked({folder!r}, "a"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["a byte of a file", "a file"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for locks, with the kind of lock that this system has, and with the one that all have."""
    if request.param == "a file":
        monkeypatch.setattr(locks, "_WAIT", None)
    return tmp_path / "locks"


def test_threads_exclude_each_other(folder: Path) -> None:
    """The lock belongs to whoever opened it, not to the process."""
    order: list[str] = []

    def wait() -> None:
        with locked(folder, "a"):
            order.append("second")

    with locked(folder, "a"):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_other_names_are_free(folder: Path) -> None:
    """Two nodes run at once."""
    with locked(folder, "a"), locked(folder, "b"):
        pass


def test_a_lock_is_free_after_an_error(folder: Path) -> None:
    """Whatever happens inside the block."""
    with pytest.raises(ValueError, match="inside"), locked(folder, "a"):
        raise ValueError("inside")
    with locked(folder, "a"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """There is nothing to unlock, and it was held until then."""
    code = HOLD.format(root=str(ROOT), folder=str(tmp_path))
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    waiting = threading.Thread(target=lambda: locked(tmp_path, "a").__enter__())
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    holder.kill()
    holder.communicate()
    waiting.join(60)
    assert not waiting.is_alive()


def test_names_leave_no_files_behind(tmp_path: Path) -> None:
    """A sweep of a hundred thousand nodes has one."""
    for name in ("a", "b", "c"):
        with locked(tmp_path / "locks", name):
            pass
    assert len(os.listdir(tmp_path / "locks")) == (1 if locks._WAIT is not None else 3)


def test_a_folder_that_is_deleted_before_the_file_is_opened_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice in a row, too."""
    opened, deletions = os.open, iter(range(2))

    def delete_and_open(*arguments: Any) -> int:
        if next(deletions, None) is not None:
            shutil.rmtree(tmp_path / "locks", ignore_errors=True)
        return opened(*arguments)

    monkeypatch.setattr(os, "open", delete_and_open)
    os.close(lock_file(tmp_path / "locks", "keys"))
    assert (tmp_path / "locks" / "keys").exists()
