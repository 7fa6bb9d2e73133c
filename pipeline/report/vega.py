"""Charts as Vega-Lite specifications for a page, and as pictures. Needs altair and vl-convert, an extra.

The specifications are made by altair; vl-convert has Vega itself, both the script that a page holds and a renderer that
needs no browser and no network.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import EnvironmentProblem
from pipeline.report.charts import CHARTS, drawable
from pipeline.report.material import Material
from pipeline.report.palette import CONFIG, PALETTES, painted
from pipeline.report.text import printable

__all__ = ["PICTURES", "chart_specs", "picture", "script"]

PICTURES = ("pdf", "png", "svg")
_SCALE = 2.0  # pixels of a PNG for each unit
_WIDTH, _GAP = 420, 40
_OWN = {"scale": {"color": "independent", "shape": "independent", "strokeDash": "independent"}}


def chart_specs(material: Material, width: int | str = "container") -> dict[str, dict[str, Any]]:
    """Return the specification of every chart that there is something to draw for, without data and colours.

    Raises EnvironmentProblem if altair is not installed.
    """
    check_installed()
    from altair.utils.schemapi import debug_mode

    made = {}
    with debug_mode(False):  # what is built here is validated by tests
        for name, rows in drawable(material).items():
            spec = CHARTS[name].draw(rows, width)
            made[name] = {key: value for key, value in spec.items() if key not in ("$schema", "config")}
    return made


@functools.cache
def script() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script without any import; raises EnvironmentProblem."""
    check_installed()
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed")
    # What ends a script element would end it wherever it stands.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def picture(material: Material, kind: str, title: str, scheme: str = "light", only: str = "") -> bytes:
    """Return the charts as one SVG, PNG or PDF document, or the chart called `only`; raises EnvironmentProblem."""
    specs = chart_specs(material, 760 if only else _WIDTH)
    import vl_convert

    if only:
        whole: dict[str, Any] = {**specs[only], "title": CHARTS[only].title}
    else:
        if "sweep" in specs:
            specs["sweep"]["width"] = 2 * _WIDTH + _GAP
        panels = {name: {**spec, "title": CHARTS[name].title} for name, spec in specs.items()}
        whole = {
            "vconcat": _rows(panels),
            "spacing": _GAP,
            "title": {"text": printable(title), "fontSize": 18, "offset": 24},
        }
        whole["resolve"] = _OWN
        whole["params"] = _hoisted(list(panels.values()))
    document = painted({**whole, "config": _config(CONFIG), "padding": 20}, PALETTES[scheme])
    document["datasets"] = dict(material.tables)
    nowhere: dict[str, Any] = {"allowed_base_urls": []}
    if kind == "svg":
        return str(vl_convert.vegalite_to_svg(document, **nowhere)).encode()
    if kind == "pdf":
        return bytes(vl_convert.vegalite_to_pdf(document, **nowhere))
    return bytes(vl_convert.vegalite_to_png(document, scale=_SCALE, **nowhere))


def check_installed() -> None:
    """Raise EnvironmentProblem, with what to install, unless altair and vl-convert are here."""
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise EnvironmentProblem(
            f"charts need {error.name}, which is not installed", hint='pip install "tinytorch-pipeline[report]"'
        ) from error


def _rows(panels: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Lay out panels in rows of two, the sweep in one of its own."""
    pairs = [panel for name, panel in panels.items() if name != "sweep"]
    rows = [{"hconcat": pairs[i : i + 2], "spacing": _GAP, "resolve": _OWN} for i in range(0, len(pairs), 2)]
    return [*rows, panels["sweep"]] if "sweep" in panels else rows


def _hoisted(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Move what charts share to the top, each once, and drop the brushes, which a picture has no use for."""
    shared: dict[str, dict[str, Any]] = {}
    for panel in panels:
        for param in panel.pop("params", ()):
            if "select" not in param:
                shared.setdefault(param["name"], param)
    return list(shared.values())


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the look with fonts that are there without a system: vl-convert brings DejaVu and others along."""
    return {**config, "font": "Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"}
