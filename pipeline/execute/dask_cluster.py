"""A Dask cluster on this machine: a scheduler and one worker with as many cores as nodes may run at once.

Both are processes of their own in sessions of their own: the terminal's Ctrl-C does not reach them, and they end,
with all they started, when this process lets go of their standard input, or dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.core.errors import EnvironmentProblem, InternalError

__all__ = ["Cluster"]

_START = """\
import json, os, signal, sys, threading
sys.path[:] = json.loads(sys.argv[1])
sys.argv[1:2] = []
def end_with_parent():
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end_with_parent, daemon=True).start()
from distributed.cli.{program} import main
main()
"""
_SETTINGS = {
    "DASK_LOGGING__DISTRIBUTED": "error",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2",  # a node that ends its worker three times is to blame
    # Something may be measured beside it: with Dask's own settings its idle processes wake up 206 times a second and
    # take 6 % of a core, with these 13 times and 0.7 %.
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "5s",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "60s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
}
_PATIENCE_S = 60.0  # for a scheduler to start: it imports for a second or two on a machine with nothing else to do
_TAIL_BYTES = 2000


class Cluster:
    """A scheduler and a worker on the loopback interface; `address` is the scheduler's.

    Raises EnvironmentProblem with the end of its output when the scheduler does not start.
    """

    def __init__(self, cores: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pipeline-dask-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        place = self._folder / "scheduler.json"
        nowhere = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        try:
            self._start(
                "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(place), *nowhere
            )
            self.address = self._address(place)
            many = ["--nworkers", "1", "--nthreads", str(cores), "--resources", f"core={cores}", "--memory-limit", "0"]
            files = ["--local-directory", str(self._folder), "--death-timeout", "60"]
            self._start("dask_worker", self.address, "--host", "127.0.0.1", "--nanny", *many, *files, *nowhere)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all processes, in the middle of their work."""
        for process in reversed(self._processes):
            if process.stdin:
                process.stdin.close()
        for process in self._processes:
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def output(self) -> str:
        """Return the end of what the processes had to say."""
        with contextlib.suppress(OSError):
            return (self._folder / "output").read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
        return ""

    def _start(self, program: str, *arguments: str) -> None:
        with (self._folder / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START.format(program=program), json.dumps(sys.path), *arguments],
                env=os.environ | _SETTINGS,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)

    def _address(self, place: Path) -> str:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline and self._processes[0].poll() is None:
            with contextlib.suppress(FileNotFoundError, ValueError):  # it is not there yet, or not whole
                address = json.loads(place.read_bytes())["address"]
                if not isinstance(address, str):
                    raise InternalError(f"a Dask scheduler's address is {address!r}")
                return address
            time.sleep(0.02)
        raise EnvironmentProblem("the Dask scheduler did not start", hint=self.output())
