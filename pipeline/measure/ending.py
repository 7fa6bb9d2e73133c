"""How a process ended, in words."""

from __future__ import annotations

import signal

__all__ = ["ending"]


def ending(code: int) -> str:
    """Say how a process with this return code ended, after "it": as `subprocess` has it, a signal is negative."""
    if code >= 0:
        return f"ended with exit code {code}"
    names = {known.value: known.name for known in signal.Signals}
    hint = " (out of memory?)" if -code == getattr(signal, "SIGKILL", None) else ""
    return f"was killed by {names.get(-code, f'signal {-code}')}{hint}"
