"""The process that checks inputs, one line of JSON in and one out; it may be slow, crash or run out of memory.

A request names an input by kind, seed and index, or by kind and a folder that holds it. The process may have 1 GB of
addresses, and write nowhere but below the folder it was given; both are watched here, time is watched from outside.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 30
_DEEP = 100_000  # making and writing deeply nested inputs takes more frames than reading them may
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MADE = {"os.chmod", "os.chown", "os.link", "os.mkdir", "os.mkfifo", "os.remove", "os.rename", "os.rmdir", "os.symlink"}
_MADE |= {"os.truncate", "os.utime", "shutil.move", "shutil.rmtree"}
_NEVER = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system"}
_NEVER |= {"pty.spawn", "socket.bind", "socket.connect", "subprocess.Popen", "webbrowser.open"}


class Watch:
    """Collects what the code that is checked does outside its folder; off while `folder` is None."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        folder = self.folder
        if folder is None or not (event in _MADE or event in _NEVER or event == "open"):
            return
        if event in _NEVER:
            self.seen.append(f"{event} {arguments!r:.200}")
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
            return
        paths = arguments[:2] if event in ("os.rename", "os.link", "shutil.move") else arguments[:1]
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                real = os.path.realpath(os.fsdecode(path))
                if not real.startswith(folder + os.sep) and real not in (folder, os.devnull):
                    self.seen.append(f"{event} {real}")


def main() -> int:
    """Answer requests until there are no more."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    from tests.fuzz.kinds import KINDS, make  # within the limit

    home = Path(sys.argv[1])
    watch = Watch()
    replies.write("{}\n")
    for line in sys.stdin:
        request = json.loads(line)
        folder = Path(tempfile.mkdtemp(dir=home))
        sys.setrecursionlimit(_DEEP)
        if "folder" in request:
            shutil.copytree(request["folder"], folder, symlinks=True, dirs_exist_ok=True, copy_function=_copy)
        else:
            from tests.fuzz.files import write_files

            write_files(make(request["kind"], request["seed"], request["index"]), folder)
        sys.setrecursionlimit(1000)
        reply = _checked(KINDS[request["kind"]].check, folder, watch)
        reply["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        shutil.rmtree(folder)
        replies.write(json.dumps(reply) + "\n")
    return 0


def _copy(source: str, target: str) -> None:
    if os.path.isfile(source):
        shutil.copyfile(source, target)
    else:
        os.mkfifo(target)


def _checked(check: Any, folder: Path, watch: Watch) -> dict[str, Any]:
    """Return the outcome for what lies in a folder: valid, refused, or failed with a kind and details."""
    os.chdir(folder)
    watch.seen.clear()
    watch.folder = os.path.realpath(folder.parent)
    try:
        outcome: dict[str, Any] = {"outcome": "valid" if check(folder) else "refused"}
    except BaseException as error:  # whatever it is, it is what is looked for
        kind = getattr(error, "kind", None) or f"{type(error).__name__} in {_place(error)}"
        outcome = {"outcome": "failed", "kind": kind, "detail": getattr(error, "detail", "") or _trace(error)}
    finally:
        watch.folder = None
        os.chdir(folder.parent)
    if watch.seen:
        kind = f"acts outside its folder: {watch.seen[0].split()[0]}"
        return {"outcome": "failed", "kind": kind, "detail": "\n".join(watch.seen)}
    return outcome


def _place(error: BaseException) -> str:
    """Return the innermost function of this project that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).parents[2])
    ours = [frame for frame in frames if frame.filename.startswith(root)] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].name}"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-6))[-2000:]


if __name__ == "__main__":
    sys.exit(main())
