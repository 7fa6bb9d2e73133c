"""What a written report says of the results: in short, in a table, step by step, and among all that was tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.report.ablation import ASPECTS
from pipeline.report.ablation_findings import Quoted, findings
from pipeline.report.front import on_front
from pipeline.report.markdown import escape
from pipeline.report.paper_origin import ABLATION, SUBMISSION
from pipeline.report.paper_sources import Place, Sources, code, table
from pipeline.submission.quantities import MISSING

__all__ = ["journey", "results", "summary", "trade_offs"]

Document = Mapping[str, Any]

_SIDES = ("baseline", "optimized")
_MOST_POINTS = 60  # that the table lists; the submission has all
# row -> unit, the place with {} for the side, and how its change is said: less and more of it, "" for none
_ROWS: tuple[tuple[str, str, tuple[str | int, ...], str, str], ...] = (
    ("stored size", "B", ("size", "{}", "stored_bytes"), "smaller", "larger"),
    ("bits per weight", "bits", ("size", "{}", "bits_per_weight"), "fewer", "more"),
    ("parameters", "count", ("size", "{}", "parameters"), "fewer", "more"),
    ("of these not zero", "count", ("size", "{}", "nonzero_parameters"), "fewer", "more"),
    ("MACs a sample", "count", ("size", "{}", "macs"), "fewer", "more"),
    ("weights in RAM", "B", ("size", "{}", "working_set_bytes"), "smaller", "larger"),
    ("peak memory", "B", ("benchmark", "comparisons", 0, "arms", "{}", "peak_rss_bytes"), "less", "more"),
)
_QUANTITIES = {
    "cycles": "cycles",
    "energy_j": "energy",
    "frequency_hz": "clock rate",
    "instructions": "instructions",
}
_WHY = {  # {upper} and {lower} are the ends of the zone in which a difference has no practical meaning
    "faster": "the whole interval is above {upper}",
    "slower": "the whole interval is below {lower}",
    "equivalent": "the whole interval is within {lower} and {upper}, where a difference does not matter",
    "inconclusive": "neither beyond {lower} or {upper} nor within them, as far as can be told",
}
_PERCENTILES = ("p50", "p90", "p99", "p99.9")


def summary(sources: Sources, submission: Document) -> Iterator[str]:
    """Say what was reached, and what may be claimed."""
    optimized, comparisons = code(submission["optimized"]["model_name"]), submission["comparisons"]
    sizes = [sources.figure("B", SUBMISSION, "size", side, "stored_bytes") for side in reversed(_SIDES)]
    ratio = sources.figure("ratio", SUBMISSION, "comparisons", "size", "ratio")
    yield f"{optimized} takes {sizes[0]} on disk instead of {sizes[1]} ({ratio}: **{comparisons['size']['verdict']}**)."
    yield f"{_of_speed(sources, submission)}"
    accuracy = comparisons["accuracy"]
    rates = [
        sources.figure(
            "share", SUBMISSION, "accuracy", side, "test", "accuracy", interval=("accuracy", side, "test", "interval")
        )
        for side in reversed(_SIDES)
    ]
    delta = sources.figure(
        "points", SUBMISSION, "comparisons", "accuracy", "delta", interval=("comparisons", "accuracy", "interval")
    )
    items = sources.figure("count", SUBMISSION, "comparisons", "accuracy", "evaluated")
    yield f"Of {items} test items it is right on {rates[0]} instead of {rates[1]}: {delta}, **{accuracy['verdict']}**."
    statuses = [goal["status"] for goal in submission["constraints"]]
    if statuses:
        met = statuses.count("met")
        words = sources.text(f"{met} of {len(statuses)}", SUBMISSION, "constraints")
        missed = [goal["metric"].replace("_", " ") for goal in submission["constraints"] if goal["status"] != "met"]
        yield f"Limits shown to be met: {words}{'; not ' + escape(', '.join(missed)) if missed else ''}."


def _of_speed(sources: Sources, submission: Document) -> str:
    place: Place = (SUBMISSION, "comparisons", "speed")
    speed = submission["comparisons"]["speed"]
    if speed["verdict"] == "noisy":
        return "**Nothing may be claimed about its speed**: the machine was too restless while it was measured."
    factor = sources.figure(
        "ratio", *place, "speedup", "estimate", interval=("comparisons", "speed", "speedup", "interval")
    )
    ends = {
        "{upper}": (1 + speed["threshold"], "1 + "),
        "{lower}": (1 / (1 + speed["threshold"]), "1 / (1 + x), x in "),
    }
    why = _WHY[speed["verdict"]]
    for name, (value, how) in ends.items():
        if name in why:
            why = why.replace(name, sources.derived(value, "ratio", how, *place, "threshold"))
    return f"Its speed-up is {factor}: **{speed['verdict']}** ({why})."


def results(sources: Sources, submission: Document) -> Iterator[str]:
    """Lay out both models' figures; a missing one has its reason below."""
    rows = [*_accuracies(sources, submission), *_latencies(sources, submission), *_counts(sources)]
    yield from table(("", "baseline", "optimized", "change"), rows)
    yield ""
    for name, reason, place in _missing(submission):
        yield f"- No {escape(name)}: {sources.text(reason, *place)}."
    for side in _SIDES:
        arm = submission["benchmark"]["comparisons"][0]["arms"][side]
        session = arm.get("session")
        if session:
            place = (SUBMISSION, "benchmark", "comparisons", 0, "arms", side, "session")
            fits = f"; its working set fits {sources.words(*place, 'fits')}" if session.get("fits") else ""
            yield f"- The {side} model ran on kernels of {sources.words(*place, 'instruction_set')}{fits}."


def _accuracies(sources: Sources, submission: Document) -> Iterator[Sequence[str]]:
    for split in ("test", "validation"):
        rates = [
            sources.figure(
                "share", SUBMISSION, "accuracy", side, split, "accuracy", interval=("accuracy", side, split, "interval")
            )
            for side in _SIDES
        ]
        change = ""
        if split == "test":
            place = ("comparisons", "accuracy", "interval")
            change = sources.figure("points", SUBMISSION, "comparisons", "accuracy", "delta", interval=place)
        yield f"accuracy ({split})", *rates, change


_TTFT = "ttft_interval_ns"


def _latencies(sources: Sources, submission: Document) -> Iterator[Sequence[str]]:
    arms: Place = ("benchmark", "comparisons", 0, "arms")
    calls = submission["comparisons"]["speed"]["scenario"]
    if texts := submission["benchmark"]["comparisons"][0].get("generate"):
        calls = f"{calls}, {texts['new_tokens'] - 1} tokens"
    speedup = ("comparisons", "speed", "speedup")
    factor = sources.figure("ratio", SUBMISSION, *speedup, "estimate", interval=(*speedup, "interval"))
    yield "speed-up", "", "", f"{factor} {submission['comparisons']['speed']['verdict']}"
    is_served = submission["benchmark"]["comparisons"][0]["server"] is not None
    if not is_served:  # the median that terminal and report show, of whole samples; p50 is that of single queries
        medians = [
            sources.figure("ns", SUBMISSION, *arms, side, "median_ns", interval=(*arms, side, "interval_ns"))
            for side in _SIDES
        ]
        yield f"latency, median ({escape(calls)})", *medians, ""
    for name in _PERCENTILES if is_served else _PERCENTILES[1:]:
        cells = []
        for side in _SIDES:
            arm = submission["benchmark"]["comparisons"][0]["arms"][side]
            known = arm["percentiles"].get(name) is not None
            has_interval = arm.get("percentile_intervals", {}).get(name)
            bounds = (*arms, side, "percentile_intervals", name) if has_interval else None
            place = (SUBMISSION, *arms, side, "percentiles", name)
            cells.append(sources.figure("ns", *place, interval=bounds) if known else MISSING)
        yield f"latency {name} ({escape(calls)})", *cells, ""
    rates = [
        sources.figure(
            "per_s", SUBMISSION, *arms, side, "throughput_per_s", interval=(*arms, side, "throughput_interval_per_s")
        )
        for side in _SIDES
    ]
    yield "tokens per second" if texts else "throughput", *rates, ""
    if texts:
        yield from _first_token(sources)


def _first_token(sources: Sources) -> Iterator[Sequence[str]]:
    found: Place = ("benchmark", "comparisons", 0, "generate")
    times = [
        sources.figure("ns", SUBMISSION, *found, "arms", side, "ttft_ns", interval=(*found, "arms", side, _TTFT))
        for side in _SIDES
    ]
    ratio = (*found, "ttft_speedup")
    yield (
        "time to first token",
        *times,
        sources.figure("ratio", SUBMISSION, *ratio, "estimate", interval=(*ratio, "interval")),
    )


def _counts(sources: Sources) -> Iterator[Sequence[str]]:
    for name, unit, template, less, more in _ROWS:
        places = [(SUBMISSION, *(side if part == "{}" else part for part in template)) for side in _SIDES]
        before, after = (sources.value(*place) for place in places)
        if unit == "bits":
            cells = [sources.text(f"{value:.3g}", *place) for value, place in zip((before, after), places, strict=True)]
        else:
            cells = [MISSING if sources.value(*place) is None else sources.figure(unit, *place) for place in places]
        yield name, *cells, _change(sources, before, after, (less, more), places[1])


def _change(sources: Sources, before: float | None, after: float | None, words: tuple[str, str], place: Place) -> str:
    if before == after:
        return "same" if before is not None else ""
    if not before or not after:
        return ""
    factor = max(before, after) / min(before, after)
    how = "larger of baseline and optimized over the smaller one: "
    return f"{sources.derived(factor, 'ratio', how, *place)} {words[after > before]}"


def _missing(submission: Document) -> Iterator[tuple[str, str, Place]]:
    """Yield what is null of either model, and why; one reason is given once."""
    arms: Place = (SUBMISSION, "benchmark", "comparisons", 0, "arms")
    seen: set[tuple[str, str]] = set()
    for side in _SIDES:
        arm = submission["benchmark"]["comparisons"][0]["arms"][side]
        reasons: list[tuple[str, Any, Place]]
        reasons = [(f"latency {n}", arm["percentile_reasons"].get(n), ("percentile_reasons", n)) for n in _PERCENTILES]
        reasons += [("peak memory", arm["peak_rss_reason"], ("peak_rss_reason",))]
        reasons += [
            (_QUANTITIES.get(n, n), r, ("quantity_reasons", n)) for n, r in arm.get("quantity_reasons", {}).items()
        ]
        for name, reason, keys in reasons:
            if reason and (name, reason) not in seen:
                seen.add((name, reason))
                yield name, reason, (*arms, side, *keys)


def journey(sources: Sources, submission: Document, ablation: Document | None) -> Iterator[str]:
    """Follow the model from step to step, and say what each step contributes where that was measured."""
    if not submission["effects"]:
        yield "The submitted point has no steps."
        return
    accuracy = sources.figure("share", SUBMISSION, "accuracy", "baseline", "test", "accuracy")
    first = (SUBMISSION, "size", "baseline")
    sizes = sources.figure("B", *first, "stored_bytes"), sources.figure("count", *first, "macs")
    rows = [("baseline", *sizes, accuracy, "")]
    for i, effect in enumerate(submission["effects"]):
        place: Place = (SUBMISSION, "effects", i)
        sizes = sources.figure("B", *place, "stored_bytes_after"), sources.figure("count", *place, "macs_after")
        rates = _accuracy_after(sources, effect, i)
        rows.append((escape(effect["id"]) + (" (simulated)" if effect["simulated"] else ""), *sizes, *rates))
    yield "What is there after each step; accuracies are on the test split, changes on the same items:\n"
    yield from table(("after", "stored size", "MACs", "accuracy", "change by the step"), rows)
    if any(effect["simulated"] for effect in submission["effects"]):
        yield "\nA simulated step is executed as if nothing had changed: it may save stored bytes, and gains no speed."
    yield from _trainings(sources, submission)
    if ablation is None:
        yield "\nWhat each step contributes by itself was not measured: `pipeline ablate FILE` does."
        return
    yield from _contributions(sources, ablation)


def _accuracy_after(sources: Sources, effect: Document, i: int) -> tuple[str, str]:
    if "accuracy" not in effect:
        return MISSING, "not recorded"
    place: Place = ("effects", i, "accuracy", "test")
    rate = sources.figure("share", SUBMISSION, *place, "accuracy")
    return rate, sources.figure("points", SUBMISSION, *place, "change", interval=(*place, "change_interval"))


def _trainings(sources: Sources, submission: Document) -> Iterator[str]:
    for i, training in enumerate(submission.get("training", ())):
        last: Place = (SUBMISSION, "training", i, "epochs", len(training["epochs"]) - 1)
        record = training["epochs"][-1]
        said = [f"epoch {sources.words(*last, 'epoch')}"] if "epoch" in record else []
        said += (
            [f"loss {sources.text(format(record['train_loss'], '.3g'), *last, 'train_loss')}"]
            if "train_loss" in record
            else []
        )
        if record.get("validation_accuracy") is not None:
            said.append(f"validation accuracy {sources.figure('share', *last, 'validation_accuracy')}")
        name = "the baseline" if training["id"] == "train" else escape(training["id"])
        yield f"\nThe training of {name} ended at {', '.join(said)}."


def _contributions(sources: Sources, ablation: Document) -> Iterator[str]:
    for aspect, (name, meaning) in ASPECTS.items():
        if aspect == "in_order" or (len(ablation["steps"]) == 1 and aspect != "alone"):
            continue  # the table above says it, and a single step is all there is
        yield f"\n**{name.capitalize()}**: {meaning}.\n"
        rows = [_contribution(sources, step, i, aspect) for i, step in enumerate(ablation["steps"])]
        yield from table(("step", "size", "accuracy (test)", "speed-up", "verdict"), rows)
    yield ""
    for finding in findings(ablation):
        said = finding.said(partial(_cited, sources))
        yield f"- {said[0].upper()}{said[1:]}."
    if ablation["compared"] > 1:
        count = sources.figure("count", ABLATION, "compared")
        yield f"- Claims on speed are corrected for {count} comparisons (Holm's method)."


def _cited(sources: Sources, figure: str | Quoted) -> str:
    if isinstance(figure, str):
        return escape(figure)
    if figure.how:
        return sources.derived(figure.value, figure.unit, figure.how, ABLATION, *figure.place)
    return sources.figure(figure.unit, ABLATION, *figure.place, interval=figure.interval_place)


def _contribution(sources: Sources, step: Document, i: int, aspect: str) -> Sequence[str]:
    found, place = step[aspect], ("steps", i, aspect)
    if found is None:
        known = aspect in step["reasons"]
        reason = sources.words(ABLATION, "steps", i, "reasons", aspect) if known else ""
        return escape(step["id"]), MISSING, MISSING, MISSING, reason
    delta: Place = (*place, "accuracy", "test")
    speedup: Place = (*place, "speed", "speedup")
    speed, verdict = MISSING, ""
    if found["speed"]:
        speed = sources.figure("ratio", ABLATION, *speedup, "estimate", interval=(*speedup, "interval"))
        verdict = found["speed"]["verdict"] + (", simulated" if found["simulated"] else "")
    return (
        escape(step["id"]),
        sources.figure("ratio", ABLATION, *place, "size", "ratio"),
        sources.figure("points", ABLATION, *delta, "delta", interval=(*delta, "interval")),
        speed,
        verdict,
    )


def trade_offs(sources: Sources, submission: Document) -> Iterator[str]:
    """Show the points that were tried, and which of them no other one beats."""
    selection = submission["selection"]
    points = selection["points"]
    if len(points) < 2:
        yield "One point was measured, so that no trade-off can be seen; a `sweep` in the file tries several."
        return
    figures = [(p["accuracy"]["validation"]["accuracy"], -p["stored_bytes"], p["speedup"]["estimate"]) for p in points]
    front = on_front(figures)
    count = sources.text(str(len(front)), SUBMISSION, "selection", "points")
    tried = sources.figure("count", SUBMISSION, "selection", "tried")
    yield f"{count} of {tried} points are beaten by no other one in validation accuracy, size and speed together."
    yield "They are marked •; the submitted one is bold.\n"
    shown = [i for i, point in enumerate(points) if i < _MOST_POINTS or point["index"] == selection["chosen"]]
    rows = [_point(sources, points[i], i, i in front, selection["chosen"]) for i in shown]
    yield from table(("", "point", "validation", "test", "size", "speed-up", "verdict"), rows)
    if (more := len(points) - len(shown)) > 0:
        yield f"\n{sources.text(str(more), SUBMISSION, 'selection', 'points')} more points are in the submission."


def _point(sources: Sources, point: Document, i: int, is_on_front: bool, chosen: int) -> Sequence[str]:
    place: Place = ("selection", "points", i)
    label = f"{point['label'] or point['index']}" + (f" seed={point['seed']}" if not point["label"] else "")
    is_chosen = point["index"] == chosen
    accuracies = [
        sources.figure("share", SUBMISSION, *place, "accuracy", split, "accuracy") for split in ("validation", "test")
    ]
    return (
        "•" if is_on_front else "",
        f"**{code(label)}**" if is_chosen else code(label),
        *accuracies,
        sources.figure("B", SUBMISSION, *place, "stored_bytes"),
        sources.figure("ratio", SUBMISSION, *place, "speedup", "estimate", interval=(*place, "speedup", "interval")),
        point["verdict"] + (", simulated" if point["simulated"] else ""),
    )
