"""Energy counters of the processor's packages, read from folders like the kernel's."""

import pytest

from pipeline.measure.energy import meter, why_no_energy
from tests.pipeline.measure.machines import zone


def measured(root, *changes):
    """Return the joules between two readings, between which zones change."""
    found = meter(root)
    before = found.read()
    for change in changes:
        zone(root, *change)
    return found.joules(before, found.read())


def test_energy_is_the_difference_of_two_readings(tmp_path):
    """Microjoules become joules."""
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    assert measured(tmp_path, ("intel-rapl:0", "package-0", 7_500_000)) == 2.5


def test_a_counter_that_started_again_is_continued(tmp_path):
    """After its largest value the counter goes on with 0, which is one step."""
    zone(tmp_path, "intel-rapl:0", "package-0", 999_999, range_uj=999_999)
    assert measured(tmp_path, ("intel-rapl:0", "package-0", 0, 999_999)) == pytest.approx(1e-6)
    assert measured(tmp_path, ("intel-rapl:0", "package-0", 249_999, 999_999)) == pytest.approx(0.249999)
    assert measured(tmp_path, ("intel-rapl:0", "package-0", 149_999, 999_999)) == pytest.approx(0.9)


def test_all_packages_count_once_and_their_parts_not_again(tmp_path):
    """Two sockets add up; cores and memory are parts of them, and the second listing of a package is the same one."""
    zone(tmp_path, "intel-rapl:0", "package-0")
    zone(tmp_path, "intel-rapl:1", "package-1")
    zone(tmp_path, "intel-rapl:0:0", "core")
    zone(tmp_path, "intel-rapl:0:1", "dram")
    zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    (tmp_path / "sys/class/powercap/intel-rapl").mkdir()
    joules = measured(
        tmp_path,
        ("intel-rapl:0", "package-0", 1_000_000),
        ("intel-rapl:1", "package-1", 2_000_000),
        ("intel-rapl:0:0", "core", 800_000),
        ("intel-rapl:0:1", "dram", 100_000),
        ("intel-rapl-mmio:0", "package-0", 1_000_100),
    )
    assert joules == 3.0


def test_a_machine_without_packages_says_so(tmp_path):
    """No folder, and a folder without packages, are named."""
    assert why_no_energy(tmp_path) == "/sys/class/powercap: No such file or directory"
    zone(tmp_path, "dtpm:0", "pl0")
    assert why_no_energy(tmp_path) == "/sys/class/powercap: no package of a processor is listed"
    zone(tmp_path, "intel-rapl:0", "package-0")
    assert why_no_energy(tmp_path) is None


def test_a_counter_for_the_administrator_only_is_named(tmp_path):
    """Most systems let only the administrator read energy (CVE-2020-8694); the file and the refusal are said."""
    zone(tmp_path, "intel-rapl:0", "package-0")
    counter = tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"
    counter.chmod(0)
    try:
        counter.read_text()
    except PermissionError:
        pass
    else:  # who runs the tests may read everything: a folder in place of the file refuses anybody
        counter.unlink()
        counter.mkdir()
    reason = why_no_energy(tmp_path)
    assert reason.startswith("/sys/class/powercap/intel-rapl:0/energy_uj: ")
    assert reason.endswith(("Permission denied", "Is a directory"))


def test_a_counter_that_holds_no_number_is_no_meter(tmp_path):
    """What is not a number has no energy and says so."""
    zone(tmp_path, "intel-rapl:0", "package-0", "soon")
    assert why_no_energy(tmp_path).startswith("/sys/class/powercap: invalid literal for int()")
