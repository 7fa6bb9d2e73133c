"""Machines made of files: energy zones and clocks as Linux lists them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["core", "zone"]


def zone(root: Path, folder: str, name: str, energy_uj: int | str = 0, range_uj: int = 262_143_328_850) -> None:
    """Write a zone of powercap, or change its counter."""
    path = root / "sys/class/powercap" / folder
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")


def core(root: Path, number: int, khz: int | str) -> None:
    """Write the clock of a core."""
    path = root / f"sys/devices/system/cpu/cpu{number}/cpufreq"
    path.mkdir(parents=True, exist_ok=True)
    (path / "scaling_cur_freq").write_text(f"{khz}\n")
