"""What a worker process runs: it takes tasks from its parent, one at a time, computes them and answers.

The process ends when its parent closes the pipe, or dies: a thread does nothing but notice that. Whatever a stage
prints goes to stderr.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import Any

from pipeline.core.errors import EnvironmentProblem, OverMemory, StageFailed
from pipeline.execute.channel import Receiver, send
from pipeline.execute.decide import Oracle
from pipeline.execute.messages import Began, Failed, Finished, Ready, Said, Setup
from pipeline.execute.perform import perform
from pipeline.execute.task import Task
from pipeline.own.use import use_again

if sys.platform != "win32":
    import resource

__all__ = ["main"]


def main() -> None:
    """Serve the parent until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what becomes of a task
    requests, replies = _take_streams()
    inbox = _Inbox(requests)
    try:
        setup: Setup = pickle.loads(inbox.get())
        _limit_memory(setup.memory_limit_bytes)
        use_again(setup.own)
        oracle = Oracle(setup.store, setup.stages)
    except Exception as error:  # the parent reports it
        send(replies, _failed(error))
        return
    inbox.is_idle = True
    send(replies, Ready())
    while task := inbox.get():
        answer = _answer(task, oracle, setup, replies)
        inbox.is_idle = True  # before the parent hears of it, and may close the pipe
        send(replies, answer)
    setup.store.close()  # it writes what it has put off


def _take_streams() -> tuple[int, int]:
    """Return descriptors of the pipes from and to the parent, which nothing else can read from or print to now."""
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, replies


class _Inbox:
    """What the parent sends, received by a thread that also notices the parent's end; None is a wish to end."""

    def __init__(self, requests: int) -> None:
        self.is_idle = False  # set when nothing is left to do, unset when something arrives
        self._received: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=self._listen, args=(Receiver(requests),), daemon=True).start()

    def get(self) -> Any:
        return self._received.get()

    def _listen(self, receiver: Receiver) -> None:
        try:
            while True:
                message = receiver.receive()
                self.is_idle = False
                self._received.put(message)
        except EOFError:
            if not self.is_idle:  # the parent died
                os._exit(0)  # in the middle of anything: what was not committed is computed again
            self._received.put(None)


def _limit_memory(size: int | None) -> None:
    """Bound what this process and its children may each allocate: a MemoryError, before the system kills somebody."""
    if size is not None and sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_DATA, (size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _answer(task: Task, oracle: Oracle, setup: Setup, replies: int) -> Finished | Failed:
    try:
        _check_same(task, oracle)
        say, began = (lambda text: send(replies, Said(text))), (lambda: send(replies, Began()))
        return Finished(*perform(task, oracle, say, began, setup.threads))
    except MemoryError as error:
        if setup.memory_limit_bytes is None:
            return _failed(error)
        over = OverMemory(f"needs more than the {setup.memory_limit_bytes / 2**20:.0f} MB of --memory-limit")
        over.__cause__ = error
        return _failed(over)
    except SystemExit as error:  # of a stage: the process goes on
        return _failed(StageFailed(f"the stage ended its process, with exit code {error.code}"))
    except Exception as error:  # whatever a stage raises belongs to its node
        return _failed(error)


def _check_same(task: Task, oracle: Oracle) -> None:
    """Raise unless the code and the environment here are those that the task's key is made of."""
    environment = oracle.environment
    if (code := environment.code.digest(task.node)) != task.preimage.code:
        modules = ", ".join((environment.code.changed(task.preimage.code, code) or ())[:3]) or "a module"
        raise StageFailed(f"the code of {modules} was edited during this run; run again")
    planned, here = task.preimage.environment, environment.of(task.node, oracle.stages[task.node.stage])
    names = sorted(name for name in {*planned, *here} if planned.get(name) != here.get(name))
    if names:
        facts = "; ".join(
            f"{name} {here.get(name, 'absent')} instead of {planned.get(name, 'absent')}" for name in names
        )
        raise EnvironmentProblem(
            f"the worker process differs from what the plan was made with: {facts}",
            hint="give workers the same Python, packages and kind of processor as the command",
        )


def _failed(error: Exception) -> Failed:
    trace = "".join(traceback.format_exception(error))
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return Failed(error, trace)
    except Exception:  # an exception that cannot travel says why in whatever way it likes
        pass
    return Failed(StageFailed(f"{type(error).__name__}: {error}"), trace)
