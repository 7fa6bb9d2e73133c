"""What each step contributes, as a reader needs it: texts, numbers for charts, and what may be concluded in words.

The document has to be valid by schemas/ablation.v1.schema.json; its texts may still be hostile, and each layout escapes
them. Pure and standard library only, since a run in which nothing has to be done prints this, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.report.ablation_findings import findings
from pipeline.report.text import Cell, Table, paint, printable, wrap
from pipeline.submission.quantities import MISSING, quantity, with_interval

__all__ = ["ASPECTS", "AblationView", "Aspect", "Contribution", "HEADER", "ablation_view", "render"]

Document = Mapping[str, Any]

HEADER = ("step", "size", "MACs", "accuracy (test)", "speed-up", "verdict")

# aspect -> its name, and what is compared
ASPECTS = {
    "alone": ("alone", "each step on its own, against the baseline"),
    "in_order": ("in order", "each step after those before it, against their result"),
    "left_out": ("left out", "the whole recipe, against the recipe without the step"),
}
_ACCURACY_TONES = {"significantly better": "good", "significantly worse": "bad"}
_SPEED_TONES = {"faster": "good", "slower": "bad", "noisy": "warn", "inconclusive": "warn"}
_NARROWEST, _WIDEST = 40, 120


@dataclass(frozen=True)
class Contribution:
    """What one step does, as texts, and as numbers for charts.

    `reason` says why figures are missing; `verdict` is that of the speed. `numbers` has `size`, `macs` (ratios, above 1
    where the step makes it less), `accuracy` (a difference), `speedup`, and the intervals of the last two, or null.
    """

    step: str
    size: str = MISSING
    macs: str = MISSING
    accuracy: str = MISSING
    accuracy_verdict: str = ""
    accuracy_tone: str = ""
    speedup: str = MISSING
    verdict: str = ""
    tone: str = ""
    reason: str = ""
    numbers: Mapping[str, Any] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The cells below HEADER."""
        return self.step, self.size, self.macs, self.accuracy, self.speedup, self.verdict


@dataclass(frozen=True)
class Aspect:
    """One way to look at all steps: `key` is its name in the document, `meaning` what is compared."""

    key: str
    name: str
    meaning: str
    rows: tuple[Contribution, ...]


@dataclass(frozen=True)
class AblationView:
    """All that is said of an ablation; `findings` are sentences that follow from the figures."""

    aspects: tuple[Aspect, ...]
    whole: Contribution
    findings: tuple[str, ...]
    notes: tuple[str, ...]


def ablation_view(ablation: Document) -> AblationView:
    """Return the view of a valid document."""
    steps = ablation["steps"]
    aspects = tuple(
        Aspect(key, name, meaning, tuple(_contribution(step, key) for step in steps))
        for key, (name, meaning) in ASPECTS.items()
        if len(steps) > 1 or key == "alone"  # which is all there is to a single step
    )
    return AblationView(
        aspects,
        _whole(ablation["whole"]),
        tuple(finding.text for finding in findings(ablation)),
        tuple(_notes(ablation)),
    )


def render(ablation: Document, width: int = 100, colour: bool = False) -> str:
    """Return the tables for a terminal, without a closing line break."""
    view = ablation_view(ablation)
    width = min(max(width, _NARROWEST), _WIDEST)
    blocks = [[paint("what each step contributes", "strong", colour)]]
    for aspect in view.aspects:
        rows = [_cells(row) for row in (*aspect.rows, *([view.whole] if aspect.key == "in_order" else []))]
        timed = any(row.speedup != MISSING for row in aspect.rows)
        kept = len(HEADER) if timed or aspect.key != "in_order" else len(HEADER) - 2
        lines = Table(HEADER[:kept], [row[:kept] for row in rows], optional=(2,), right=(1, 2), flows=True)
        blocks.append([*wrap(f"{aspect.name}: {aspect.meaning}", width, "", "  "), *lines.lines(width, colour)])
    said = [line for text in view.findings for line in wrap(printable(text), width, "", "  ")]
    notes = [paint(line, "dim", colour) for text in view.notes for line in wrap(printable(text), width, "  ", "    ")]
    return "\n\n".join("\n".join(lines) for lines in [*blocks, said, notes] if lines)


def _cells(row: Contribution) -> list[Cell]:
    tones = ("strong" if row.step == "all steps" else "", "", "", row.accuracy_tone, "", row.tone)
    return [Cell(printable(text), tone) for text, tone in zip(row.texts, tones, strict=True)]


def _contribution(step: Document, aspect: str) -> Contribution:
    found = step[aspect]
    if found is None:
        return Contribution(step["id"], reason=step["reasons"].get(aspect, ""))
    speed = found["speed"]
    speedup = speed["speedup"] if speed else None
    simulated = ", simulated" if found["simulated"] else ""
    return _row(
        step["id"],
        found,
        speedup,
        verdict=f"{speed['verdict']}{simulated}" if speed else "",
        tone=_SPEED_TONES.get(speed["verdict"], "") if speed else "",
        reason=found["speed_reason"] or "",
    )


def _whole(whole: Document) -> Contribution:
    return _row("all steps", whole, whole["speedup"])


def _row(step: str, found: Document, speedup: Document | None, **claims: str) -> Contribution:
    before, after, accuracy = found["before"], found["after"], found["accuracy"]["test"]
    macs = before["macs"] / after["macs"] if after["macs"] else None
    return Contribution(
        step=step,
        size=_factor(found["size"]["ratio"]),
        macs=_factor(macs),
        accuracy=with_interval(accuracy["delta"], accuracy["interval"], "points"),
        accuracy_verdict=accuracy["verdict"],
        accuracy_tone=_ACCURACY_TONES.get(accuracy["verdict"], ""),
        speedup=with_interval(speedup["estimate"], speedup["interval"], "ratio") if speedup else MISSING,
        numbers={
            "size": found["size"]["ratio"],
            "macs": macs,
            "accuracy": accuracy["delta"],
            "accuracy_interval": accuracy["interval"],
            "speedup": speedup["estimate"] if speedup else None,
            "speedup_interval": speedup["interval"] if speedup else None,
        },
        **claims,
    )


def _factor(ratio: float | None) -> str:
    return "same" if ratio == 1 else quantity(ratio, "ratio")


def _notes(ablation: Document) -> Iterator[str]:
    point, compared = ablation["point"], ablation["compared"]
    label = f" {point['label']}" if point["label"] else ""
    seed = "" if "seed=" in label else f", seed {point['seed']}"
    corrected = f"claims on speed are corrected for {compared} comparisons (Holm)"
    yield (
        f"the submitted point{label}{seed}; accuracy on the same test items (paired); sizes and MACs are exact"
        f"{'; ' + corrected if compared > 1 else ''}"
    )
    reasons = {(step["id"], text) for step in ablation["steps"] for text in step["reasons"].values()}
    yield from (f"{MISSING} {name}: not every comparison can be made: {text}" for name, text in sorted(reasons))
