"""The parent's side of a worker process: start an interpreter, hand it a task, wait for the answer.

The worker is in a session of its own, where the terminal's Ctrl-C does not reach it; it ends when its pipe is closed,
so it outlives its parent in no case.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from pipeline.core.errors import InternalError, OverMemory, TimedOut, WorkerLost
from pipeline.core.event import Outcome
from pipeline.execute.channel import Receiver, send
from pipeline.execute.messages import Began, Failed, Finished, Ready, Said
from pipeline.execute.task import Task
from pipeline.measure.ending import ending
from pipeline.store.record import Record

__all__ = ["RemoteTraceback", "WorkerProcess"]

# The worker finds modules where its parent does, first of all this package.
_START = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pipeline.execute.worker_program import main
main()
"""
# A result must not depend on how many cores the machine has.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_PATIENCE_S = 10.0  # for a process to end whose pipe was closed


class RemoteTraceback(Exception):
    """The cause of an error from another process: its traceback there, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class WorkerProcess:
    """An interpreter that computes tasks, one at a time; `setup` is a pickled `Setup`. One thread may use it.

    `is_usable` turns false when it has died, was killed, could not start, or ran out of memory: close it then.
    """

    def __init__(self, setup: bytes) -> None:
        optimize = [f"-{'O' * sys.flags.optimize}"] if sys.flags.optimize else []
        self._process = subprocess.Popen(
            [sys.executable, *optimize, "-P", "-c", _START, json.dumps(sys.path)],
            env=os.environ | _ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise InternalError("a worker process has no pipes")
        self._requests = self._process.stdin.fileno()
        self._answers = Receiver(self._process.stdout.fileno())
        self._setup: bytes | None = setup
        self.is_usable = True

    def compute(self, task: Task, say: Callable[[str], None], timeout_s: float | None = None) -> tuple[Record, Outcome]:
        """Have a task computed; what it raises is raised here, with its traceback as the cause.

        Raises WorkerLost if the process ends meanwhile, and TimedOut if the task works for more than `timeout_s`: the
        process is killed then. Waiting for other runs, for a result of theirs or the end of a measurement, is no work.
        """
        try:
            if self._setup is not None:
                self._begin(self._setup)
            send(self._requests, task)
            deadline = None
            while isinstance(answer := self._answers.receive(deadline), Began | Said):
                if isinstance(answer, Said):
                    say(answer.text)
                elif timeout_s is not None:
                    deadline = time.monotonic() + timeout_s
        except (BrokenPipeError, EOFError) as error:
            self.is_usable = False
            raise WorkerLost(f"its process {ending(self._process.wait())}") from error
        except TimeoutError:
            self.kill()
            raise TimedOut(f"it took more than the {timeout_s:g} s of --timeout and was stopped") from None
        return self._result(answer)

    def kill(self) -> None:
        """End the process at once; another thread may be waiting for it, which then sees WorkerLost."""
        self.is_usable = False
        self._process.kill()

    def close(self) -> None:
        """Let the process end, and wait for that."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _begin(self, setup: bytes) -> None:
        send(self._requests, setup)
        if isinstance(answer := self._answers.receive(), Ready):
            self._setup = None
        else:
            self.is_usable = False
            self._result(answer)

    def _result(self, answer: Finished | Failed) -> tuple[Record, Outcome]:
        if isinstance(answer, Finished):
            return answer.record, answer.outcome
        if isinstance(answer.error, OverMemory):
            self.is_usable = False
        answer.error.__cause__ = RemoteTraceback(answer.trace)
        raise answer.error
