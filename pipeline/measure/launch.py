"""The parent's side of a worker: write its job, start a fresh interpreter, sleep until it ends, read its result.

The worker is the whole child: it starts no process of its own, and it is killed and reaped when it takes too long or
when the parent is interrupted. It does not get the terminal's Ctrl-C, and on Linux it dies with its parent, however
that ends: a forgotten worker would disturb what is measured next.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import site
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.core.errors import StageFailed
from pipeline.measure import worker
from pipeline.measure.ending import ending
from pipeline.measure.job import Job

__all__ = ["THREAD_VARIABLES", "WorkerFailed", "environment", "run_worker"]

# Read by OpenMP, OpenBLAS, MKL, BLIS, Apple's Accelerate and numexpr when they are loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

# What an interpreter needs to start and to find its libraries; all else (tracing, BLAS tuning) is left behind.
_KEPT = (
    "APPDATA", "DYLD_LIBRARY_PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX", "PYTHONUSERBASE", "SYSTEMROOT", "TEMP",
    "TINYTORCH_KERNELS", "TMP", "TMPDIR", "USERPROFILE", "VIRTUAL_ENV",
)  # fmt: skip
_TAIL_LINES = 6
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class WorkerFailed(StageFailed):
    """A worker process died, refused its job, or took too long; nothing it measured is used."""

    code = "E310"


def run_worker(job: Job, timeout_s: float, program: ModuleType = worker) -> dict[str, Any]:
    """Run the job in a fresh process and return its result; raises WorkerFailed with the end of its stderr.

    `program` is the module that does jobs of this kind; what needs other packages is a worker of its own. The calling
    thread sleeps in a system call meanwhile, so that it takes no time from what is measured.
    """
    result = Path(job.result)
    path = result.with_name(f"{result.stem}.job.json")
    job.write(path)
    # -P: the folder this runs in must not shadow modules
    command = [sys.executable, "-P", "-m", program.__name__, str(path)]
    try:
        done = subprocess.run(
            command,
            env=environment(job.threads, job.seed),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    except subprocess.TimeoutExpired as expired:
        tail = _tail(expired.stderr)
        raise WorkerFailed(f"a worker process took more than {timeout_s:.0f} s and was stopped{tail}") from None
    if done.returncode != 0:
        raise WorkerFailed(f"a worker process {ending(done.returncode)}{_tail(done.stderr)}")
    value: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return value


def environment(threads: int, seed: int) -> dict[str, str]:
    """Return the variables a worker starts with: what it needs, threads, hash seed, and where this package is."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    kept |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    kept["PYTHONHASHSEED"] = str(seed % 2**32)
    folders = [*_package_folder(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    if any(folders):
        kept["PYTHONPATH"] = os.pathsep.join(folder for folder in folders if folder)
    return kept


def _die_with_parent() -> None:
    """Have the system kill this process when the thread that started it ends; one call, since threads may be about."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _package_folder() -> list[str]:
    """Return the folder that holds this package, unless every interpreter of this environment looks there anyway."""
    # PYTHONPATH comes before all site-packages: naming one there would change which numpy is found.
    folder = Path(__file__).resolve().parents[2]
    installed = {*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()}
    return [] if folder in {Path(path).resolve() for path in installed} else [str(folder)]


def _tail(stderr: bytes | None) -> str:
    lines = (stderr or b"").decode("utf-8", "replace").strip().splitlines()[-_TAIL_LINES:]
    return ":\n  " + "\n  ".join(lines) if lines else ""
