"""A sweep of 100, 1,000 and 10,000 points as a person meets it: `pipeline plan FILE`, with nothing stored.

Laying out, asking the store for every node and listing are in the figures; they are told per point.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.startup import ROOT, environment, interleave, seconds
from tests.bench.target import Target

_FILE = """
name: sweep
data: {{name: digits}}
model: {{arch: mlp, args: {{hidden: [16]}}}}
vars: {{sparsity: 0.25}}
optimize:
  - prune: {{sparsity: "${{sparsity}}"}}
  - quantize: {{bits: 8}}
sweep:
  max_points: 10000
  grid:
    sparsity: [{values}]
"""
_GROWTH = 1.5  # what is linear may still miss a cache more


def run(*, quick: bool = False) -> list[Target]:
    """Measure 100 and 1,000 points, and 10,000 unless quick."""
    sizes = (1, 100, 1000) if quick else (1, 100, 1000, 10_000)
    with tempfile.TemporaryDirectory() as scratch:
        commands = {str(points): _command(Path(scratch), points) for points in sizes}
        for command in commands.values():  # the first run parses, and remembers what it read
            subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, check=True)
        samples = interleave(commands, 3 if quick else 5)
    figures = [seconds(f"plan {points:,} points", samples[str(points)], float("inf")) for points in sizes]
    small, some, most = (figures[place].measured for place in (0, 1, -1))
    growth = (most - small) / (sizes[-1] - 1) / ((some - small) / 99)
    return [*figures, Target(f"a point of {sizes[-1]:,} against one of 100", growth, (growth, growth), _GROWTH, "x")]


def _command(scratch: Path, points: int) -> Sequence[str]:
    file = scratch / f"{points}.yaml"
    values = ", ".join(f"{0.1 + 0.8 * place / points:.6f}" for place in range(points))
    file.write_text(_FILE.format(values=values))
    return [sys.executable, "-m", "pipeline", "plan", str(file), "--store", str(scratch / "store")]
