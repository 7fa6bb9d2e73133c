"""Watch a training run from outside: keep its state in a folder, so that it survives a kill, and hear of every epoch.

What trains (`fit`) may be deep inside a pass, which knows nothing of either: whoever starts it opens a `watched` block.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Watch", "current_watch", "watched"]

_EVERY_S = 10.0  # a state of some MB is written and flushed in 0.1 s at most


def _tell_nobody(text: str) -> None:
    """Receive what is said where nobody listens."""


@dataclass
class Watch:
    """Where states are kept (None: nowhere), who is told, and how many seconds lie at least between two of either."""

    folder: Path | None = None
    say: Callable[[str], None] = _tell_nobody
    every_s: float = _EVERY_S
    _began: float = field(default_factory=time.monotonic)

    def is_due(self) -> bool:
        """Tell whether enough time has passed since it last was, or since the watch began."""
        if time.monotonic() - self._began < self.every_s:
            return False
        self._began = time.monotonic()
        return True


_watch: ContextVar[Watch | None] = ContextVar("_watch", default=None)


def current_watch() -> Watch:
    """Return the watch of the innermost `watched` block around, or one that keeps and tells nothing."""
    return _watch.get() or Watch(every_s=float("inf"))


@contextlib.contextmanager
def watched(
    folder: Path | None = None, say: Callable[[str], None] = _tell_nobody, every_s: float = _EVERY_S
) -> Iterator[None]:
    """Keep the state of what `fit` trains inside the block in `folder`, and `say` a line for an epoch.

    At most every `every_s` seconds, after an epoch: short runs are neither kept nor heard. The same `fit` in another
    block with that folder, after a kill, continues where the last state was written, to the same bits. The folder is
    made when it is needed; whoever chose it removes it.
    """
    token = _watch.set(Watch(folder, say, every_s))
    try:
        yield
    finally:
        _watch.reset(token)
