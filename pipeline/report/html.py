"""The report as one self-contained HTML page: no request, light and dark, escaped throughout.

Needs jinja2, altair and vl-convert, an extra. The template, its styles and its script are Python modules, so that
editing them renders reports anew. The page allows the two scripts that it holds, by their digests, and no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from pipeline.config.dump import dump
from pipeline.report.charts import CHARTS
from pipeline.report.distribution import Samples
from pipeline.report.health import ACTIVITY_HEADER, GRADIENT_HEADER
from pipeline.report.material import Material, make_material
from pipeline.report.page import PAGE
from pipeline.report.palette import CONFIG, PALETTES
from pipeline.report.script import SCRIPT
from pipeline.report.style import STYLE
from pipeline.report.template import environment, script_digest
from pipeline.report.text import printable
from pipeline.report.vega import chart_specs, script
from pipeline.report.view import View, make_view
from pipeline.submission.measured import is_measured

if TYPE_CHECKING:
    pass

__all__ = ["render"]


def render(
    submission: Mapping[str, Any],
    samples: Samples | None = None,
    reason: str = "",
    ablation: Mapping[str, Any] | None = None,
) -> str:
    """Return the page for a valid submission; raises EnvironmentProblem when a library is not installed.

    `samples` are the raw ones of its evidence, of which latencies are drawn; without them `reason` says why. `ablation`
    is that of its point, if there is one.
    """
    templates = environment("the HTML report")
    view = make_view(submission, ablation)
    values: dict[str, Any] = {
        "view": view,
        "ordered": sorted(enumerate(view.points), key=lambda place: (not place[1].is_chosen, not place[1].is_front)),
        "style": STYLE,
        "charts": {},
        "reasons": {},
        "maps": (),
        "sections": (),
        "experiment": "",
        "script": "",
        "allowed": "",
    }
    if is_measured(submission):
        material = make_material(submission, samples, reason, ablation)
        specs, library = chart_specs(material), script()
        values |= {
            "charts": {name: CHARTS[name] for name in specs},
            "reasons": {"latency": material.reasons.get("latency", "")},
            "maps": material["maps"],
            "activity_header": ACTIVITY_HEADER,
            "gradient_header": GRADIENT_HEADER,
            "sections": _sections(view, material),
            "data": _data(material, specs),
            "experiment": _escaped(dump(_plain(view.document))),
            "library": library,
            "script": SCRIPT,
            "allowed": _allowed(library, SCRIPT),
        }
    return templates.from_string(PAGE).render(values).lstrip() + "\n"


def _sections(view: View, material: Material) -> list[tuple[str, str]]:
    """Return the anchors of the sections that the page has, with their names."""
    named = (
        ("short", "in short", view.answers),
        ("points", "points", len(view.points) > 1),
        ("figures", "figures", view.figures),
        ("latency", "latency", view.verdicts),
        ("steps", "steps", view.steps),
        ("contributions", "contributions", view.contributions),
        ("layers", "layers", view.layers or view.execution.layers),
        ("maps", "sparsity and bits", material["maps"]),
        ("training", "training", view.trainings),
        ("sweep", "sweep", len(view.points) > 2 and material["axes"]),
        ("machine", "machine and noise", view.machine),
        ("provenance", "provenance", view.provenance),
    )
    return [(anchor, name) for anchor, name, is_there in named if is_there]


def _data(material: Material, specs: Mapping[str, Any]) -> str:
    """Return what the script reads as JSON that cannot end its element: <, > and & are written by their numbers."""
    document = {
        "specs": specs,
        "tables": {name: _table(rows) for name, rows in material.tables.items()},
        "palettes": PALETTES,
        "config": CONFIG,
    }
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows as lists below their columns, which takes half the room; what a row has not is null."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return {"columns": columns, "rows": [[row.get(key) for key in columns] for row in rows]}


def _allowed(*scripts: str) -> str:
    return "; script-src " + " ".join(f"'sha256-{script_digest(text)}'" for text in scripts)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _escaped(text: str) -> str:
    """Return a text of several lines as HTML that shows it."""
    return escape("\n".join(map(printable, text.split("\n"))))
