"""A submission as a reader needs it: every figure written out, every verdict in words, every gap with its reason.

The terminal, Markdown and HTML reports lay this out and format nothing themselves, so they cannot disagree. The
submission has to be valid (`pipeline.submission.validate`); its texts may still be hostile, and each layout escapes
them. Pure and standard library only: a run in which nothing has to be done prints its result through this, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.report.ablation import AblationView, ablation_view
from pipeline.report.answers import Answer, answers
from pipeline.report.correction import correction_text
from pipeline.report.execution import Execution, execution
from pipeline.report.facts import machine_facts, noise_facts, provenance_facts
from pipeline.report.figures import course_figures, figures
from pipeline.report.front import on_front, worth
from pipeline.report.generate import Generating, generating
from pipeline.report.headline import headline, scenario_text
from pipeline.report.health import Health, health_of
from pipeline.report.loadgen import LoadGen, loadgen
from pipeline.report.peers import Peers, peers
from pipeline.report.row import Figure, Note
from pipeline.report.selection import FailedPoint, failed_points, failed_title, search_text
from pipeline.report.verdicts import Limit, Verdict, limits, verdicts
from pipeline.submission.badge import BADGES
from pipeline.submission.measured import is_measured
from pipeline.submission.quantities import MISSING, quantity, with_interval

__all__ = ["Condition", "Layer", "Point", "Step", "View", "make_view"]

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """One point of the sweep, as texts, and as numbers for charts."""

    label: str
    is_chosen: bool
    is_simulated: bool
    validation: str
    test: str
    size: str
    compression: str
    speedup: str
    verdict: str
    tone: str
    accuracy_verdict: str
    violated: str
    is_front: bool
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Condition:
    """The comparison at one batch size and thread count, as texts; the figures above are those of the first.

    `baseline` and `optimized` are the figures that the scenario asks for, `note` says why one is missing.
    """

    batch_size: str
    threads: str
    baseline: str
    optimized: str
    speedup: str
    verdict: str
    tone: str
    note: str = ""


@dataclass(frozen=True)
class Step:
    """What one optimization step did; `given` is what a budget chose for each layer, which no file says."""

    name: str
    technique: str
    settings: str
    given: str
    size: str
    parameters: str
    macs: str
    accuracy: str
    layers: int
    is_simulated: bool


@dataclass(frozen=True)
class Layer:
    """One layer of the baseline's profile; `share` is a number for a bar."""

    name: str
    kind: str
    parameters: str
    macs: str
    weights: str
    time: str
    share: float
    share_text: str
    intensity: str
    bound: str
    kernel: str = ""


@dataclass(frozen=True)
class View:
    """All that a report says. Empty parts are left out by the layouts; `asked` is the figure that conditions show."""

    title: str
    subtitle: str
    figures: tuple[Figure, ...]
    description: str = ""
    scenario: str = ""
    measured: str = ""
    status: str = ""
    verdicts: tuple[Verdict, ...] = ()
    limits: tuple[Limit, ...] = ()
    conditions: tuple[Condition, ...] = ()
    asked: str = ""
    peers: Peers = field(default_factory=Peers)
    loadgen: LoadGen = field(default_factory=LoadGen)
    generating: Generating = field(default_factory=Generating)
    points: tuple[Point, ...] = ()
    failed: tuple[FailedPoint, ...] = ()
    failed_title: str = ""
    search: str = ""
    corrected: str = ""
    tried: str = ""
    rule: str = ""
    reason: str = ""
    answers: tuple[Answer, ...] = ()
    steps: tuple[Step, ...] = ()
    contributions: AblationView | None = None
    trainings: tuple[tuple[str, ...], ...] = ()
    health: tuple[Health, ...] = ()
    execution: Execution = field(default_factory=Execution)
    layers: tuple[Layer, ...] = ()
    profile_note: str = ""
    notes: tuple[Note, ...] = ()
    techniques: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    machine: tuple[tuple[str, str], ...] = ()
    noise: tuple[tuple[str, str], ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


def make_view(submission: Document, ablation: Document | None = None) -> View:
    """Return the view of a valid submission of version 1 or 2, with the ablation of its point where there is one."""
    view = _view(submission, ablation is not None) if is_measured(submission) else _course_view(submission)
    if ablation is None:
        return view
    contributions = ablation_view(ablation)
    said = tuple(f"{text[0].upper()}{text[1:]}." for text in contributions.findings)
    answered = tuple(
        replace(answer, sentences=(*answer.sentences, *said)) if "contribute" in answer.question else answer
        for answer in view.answers
    )
    return replace(view, contributions=contributions, answers=answered)


def _course_view(submission: Document) -> View:
    optimized = submission.get("optimized")
    name = submission["baseline"]["model_name"]
    return View(
        title=submission.get("student_name") or name,
        subtitle=f"{name} against {optimized['model_name']}" if optimized else name,
        figures=course_figures(submission),
        measured=f"measured {submission['timestamp'] or 'some time'} on {submission['system_info']['platform']}",
        warnings=(f"unverified: {BADGES['unverified'].meaning}",),
        techniques=tuple(optimized["techniques_applied"]) if optimized else (),
    )


def _view(submission: Document, is_ablated: bool) -> View:
    experiment, selection = submission["experiment"], submission["selection"]
    rows, notes = figures(submission)
    profile = submission["profile"]
    return View(
        title=experiment["name"],
        subtitle=_subtitle(submission),
        figures=rows,
        techniques=tuple(submission["optimized"]["techniques_applied"]),
        description=" ".join(experiment["description"].split()),
        scenario=scenario_text(submission["benchmark"]["comparisons"][0]),
        measured=_measured(submission),
        status=submission["measurement"]["status"],
        verdicts=verdicts(submission),
        limits=limits(submission),
        conditions=tuple(map(_condition, submission["benchmark"]["comparisons"])),
        asked=headline(submission["benchmark"]["comparisons"][0]).name,
        peers=peers(submission),
        loadgen=loadgen(submission),
        generating=generating(submission),
        points=_points(selection),
        failed=failed_points(selection),
        failed_title=failed_title(selection),
        search=search_text(selection),
        corrected=correction_text(submission),
        tried=_tried(selection),
        rule=selection["rule"],
        reason=selection["reason"],
        answers=answers(submission, is_ablated),
        steps=tuple(_step(effect) for effect in submission["effects"]),
        trainings=tuple(map(_training, submission.get("training", ()))),
        health=health_of(submission),
        execution=execution(submission["benchmark"]["comparisons"][0]),
        layers=tuple(_layer(layer) for layer in profile["layers"]) if profile else (),
        profile_note=_profile_note(profile) if profile else "",
        notes=notes,
        warnings=tuple(submission["warnings"]),
        machine=machine_facts(submission["machine"]),
        noise=noise_facts(submission),
        provenance=provenance_facts(submission["provenance"]),
        document=experiment["document"],
    )


def _subtitle(submission: Document) -> str:
    selection, data = submission["selection"], submission["provenance"]["data"]["name"]
    what = f"{submission['optimized']['model_name']} against {submission['baseline']['model_name']} on {data}"
    if selection["tried"] == 1:
        return what
    return f"{what}, chosen from {_tried(selection)} on the {selection['split']} split"


def _tried(selection: Document) -> str:
    """Return how many points were tried: "6 points", or "2 points with 3 seeds each"."""
    points = len({json.dumps(point["point"], sort_keys=True) for point in selection["points"]})
    seeds = selection["tried"] // points
    named = f"{points} point" if points == 1 else f"{points} points"
    return named if seeds == 1 else f"{named} with {seeds} seeds{' each' if points > 1 else ''}"


def _measured(submission: Document) -> str:
    speed = submission["comparisons"]["speed"]
    control = with_interval(speed["control"]["estimate"], speed["control"]["interval"], "ratio")
    conditions = (
        f"{speed['pairs']:,} pairs in {speed['processes']} processes",
        speed["scenario"],
        f"batch size {speed['batch_size']}",
        f"{speed['threads']} thread{'s' if speed['threads'] > 1 else ''}",
    )
    when = submission["measurement"]["measured_at"]
    return f"measured {when}: {', '.join(conditions)}; identical code against itself: {control}"


_TONES = {"faster": "good", "slower": "bad", "noisy": "warn", "inconclusive": "warn"}


def _condition(comparison: Document) -> Condition:
    speedup, found = comparison["speedup"], headline(comparison)
    where = f"batch size {comparison['batch_size']}, threads {comparison['threads']}"
    return Condition(
        batch_size=str(comparison["batch_size"]),
        threads=str(comparison["threads"]),
        baseline=found.baseline,
        optimized=found.optimized,
        speedup=with_interval(speedup["estimate"], speedup["interval"], "ratio"),
        verdict=comparison["verdict"],
        tone=_TONES.get(comparison["verdict"], ""),
        note=f"{MISSING} {where}: {found.reason}" if found.reason else "",
    )


def _points(selection: Document) -> tuple[Point, ...]:
    points = selection["points"]
    front = on_front([worth(point) for point in points])
    return tuple(_point(point, selection["chosen"], i in front) for i, point in enumerate(points))


def _point(point: Document, chosen: int, is_front: bool) -> Point:
    accuracy, speedup = point["accuracy"], point["speedup"]
    violated = [record["metric"] for record in point["constraints"] if record["status"] == "not_met"]
    undecided = [f"{record['metric']}?" for record in point["constraints"] if record["status"] == "inconclusive"]
    return Point(
        label=point["label"] or "the only point",
        is_chosen=point["index"] == chosen,
        is_simulated=point["simulated"],
        validation=quantity(accuracy["validation"]["accuracy"], "share"),
        test=quantity(accuracy["test"]["accuracy"], "share"),
        size=quantity(point["stored_bytes"], "B"),
        compression=quantity(point["compression_ratio"], "ratio"),
        speedup=with_interval(speedup["estimate"], speedup["interval"], "ratio"),
        verdict=point["verdict"],
        tone=_TONES.get(point["verdict"], ""),
        accuracy_verdict=accuracy["test"]["verdict"],
        violated=", ".join(dict.fromkeys([*violated, *undecided])),
        is_front=is_front,
        numbers={
            "validation": accuracy["validation"]["accuracy"],
            "test": accuracy["test"]["accuracy"],
            "size_bytes": point["stored_bytes"],
            "compression": point["compression_ratio"],
            "speedup": speedup["estimate"],
        },
    )


def _step(effect: Document) -> Step:
    # What is off, empty or absent is the default of most settings and says nothing.
    telling = sorted(name for name, value in effect["settings"].items() if value or (value == 0 and value is not False))
    settings = ", ".join(f"{name} {_setting(effect['settings'][name])}" for name in telling)
    given = _given(effect) if effect["technique"] == "budget" else ""
    return Step(
        name=effect["id"],
        technique=effect["technique"],
        settings=f"{settings}; it gave {given}" if given else settings,
        given=given,
        size=_before_after(effect, "stored_bytes", "B"),
        parameters=_before_after(effect, "parameters", "count"),
        macs=_before_after(effect, "macs", "count"),
        accuracy=_accuracy_after(effect),
        layers=len(effect["layers"]),
        is_simulated=effect["simulated"],
    )


def _given(effect: Document) -> str:
    """Return what a budget gave each layer that it chose to change."""
    chosen = ((layer["name"], layer["settings"]) for layer in effect["layers"])
    names = ("sparsity", "bits")
    return ", ".join(f"{name} {key} {_setting(own[key])}" for name, own in chosen for key in names if key in own)


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(map(_setting, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_setting(item)}" for name, item in sorted(value.items()))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _before_after(effect: Document, name: str, unit: str) -> str:
    before, after = effect[f"{name}_before"], effect[f"{name}_after"]
    return quantity(after, unit) if before == after else f"{quantity(before, unit)} → {quantity(after, unit)}"


def _accuracy_after(effect: Document) -> str:
    """Return the accuracy on the test split after a step and its change, "" where it was not evaluated."""
    if "accuracy" not in effect:
        return ""
    found = effect["accuracy"]["test"]
    return f"{quantity(found['accuracy'], 'share')} ({quantity(found['change'], 'points')})"


def _training(record: Document) -> tuple[str, ...]:
    """Return what was trained, its epochs, and how loss and accuracy began and ended."""
    epochs = record["epochs"]
    texts = []
    for key, form in (("train_loss", ".4g"), ("validation_accuracy", ".1%")):
        found = [epoch[key] for epoch in (epochs[:1] + epochs[1:][-1:]) if epoch.get(key) is not None]
        texts.append(" → ".join(format(figure, form).replace("%", " %") for figure in found) or MISSING)
    return record["id"], f"{len(epochs):,}", *texts


def _layer(layer: Document) -> Layer:
    return Layer(
        name=layer["name"],
        kind=layer["kind"],
        parameters=quantity(layer["parameters"], "count"),
        macs=quantity(layer["macs"], "count"),
        weights=quantity(layer["weight_bytes"], "B"),
        time=quantity(layer["time_ns"], "ns"),
        share=layer["share"],
        share_text=quantity(layer["share"], "share"),
        intensity=f"{layer['arithmetic_intensity']:.3g}",
        bound=layer["bound"],
        kernel=layer.get("computed_by", ""),
    )


def _profile_note(profile: Document) -> str:
    balance, time = profile["balance"], quantity(profile["total"]["time_ns"], "ns")
    return (
        f"The baseline takes {time} for a call with batch size {profile['batch_size']}. This core computes at most "
        f"{balance['peak_gflops']:.3g} GFLOP/s and reads at most {balance['peak_gbps']:.3g} GB/s from memory, "
        "more from its caches; a layer far below both is bound by overhead."
    )
