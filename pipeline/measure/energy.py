"""The energy that the processor's packages counted (RAPL through Linux's powercap). Standard library only.

A package is all that is on it: other programs, idle cores, caches. The counter is updated about once a millisecond and
starts again from 0 at its range, so that a difference needs some hundred updates and less than a whole round.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EnergyMeter", "meter", "why_no_energy"]

_ZONES = Path("sys/class/powercap")


@dataclass(frozen=True)
class _Zone:
    """The counter of one package in µJ, and the value at which it starts again."""

    counter: Path
    range_uj: int


@dataclass(frozen=True)
class EnergyMeter:
    """The packages of this machine."""

    zones: tuple[_Zone, ...]

    def read(self) -> tuple[int, ...]:
        """Return each package's counter in µJ; raises OSError or ValueError where one can no longer be read."""
        return tuple(_number(zone.counter) for zone in self.zones)

    def joules(self, before: tuple[int, ...], after: tuple[int, ...]) -> float:
        """Return the energy of all packages between two readings less than a round of the counter apart."""
        each = zip(self.zones, before, after, strict=True)
        # A counter counts from 0 to its range, both included, before it starts again.
        return sum((end - start) % (zone.range_uj + 1) for zone, start, end in each) / 1e6


def meter(root: Path = Path("/")) -> EnergyMeter:
    """Return the meter of the packages that the kernel lists under `root`.

    Raises OSError if there are none or they cannot be read (most systems let the administrator only), ValueError if
    they hold no numbers.
    """
    folder = root / _ZONES
    # One package may be listed twice: as intel-rapl-mmio:0 and, sorted after that and taken, as intel-rapl:0.
    packages = {_name(zone): zone for zone in sorted(folder.iterdir()) if _name(zone).startswith("package-")}
    if not packages:
        raise FileNotFoundError(errno.ENOENT, "no package of a processor is listed", str(folder))
    zones = packages.values()
    found = EnergyMeter(tuple(_Zone(zone / "energy_uj", _number(zone / "max_energy_range_uj")) for zone in zones))
    found.read()
    return found


def why_no_energy(root: Path = Path("/")) -> str | None:
    """Return why no energy can be read; None if it can."""
    try:
        meter(root)
    except OSError as error:
        return f"/{Path(error.filename).relative_to(root)}: {error.strerror}"
    except ValueError as error:
        return f"/{_ZONES}: {error}"
    return None


def _name(zone: Path) -> str:
    """Return "package-0" or the name of a part of it ("core", "dram"), which counts the same energy again."""
    try:
        return (zone / "name").read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""  # a control type has no name


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
