"""The machine a figure was measured on: processor, caches, cores, memory, kernel, container, governor and turbo.

Standard library only and quick (a few small files are read), because the planner asks for the fingerprint too.
What cannot be read is None, and `missing` says why. Host name, load and clocks are left out: they are not the machine.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["architecture", "cpu_groups", "facts", "fingerprint", "flags"]

# Instruction sets that decide which BLAS or integer kernel runs: the vector widths, fused multiply-add, and the
# low-precision dot products of x86 (VNNI, AMX, BF16) and Arm (dotprod, i8mm, SVE).
# fmt: off
_FLAGS = frozenset({
    "amx_bf16", "amx_int8", "amx_tile", "asimd", "asimddp", "avx", "avx2", "avx512_bf16",
    "avx512_fp16", "avx512_vnni", "avx512bw", "avx512f", "avx512vl", "avx_vnni", "bf16", "f16c",
    "fma", "i8mm", "sse4_2", "sve", "sve2",
})
# fmt: on
_HEAD_BYTES = 16_384  # /proc/cpuinfo repeats itself per core; the first core's block is far shorter than this

Facts = dict[str, Any]


def facts(root: Path = Path("/")) -> Facts:
    """Return the facts as JSON values; `root` is where proc and sys are looked for (a test's folder, else "/").

    Keys: cpu, architecture, system, kernel, flags, virtual, caches (bytes by name), cores {online, allowed, quota},
    memory_bytes, container, governor, turbo, and missing {key: why it is None}. A quota of None is no quota.
    """
    found: Facts = dict(zip(("system", "kernel", "architecture"), _system(), strict=True))
    missing: dict[str, str] = {}
    readers = {
        "caches": _caches,
        "container": _container,
        "cpu": _cpu,
        "flags": _flags,
        "governor": _governor,
        "memory_bytes": _memory_bytes,
        "turbo": _turbo,
        "virtual": _virtual,
    }
    for key, reader in readers.items():
        try:
            found[key] = reader(root)
        except (OSError, LookupError, ValueError) as error:
            found[key] = None
            missing[key] = _reason(error, root)
    found["cores"] = {"allowed": len(_allowed()), "online": os.cpu_count(), "quota": _quota(root)}
    found["missing"] = missing
    return found


def fingerprint(root: Path = Path("/")) -> str:
    """Return a digest (64 hex digits) of the facts: equal on equal machines, the key of cached measurements."""
    # Memory is rounded to GiB: kernels reserve a little more or less at each boot.
    known = facts(root)
    memory = known["memory_bytes"]
    stable = {**known, "missing": None, "memory_bytes": None if memory is None else round(memory / 2**30)}
    return hashlib.sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()


def architecture() -> str:
    """Return the architecture of the facts alone."""
    return _system()[-1]


def flags(root: Path = Path("/")) -> list[str]:
    """Return the instruction sets of the facts alone, sorted; none where they cannot be read."""
    try:
        return _flags(root)
    except (OSError, LookupError, ValueError):
        return []


def cpu_groups(root: Path = Path("/")) -> list[Path]:
    """Return the folders of the control groups that may limit this process's CPU time, from its own to the outermost.

    Raises OSError where the system has no control groups.
    """
    found = []
    for line in (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
            group = mount / path.lstrip("/")
            found += [folder for folder in (group, *group.parents) if folder.is_relative_to(mount)]
    return found


def _system() -> tuple[str, str, str]:
    """Return the system, its release and the architecture as `platform` tells them, which takes 2 ms to import."""
    if sys.platform != "win32":
        told = os.uname()
        return told.sysname, told.release, told.machine
    platform = importlib.import_module("platform")
    return platform.system(), platform.release(), platform.machine()


def _allowed() -> frozenset[int]:
    if sys.platform == "linux":
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _quota(root: Path) -> float | None:
    """Return the cores' worth of time that control groups grant this process on average; None without a limit.

    A group above this one may grant less than its own, so all of them count, up to the root that is mounted.
    """
    try:
        grants = [_grant(group) for group in cpu_groups(root)]
    except OSError:
        return None
    return min((grant for grant in grants if grant is not None), default=None)


def _grant(group: Path) -> float | None:
    """Return one group's quota over its period: `cpu.max` of version 2, cfs_quota_us and cfs_period_us of version 1."""
    try:
        if (group / "cpu.max").exists():
            quota, period = _word(group / "cpu.max").split()
        else:
            quota, period = _word(group / "cpu.cfs_quota_us"), _word(group / "cpu.cfs_period_us")
        return int(quota) / int(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None


def _reason(error: Exception, root: Path) -> str:
    if isinstance(error, OSError):
        path = error.filename if root == Path("/") else f"/{Path(error.filename).relative_to(root)}"
        return f"{path}: {error.strerror}"
    return str(error.args[0])


def _cpuinfo(root: Path) -> dict[str, str]:
    with open(root / "proc/cpuinfo", "rb") as file:
        head = file.read(_HEAD_BYTES).decode("utf-8", "replace")
    first, _, _ = head.partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _cpu(root: Path) -> str:
    info = _cpuinfo(root)
    if "model name" in info:
        stepping = "/".join(info.get(key, "?") for key in ("cpu family", "model", "stepping"))
        return f"{info['model name']} (family/model/stepping {stepping})"
    if "cpu part" in info:  # Arm names no model: implementer and part number identify the core
        return f"Arm implementer {info.get('cpu implementer', '?')} part {info['cpu part']}"
    raise LookupError("/proc/cpuinfo names no model")


def _flags(root: Path) -> list[str]:
    info = _cpuinfo(root)
    words = info.get("flags") or info.get("features")
    if words is None:
        raise LookupError("/proc/cpuinfo lists no flags")
    return sorted(_FLAGS.intersection(words.split()))


def _virtual(root: Path) -> bool:
    info = _cpuinfo(root)
    if "flags" not in info:
        raise LookupError("/proc/cpuinfo has no hypervisor flag on this architecture")
    return "hypervisor" in info["flags"].split()


def _caches(root: Path) -> dict[str, int]:
    folder = root / "sys/devices/system/cpu/cpu0/cache"
    suffix = {"Data": "d", "Instruction": "i", "Unified": ""}
    unit = {"K": 1024, "M": 1024**2}
    sizes = {}
    for index in sorted(os.listdir(folder)):
        if index.startswith("index"):
            size = _word(folder / index / "size")
            name = f"L{_word(folder / index / 'level')}{suffix.get(_word(folder / index / 'type'), '')}"
            sizes[name] = int(size[:-1]) * unit[size[-1]] if size[-1] in unit else int(size)
    return sizes


def _memory_bytes(root: Path) -> int:
    with open(root / "proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    raise LookupError("/proc/meminfo has no MemTotal")


def _container(root: Path) -> str:
    """Return docker, podman, kubernetes, lxc or none: a hint from marker files and the names of control groups."""
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    groups = (root / "proc/1/cgroup").read_text(encoding="utf-8", errors="replace")
    names = {"kubepods": "kubernetes", "docker": "docker", "libpod": "podman", "lxc": "lxc"}
    return next((name for mark, name in names.items() if mark in groups), "none")


def _governor(root: Path) -> str:
    return _word(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def _turbo(root: Path) -> bool:
    """Return whether the clock may exceed its nominal rate (acpi-cpufreq's `boost`, or intel_pstate's `no_turbo`)."""
    cpu = root / "sys/devices/system/cpu"
    if (cpu / "intel_pstate/no_turbo").exists():
        return _word(cpu / "intel_pstate/no_turbo") == "0"
    return _word(cpu / "cpufreq/boost") == "1"


def _word(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()
