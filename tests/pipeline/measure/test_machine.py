"""The machine's facts and their fingerprint."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.measure import machine
from pipeline.measure.setting import measured_machine

CPUINFO = """processor\t: 0
cpu family\t: 6
model\t\t: 143
model name\t: Example CPU @ 2.00GHz
stepping\t: 8
flags\t\t: fpu sse4_2 avx2 fma avx512_vnni hypervisor constant_tsc

processor\t: 1
model name\t: Another CPU
"""


def fake_root(root: Path) -> Path:
    files = {
        "proc/cpuinfo": CPUINFO,
        "proc/meminfo": "MemTotal:       16000000 kB\nMemFree:  1 kB\n",
        "proc/1/cgroup": "0::/kubepods/pod1\n",
        "sys/devices/system/cpu/cpu0/cache/index0/level": "1\n",
        "sys/devices/system/cpu/cpu0/cache/index0/type": "Data\n",
        "sys/devices/system/cpu/cpu0/cache/index0/size": "48K\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
        "sys/devices/system/cpu/intel_pstate/no_turbo": "1\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_reads_what_the_kernel_says(tmp_path):
    """Every fact comes from the first core's entries of the kernel's files."""
    found = machine.facts(fake_root(tmp_path))
    assert found["cpu"] == "Example CPU @ 2.00GHz (family/model/stepping 6/143/8)"
    assert found["flags"] == ["avx2", "avx512_vnni", "fma", "sse4_2"]
    assert found["virtual"] is True
    assert found["caches"] == {"L1d": 49152}
    assert found["memory_bytes"] == 16_384_000_000
    assert (found["container"], found["governor"], found["turbo"]) == ("kubernetes", "performance", False)
    assert found["missing"] == {}


def test_what_cannot_be_read_is_none_with_a_reason(tmp_path):
    """On a system without these files every fact from them is None and `missing` names the file."""
    found = machine.facts(tmp_path)
    absent = {"caches", "container", "cpu", "flags", "governor", "memory_bytes", "turbo", "virtual"}
    assert {key for key in found if found[key] is None} == absent == found["missing"].keys()
    assert found["missing"]["cpu"] == "/proc/cpuinfo: No such file or directory"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "50000 100000"}, 0.5),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000",
                "sys/fs/cgroup/a/cpu.max": "150000 100000",
            },
            1.5,
        ),  # the group above grants less
        ({"proc/self/cgroup": "0::/elsewhere", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2.0),  # as in a container
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/c\n2:memory:/m\n",
                "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us": "25000",
                "sys/fs/cgroup/cpu/c/cpu.cfs_period_us": "100000",
            },
            0.25,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/c",
                "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/c/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_quota_is_the_least_that_any_control_group_grants(tmp_path, files, expected):
    """CPU time is limited by quota over period in cores, of either version of control groups; None without a limit."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.facts(tmp_path)["cores"]["quota"] == expected


def test_facts_of_this_machine_are_json():
    """The facts of the machine at hand survive JSON unchanged and count at least one core."""
    found = machine.facts()
    assert json.loads(json.dumps(found)) == found
    assert found["cores"]["allowed"] >= 1


def test_fingerprint_is_stable_and_tells_machines_apart(tmp_path):
    """The fingerprint is the same on each call, ignores some kB of memory, and changes with the processor."""
    first = machine.fingerprint(fake_root(tmp_path))
    assert machine.fingerprint() == machine.fingerprint()
    (tmp_path / "proc/meminfo").write_text("MemTotal:       16000100 kB\n")
    assert machine.fingerprint(tmp_path) == first
    (tmp_path / "proc/cpuinfo").write_text(CPUINFO.replace("2.00", "2.10"))
    assert machine.fingerprint(tmp_path) != first


NAMED = {
    *("architecture", "caches", "container", "cores", "cpu", "flags", "governor", "kernel", "memory_bytes", "system"),
    *("turbo", "virtual", "python", "numpy", "blas"),
}


def test_a_record_names_all_that_figures_depend_on():
    """Processor, flags, caches, cores, memory, kernel, container, Python, numpy, BLAS, governor and turbo are there."""
    conditions = {"python": "3.11.9", "numpy": "2.1.0", "blas": ["openblas 0.3.27 Haswell"]}
    found = measured_machine({"conditions": conditions})
    assert found.keys() == NAMED | {"missing"}
    assert (found["python"], found["numpy"], found["blas"]) == tuple(conditions.values())


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("proc/cpuinfo", CPUINFO.replace("avx2", "")),
        ("proc/cpuinfo", CPUINFO.replace("hypervisor", "")),
        ("proc/meminfo", "MemTotal:       32000000 kB\n"),
        ("proc/1/cgroup", "0::/docker/1\n"),
        ("proc/self/cgroup", "0::/limited\n"),
        ("sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
        ("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"),
    ],
)
def test_the_fingerprint_depends_on_each_fact(tmp_path, file, text):
    """Whatever a figure depends on and the kernel tells makes it another machine."""
    first = machine.fingerprint(fake_root(tmp_path))
    limit = tmp_path / "sys/fs/cgroup/limited/cpu.max"
    limit.parent.mkdir(parents=True)
    limit.write_text("50000 100000")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    assert machine.fingerprint(tmp_path) != first


@pytest.mark.parametrize(("place", "name"), list(enumerate(("system", "kernel", "architecture"))))
def test_the_fingerprint_depends_on_the_system(tmp_path, monkeypatch, place, name):
    """Another kernel, architecture or system is another machine."""
    told = ["a", "b", "c"]
    monkeypatch.setattr(machine, "_system", lambda: tuple(told))
    first = machine.fingerprint(fake_root(tmp_path))
    told[place] = "another"
    assert machine.facts(tmp_path)[name] == "another"
    assert machine.fingerprint(tmp_path) != first


def test_the_system_is_what_the_standard_library_says():
    """It is asked for without importing that."""
    assert machine.facts()["system"] == platform.system()
    assert machine.facts()["kernel"] == platform.release()
    assert machine.architecture() == machine.facts()["architecture"] == platform.machine()


def test_the_fingerprint_depends_on_the_cores_allowed(tmp_path, monkeypatch):
    """A process that may use fewer cores measures something else."""
    first = machine.fingerprint(fake_root(tmp_path))
    monkeypatch.setattr(machine, "_allowed", lambda: frozenset(range(1000)))
    assert machine.fingerprint(tmp_path) != first


def test_needs_only_the_standard_library():
    """Importing the module loads nothing that is not in the standard library, so that planning stays quick."""
    code = (
        "import sys; import pipeline.measure.machine as m; m.fingerprint();"
        "names = {n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names);"
        "assert not [n for n in names if n in ('numpy', 'scipy', 'tinytorch', 'yaml')], names"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_the_parents_side_works_on_other_systems(system):
    """Where there is neither /proc nor a call to bind threads, cores are unknown and nothing fails to import."""
    code = f"""
import sys
sys.platform = {system!r}
if sys.platform == "win32":
    sys.modules["resource"] = None  # importing it fails there
import os
if hasattr(os, "sched_getaffinity"):
    del os.sched_getaffinity, os.sched_setaffinity
from pipeline.measure import clock, gauge, job, launch, machine, memory, quiet, worker
assert quiet.idlest(1) is None
assert worker._pin((0,)) is None
assert machine.facts()["cores"]["allowed"] >= 1
assert memory.peak(memory.reset_peak()).how
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
