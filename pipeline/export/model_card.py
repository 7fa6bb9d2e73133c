"""A model's card: what it is, how good, how fast, how it was made, what to beware of. Markdown, from a submission.

Follows the sections of Mitchell et al. 2019, "Model Cards for Model Reporting", as far as a run knows something of
them; what it does not know (intended use, ethical considerations) is said to be unknown, not made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pipeline.export.markdown_text import code, escaped, table
from pipeline.export.package_tree import EXACT, FAST, STORED, Packaged
from pipeline.submission.quantities import quantity, with_interval

__all__ = ["card"]

Document: TypeAlias = Mapping[str, Any]


def card(submission: Document, packaged: Packaged) -> str:
    """Return the card of the submitted network, ending with a line break."""
    parts = (_head, _use, _figures, _making, _limits, _reproduction)
    return "\n\n".join("\n".join(part(submission, packaged)) for part in parts) + "\n"


def _head(submission: Document, packaged: Packaged) -> Iterator[str]:
    experiment, steps = submission["experiment"], submission["optimized"].get("techniques_applied", [])
    data = submission["provenance"]["data"]
    yield f"# {escaped(experiment['name'])}"
    if experiment.get("description"):
        yield f"\n{escaped(experiment['description'])}"
    made = f"made smaller by {', '.join(code(step) for step in steps)}" if steps else "not compressed"
    yield (
        f"\nA network ({escaped(submission['baseline']['model_name'])}) that tells the {data['classes']} classes of "
        f"{escaped(data['name'])} apart, {made}."
    )


def _use(submission: Document, packaged: Packaged) -> Iterator[str]:
    inputs = packaged.inputs
    shape = " x ".join(str(size) for size in inputs["shape"])
    yield "## Use\n"
    yield f"`python example.py` runs {code(EXACT)} in onnxruntime (`pip install numpy onnxruntime`). With tinytorch:\n"
    yield "```python"
    yield "import json"
    yield "import numpy as np"
    yield "from tinytorch.runtime.session import InferenceSession"
    yield "from tinytorch.serialization import load"
    yield ""
    yield f'session = InferenceSession(load("{STORED}"), choices=json.load(open("session.json"))["choices"])'
    yield 'print(session.run(np.load("images.npy")).argmax(axis=1))'
    yield "```\n"
    yield (
        f"Inputs are {inputs['type']} of shape {shape}: (pixel / {inputs['scale']:g} - mean) / std with mean "
        f"{inputs['mean']} and std {inputs['std']} by channel. `choices` are the kernels that were timed; leave them "
        "out on a processor that lacks them."
    )
    yield ""
    yield from (f"- {code(check.file)}: {check.text}." for check in packaged.checks)
    if any(check.file == FAST for check in packaged.checks):
        yield f"\n{code(FAST)} rounds inputs by scales calibrated on training images, which runtimes run faster."


def _figures(submission: Document, packaged: Packaged) -> Iterator[str]:
    yield "## Figures\n"
    yield from table(("", "baseline", "this model", "change"), _rows(submission))
    speed = submission["comparisons"]["speed"]
    yield (
        f"\nTimes: {code(speed['scenario'])}, batch size {speed['batch_size']}, {speed['threads']} thread(s), "
        f"{speed['pairs']} pairs of calls in {speed['processes']} processes, in turns; 95 % intervals. "
        f"Verdict on speed: {speed['verdict']}; on accuracy: {submission['comparisons']['accuracy']['verdict']}."
    )


def _rows(submission: Document) -> Iterator[tuple[str, ...]]:
    comparisons, accuracy = submission["comparisons"], submission["accuracy"]
    sides = ("baseline", "optimized")
    rates = [accuracy[side]["test"] for side in sides]
    arms = [submission["benchmark"]["comparisons"][0]["arms"][side] for side in sides]
    sizes = [submission["size"][side] for side in sides]
    change = comparisons["accuracy"]
    yield (
        "accuracy (test)",
        *(with_interval(rate["accuracy"], rate["interval"], "share") for rate in rates),
        with_interval(change["delta"], change["interval"], "points"),
    )
    yield (
        "stored size",
        *(quantity(size["stored_bytes"], "B") for size in sizes),
        quantity(comparisons["size"]["ratio"], "ratio"),
    )
    speedup = comparisons["speed"]["speedup"]
    yield (
        "latency, median",
        *(with_interval(arm["median_ns"], arm["interval_ns"], "ns") for arm in arms),
        with_interval(speedup["estimate"], speedup["interval"], "ratio"),
    )
    yield ("parameters", *(quantity(size["parameters"], "count") for size in sizes), "")
    yield ("multiply-accumulates", *(quantity(size["macs"], "count") for size in sizes), "")


def _making(submission: Document, packaged: Packaged) -> Iterator[str]:
    data, selection = submission["provenance"]["data"], submission["selection"]
    counts = ", ".join(f"{count} {split}" for split, count in sorted(data["counts"].items()))
    yield "## How it was made\n"
    yield f"- Data: {escaped(data['name'])}, digest {code(data['digest'])}; images: {counts}."
    yield f"- Seed {submission['provenance']['seeds']['submitted']}; {selection['tried']} point(s) tried."
    yield f"- Chosen {escaped(selection['rule'])}."
    for effect in submission["effects"]:
        sizes = (quantity(effect[key], "B") for key in ("stored_bytes_before", "stored_bytes_after"))
        yield f"- {code(effect['technique'])}: {' to '.join(sizes)}" + (
            ", simulated: what it removes is not skipped." if effect["simulated"] else "."
        )


def _limits(submission: Document, packaged: Packaged) -> Iterator[str]:
    yield "## Limits\n"
    yield f"- Accuracy is known for the test split of {escaped(submission['provenance']['data']['name'])} only."
    yield f"- Times are those of {escaped(submission['machine']['cpu'])}; other machines differ."
    yield "- Intended use, licence and effects on people are not known to the tool that wrote this card."
    yield from (f"- {escaped(warning)}" for warning in submission["warnings"])


def _reproduction(submission: Document, packaged: Packaged) -> Iterator[str]:
    provenance = submission["provenance"]
    versions = ", ".join(f"{escaped(name)} {escaped(version)}" for name, version in provenance["versions"].items())
    yield "## Reproduction\n"
    yield f"{code(provenance['command'])}\n"
    yield f"- Experiment: {code(provenance['experiment'])}."
    yield f"- Weights: {code(provenance['weights']['optimized'])}."
    yield f"- Measured {escaped(submission['measurement']['measured_at'])} with {versions}."
