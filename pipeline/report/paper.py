"""A run as a technical report: problem, method, results, the journey, trade-offs, limits, machine, how to reproduce.

Markdown, filled from the run alone; every number is a link to its source. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.config.dump import dump
from pipeline.report.markdown import escape
from pipeline.report.paper_limits import limits, machine
from pipeline.report.paper_origin import ABLATION, SUBMISSION, origins
from pipeline.report.paper_results import journey, results, summary, trade_offs
from pipeline.report.paper_sources import Sources, code, table
from pipeline.submission.quantities import quantity, with_interval

__all__ = ["PICTURES", "Picture", "paper"]

Document = Mapping[str, Any]


class Picture(NamedTuple):
    """A picture of a report: the section that it ends, what it shows, and its file, seen from the report."""

    section: str
    title: str
    file: str


# the name of a chart -> the section that it belongs to
PICTURES = {
    "latency": "Results: baseline against optimized",
    "step_size": "The journey, step by step",
    "step_accuracy": "The journey, step by step",
    "by_size": "Trade-offs",
    "by_speed": "Trade-offs",
}
_WORDS = {  # limit kind -> how a goal says it
    "at_least": "{metric} is at least {limit}",
    "at_most": "{metric} is at most {limit}",
    "max_drop": "{metric} drops by at most {limit}",
    "max_increase": "{metric} grows by at most {limit}",
    "no_significant_loss": "{metric} shows no significant loss",
}
_STATUS = {"met": "met", "not_met": "**not met**", "inconclusive": "inconclusive"}
_QUIET = ("allow_no_effect", "targets", "except", "per_layer")  # settings that are said only if they say something


def paper(
    submission: Document,
    ablation: Document | None,
    record: Document | None,
    digests: Mapping[str, str],
    trust: str,
    pictures: Sequence[Picture],
) -> str:
    """Return the report of a valid submission of version 2, ending with a line break.

    `ablation` is a valid one of its run and `record` the content of run.json, or None; `digests` are those of the
    files by their names, `trust` says how far the submission can be trusted.
    """
    documents = {SUBMISSION: submission, **({ABLATION: ablation} if ablation else {})}
    sources = Sources(documents, origins(documents, digests, record))
    sections = {
        "Summary": summary(sources, submission),
        "Problem": _problem(sources, submission),
        "Method": _method(sources, submission),
        "Results: baseline against optimized": results(sources, submission),
        "The journey, step by step": journey(sources, submission, ablation),
        "Trade-offs": trade_offs(sources, submission),
        "Limits of these results": limits(sources, submission, ablation, trust),
        "Machine": machine(sources, submission),
        "How to reproduce": _reproduce(sources, submission, digests),
        "Where every number comes from": _sources(sources),
    }
    blocks = [f"# {escape(submission['experiment']['name'])}: technical report", *_about(submission, digests)]
    for title, lines in sections.items():
        shown = [f"![{escape(picture.title)}]({picture.file})" for picture in pictures if picture.section == title]
        blocks += [f"## {title}", "\n".join(lines), *shown]
    return "\n\n".join(blocks) + "\n"


def _about(submission: Document, digests: Mapping[str, str]) -> Iterator[str]:
    made = f"Made by `pipeline paper` from {SUBMISSION}, SHA-256 `{digests[SUBMISSION]}`"
    author = f"{escape(submission['student_name'])}. " if submission.get("student_name") else ""
    yield f"{author}{made}. Every number is a link to its source; the sources are listed at the end."


def _problem(sources: Sources, submission: Document) -> Iterator[str]:
    description = " ".join(submission["experiment"]["description"].split())
    if description:
        yield f"> {escape(description)}\n"
    data = submission["provenance"]["data"]
    classes = sources.figure("count", SUBMISSION, "provenance", "data", "classes")
    baseline = code(submission["baseline"]["model_name"])
    size = sources.figure("B", SUBMISSION, "size", "baseline", "stored_bytes")
    name = escape(data["name"])
    yield f"A network ({baseline}) tells {classes} classes of the dataset {name} apart and takes {size} on disk."
    yield "It is to become smaller or faster without losing what it can do."
    if not submission["constraints"]:
        yield "No limits were set beforehand."
        return
    yield "These limits were set beforehand:\n"
    rows = []
    for i, goal in enumerate(submission["constraints"]):
        limit = sources.text(
            quantity(goal["limit"], goal["unit"]).removeprefix("+"), SUBMISSION, "constraints", i, "limit"
        )
        metric = escape(goal["metric"].replace("_", " "))
        low, high = goal["interval"]
        bounds = None if low == high else (low, high)
        found = with_interval(goal["measured"], bounds, goal["unit"]).removeprefix("+")
        measured = sources.text(found, SUBMISSION, "constraints", i, "measured")
        rows.append((_WORDS[goal["limit_kind"]].format(metric=metric, limit=limit), measured, _STATUS[goal["status"]]))
    yield from table(("limit", "measured on the test split", "status"), rows)


def _method(sources: Sources, submission: Document) -> Iterator[str]:
    counts = {
        role: sources.figure("count", SUBMISSION, "provenance", "data", "counts", role)
        for role in ("train", "validation", "test")
    }
    yield (
        f"**Data.** {escape(submission['provenance']['data']['name'])}: {counts['train']} items to train on, "
        f"{counts['validation']} to choose by (validation), {counts['test']} to report (test)."
    )
    yield f"\n**Model.** {_model(sources, submission)}"
    yield "\n**Steps.** Each works on the result of the one before:\n"
    for number, effect in enumerate(submission["effects"], start=1):
        settings = ", ".join(_settings(sources, number - 1, effect["settings"]))
        step = f"**{escape(effect['id'])}** ({escape(effect['technique'])})"
        yield f"{number}. {step}{': ' if settings else ''}{settings}"
    if not submission["effects"]:
        yield "none at the submitted point"
    yield f"\n**Choice.** {_choice(sources, submission)}"
    yield f"\n**Measurement.** {_measurement(sources, submission)}"


def _model(sources: Sources, submission: Document) -> str:
    document = submission["experiment"]["document"]
    model = document.get("model", {})
    place = (SUBMISSION, "experiment", "document", "model")
    parts = [f"{escape(name)} {sources.words(*place, 'args', name)}" for name in model.get("args", {})]
    shape = f" ({'; '.join(parts)})" if parts else ""
    parameters = sources.figure("count", SUBMISSION, "size", "baseline", "parameters")
    macs = sources.figure("count", SUBMISSION, "size", "baseline", "macs")
    training = [f"{escape(name)} {sources.words(*place, 'train', name)}" for name in model.get("train", {})]
    text = f"{escape(submission['baseline']['model_name'])}{shape}: {parameters} parameters, {macs} MACs a sample."
    return f"{text} Trained with {', '.join(training)}." if training else text


def _settings(sources: Sources, number: int, settings: Document) -> Iterator[str]:
    for name in sorted(settings):
        if name in _QUIET and (not settings[name] or settings[name] == ["*"]):
            continue
        yield f"{escape(name)} {sources.words(SUBMISSION, 'effects', number, 'settings', name)}"


def _choice(sources: Sources, submission: Document) -> str:
    selection = submission["selection"]
    if selection["tried"] == 1:
        return "One point was measured; there was nothing to choose."
    tried = sources.figure("count", SUBMISSION, "selection", "tried")
    reason = sources.text(selection["reason"], SUBMISSION, "selection", "reason")
    rule = f"{escape(selection['rule'])}; the test split plays no part in it"
    return f"{tried} points were measured. Submitted: {reason}. Chosen {rule}."


def _measurement(sources: Sources, submission: Document) -> str:
    found, speed = submission["comparisons"]["speed"], ("comparisons", "speed")
    counts = {
        name: sources.figure("count", SUBMISSION, *speed, name)
        for name in ("batch_size", "pairs", "processes", "threads")
    }
    interval = (*speed, "control", "interval")
    control = sources.figure("ratio", SUBMISSION, *speed, "control", "estimate", interval=interval)
    protocol, scenario = escape(submission["measurement"]["protocol"]), escape(found["scenario"])
    return (
        f"Protocol {protocol}, scenario {scenario}: baseline and optimized model take turns in {counts['processes']} "
        f"fresh processes ({counts['pairs']} pairs, batch size {counts['batch_size']}, threads {counts['threads']}), "
        f"with a second copy of the baseline as control: identical code against itself came out at {control}. "
        f"Differences below {sources.figure('share', SUBMISSION, *speed, 'threshold')} count as none. Accuracies are "
        "compared on the same items by McNemar's test; sizes are bytes of the stored files."
    )


def _reproduce(sources: Sources, submission: Document, digests: Mapping[str, str]) -> Iterator[str]:
    provenance = submission["provenance"]
    yield "The experiment file, as it was run:\n"
    yield "```yaml"
    yield from _fenced(dump(submission["experiment"]["document"]))
    yield "```\n"
    yield f"Save it as {code(submission['experiment']['name'] + '.yaml')}; the run was started by:\n"
    yield "```sh"
    yield from _fenced(provenance["command"])
    yield "```\n"
    yield "`pipeline validate submission.json` computes the figures again from the evidence beside it;"
    yield "`pipeline verify submission.json` runs it again.\n"
    versions = ", ".join(
        f"{escape(name)} {sources.words(SUBMISSION, 'provenance', 'versions', name)}"
        for name in sorted(provenance["versions"])
    )
    seeds = sources.words(SUBMISSION, "provenance", "seeds", "submitted")
    yield f"Seed {seeds} (tried: {sources.words(SUBMISSION, 'provenance', 'seeds', 'tried')}). Versions: {versions}.\n"
    rows = [(escape(name), f"`{digest}`") for name, digest in digests.items()]
    rows += [(f"{role} data", f"`{provenance['data']['roles'][role]}`") for role in ("train", "validation", "test")]
    yield from table(("file or data", "SHA-256"), rows)


def _fenced(text: str) -> Iterator[str]:
    """Yield the lines of a text that cannot end the fence that it stands in."""
    for line in text.splitlines():
        yield "".join(char if char.isprintable() and char != "`" else "\ufffd" for char in line)


def _sources(sources: Sources) -> Iterator[str]:
    yield "Places are JSON Pointers (RFC 6901) into the files beside this one."
    yield "`pipeline why KEY` tells what a key was computed from.\n"
    yield from sources.lines()
