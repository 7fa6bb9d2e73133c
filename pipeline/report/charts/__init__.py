"""The charts of a report, in its order: what each shows, and the function that makes its Vega-Lite specification.

A specification names its data (a table of `pipeline.report.material`) and its colours (tokens of
`pipeline.report.palette`) and holds neither, nor any text of a submission.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.report.charts.contributions import gains_in_accuracy, gains_in_size, gains_in_speed
from pipeline.report.charts.health import gradient_flow, idle_units
from pipeline.report.charts.model import layers, map_of_bits, map_of_sparsity, training
from pipeline.report.charts.points import by_size, by_speed, sweep
from pipeline.report.charts.steps import accuracy_steps, size_steps, work_steps
from pipeline.report.charts.texts import tokens_per_second
from pipeline.report.charts.time import latency, processes
from pipeline.report.material import Material

__all__ = ["CHARTS", "Chart", "Rows", "drawable"]

Rows = Sequence[Mapping[str, Any]]


class Chart(NamedTuple):
    """One chart: the section it belongs to, its title, what it shows in words, and how it is made of its rows.

    `draw(rows, width)` returns the specification; the width is in pixels or "container". Fewer than `least` rows are
    not worth drawing.
    """

    section: str
    title: str
    alt: str
    table: str
    draw: Callable[[Rows, Any], dict[str, Any]]
    what: str = ""
    least: int = 1


CHARTS: dict[str, Chart] = {
    "by_size": Chart(
        "front",
        "Accuracy against stored size",
        "Validation accuracy of every point against its stored size; a line joins those that no smaller point equals.",
        "points",
        by_size,
        least=2,
    ),
    "by_speed": Chart(
        "front",
        "Accuracy against speed-up",
        "Validation accuracy of every point against its speed-up; a line joins those that no faster point equals.",
        "points",
        by_speed,
        least=2,
    ),
    "latency": Chart(
        "latency",
        "How long a query takes",
        "Share of queries answered within a time, for the baseline, the same code a second time, and the optimized.",
        "latency",
        latency,
    ),
    "processes": Chart(
        "latency",
        "Speed-up, and how much identical code differs",
        "Speed-up with its interval and every process, above the ratio of two copies of the baseline.",
        "ratios",
        processes,
    ),
    "generate": Chart(
        "latency",
        "Tokens per second, by model and cache",
        "Tokens decoded per second by both models, without a key-value cache and with one of float32 and int8.",
        "texts",
        tokens_per_second,
    ),
    "step_size": Chart(
        "steps",
        "Stored size",
        "Stored size before and after each step, on a logarithmic scale.",
        "steps",
        size_steps,
        "stored size",
        2,
    ),
    "step_work": Chart(
        "steps",
        "Work (MACs)",
        "Multiply-accumulates of a query before and after each step, on a logarithmic scale.",
        "steps",
        work_steps,
        "work (MACs)",
        2,
    ),
    "step_accuracy": Chart(
        "steps",
        "Accuracy (test)",
        "Accuracy on the test split before and after each step, with its interval.",
        "steps",
        accuracy_steps,
        "accuracy (test)",
        2,
    ),
    "gain_size": Chart(
        "contributions",
        "What each step saves",
        "How many times smaller each step makes the file: alone, after the steps before it, and left out of all.",
        "gains",
        gains_in_size,
        "stored size",
    ),
    "gain_accuracy": Chart(
        "contributions",
        "What each step does to the accuracy",
        "By how many points each step changes the accuracy on the test split, with intervals.",
        "gains",
        gains_in_accuracy,
        "accuracy (test)",
    ),
    "gain_speed": Chart(
        "contributions",
        "What each step gains in speed",
        "How many times as fast each step makes the model, with intervals.",
        "gains",
        gains_in_speed,
        "speed-up",
    ),
    "layers": Chart(
        "layers",
        "Time of each layer in a call",
        "Time of each layer within a call, of the baseline and of the optimized model.",
        "layers",
        layers,
    ),
    "sparsity": Chart(
        "maps",
        "Weights gone",
        "Share of each layer's weights that are zero or removed after each step.",
        "maps",
        map_of_sparsity,
    ),
    "bits": Chart("maps", "Bits of a weight", "Bits of each layer's weights after each step.", "maps", map_of_bits),
    "loss": Chart(
        "training",
        "Training loss",
        "Loss on the training split by epoch, one line for each training.",
        "epochs",
        training,
        "training loss",
        2,
    ),
    "learning": Chart(
        "training",
        "Validation accuracy",
        "Accuracy on the validation split by epoch, one line for each training.",
        "epochs",
        training,
        "validation accuracy",
        2,
    ),
    "gradients": Chart(
        "health",
        "Gradients through the layers",
        "Root mean square of the gradient of each layer's weights, before the training and after some of its epochs.",
        "health",
        gradient_flow,
        "gradient",
        2,
    ),
    "idle": Chart(
        "health",
        "Dead or saturated units",
        "Share of each layer's units that give 0 for all items, or of its outputs that are saturated, at every look.",
        "health",
        idle_units,
        "idle",
        2,
    ),
    "sweep": Chart(
        "sweep",
        "Every point across all axes",
        "One line for each point through its parameters, its size, its accuracy and its speed-up.",
        "points",
        sweep,
        least=3,
    ),
}


def drawable(material: Material) -> dict[str, Rows]:
    """Return the rows of each chart that has enough of them, by its name in the report's order."""
    rows: dict[str, Rows] = {
        name: [row for row in material[chart.table] if not chart.what or row["what"] == chart.what]
        for name, chart in CHARTS.items()
    }
    found = {name: of_chart for name, of_chart in rows.items() if len(of_chart) >= CHARTS[name].least}
    if not material["axes"]:
        found.pop("sweep", None)
    return found
