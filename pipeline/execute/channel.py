"""Messages between a process and the worker processes that it starts: pickled values, each after its length.

Only for processes of one program that trust each other: both ends of the pipe are ours.
"""

from __future__ import annotations

import os
import pickle
import select
import struct
import time
from typing import Any

__all__ = ["Receiver", "send"]

_LONGEST_POLL_S = 3600.0  # the system counts milliseconds in 31 bits
_LENGTH = struct.Struct(">Q")


def send(descriptor: int, value: Any) -> None:
    """Write a value; raises BrokenPipeError when nobody reads any more."""
    body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    message = memoryview(_LENGTH.pack(len(body)) + body)
    while message:
        message = message[os.write(descriptor, message) :]


class Receiver:
    """Reads what `send` wrote at the other end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def receive(self, deadline: float | None = None) -> Any:
        """Return the next value; raises EOFError when the other end is closed.

        Raises TimeoutError when it has not arrived at the deadline, on the clock of `time.monotonic`.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        return pickle.loads(self._read(length, deadline))

    def _wait(self, deadline: float) -> None:
        while not self._poll.poll(1000 * max(0.0, min(deadline - time.monotonic(), _LONGEST_POLL_S))):
            if time.monotonic() >= deadline:
                raise TimeoutError

    def _read(self, count: int, deadline: float | None) -> bytearray:
        data = bytearray()
        while len(data) < count:
            if deadline is not None:
                self._wait(deadline)
            part = os.read(self._descriptor, count - len(data))
            if not part:
                raise EOFError
            data += part
        return data
