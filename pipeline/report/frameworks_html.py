"""A comparison of frameworks as one self-contained HTML page: no request and no script, light and dark, escaped.

Needs jinja2, an extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.frameworks import HEADER, make_frameworks_view
from pipeline.report.frameworks_charts import STYLE as CHART_STYLE
from pipeline.report.frameworks_charts import ratios, roofline
from pipeline.report.style import STYLE
from pipeline.report.template import environment

__all__ = ["render_html"]

_PAGE = """
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ view.title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header>
<h1>{{ view.title }}</h1>
<p class="soft">{{ view.subtitle }}</p>
{% if view.description %}
<p>{{ view.description }}</p>
{% endif %}
</header>
<main>
<section aria-labelledby="short">
<h2 id="short">In short</h2>
<ul>
{% for sentence in view.sentences %}
<li>{{ sentence }}</li>
{% endfor %}
</ul>
</section>
{% if ratios %}
<section aria-labelledby="ratios">
<h2 id="ratios">PyTorch's time over ours</h2>
<p class="soft">Right of 1x tinytorch takes less time; the bar is the interval, 95 %.</p>
<figure class="wide"><div class="chart">{{ ratios | safe }}</div></figure>
</section>
{% endif %}
<section aria-labelledby="times">
<h2 id="times">Times, and what bounds them</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="times">
<table>
<thead><tr>
{% for name in header %}
<th scope="col"{% if loop.index0 in (1, 2, 3) %} class="number"{% endif %}>{{ name }}</th>
{% endfor %}
<th scope="col">a second</th>
</tr></thead>
<tbody>
{% for row in view.rows %}
<tr>
<th scope="row">{{ row.title }}</th>
<td class="number">{{ row.ours }}</td><td class="number">{{ row.theirs }}</td><td class="number">{{ row.ratio }}</td>
<td><span class="tag {{ row.tone }}">{{ row.verdict }}</span></td>
<td class="figure">{{ row.ours_bound }}</td><td class="figure">{{ row.theirs_bound }}</td>
<td class="figure">{{ row.rate }}</td>
</tr>
{% endfor %}
</tbody>
</table>
</div>
</section>
<section aria-labelledby="roof">
<h2 id="roof">How near to what this machine allows</h2>
<p class="soft">Filled: tinytorch; open: PyTorch, the same work one above the other. The solid line is what memory and
float32 arithmetic allow{% if view.peaks.int8_gops %}, the dashed one what int8 arithmetic does{% endif %}; the dotted
slope is that of the fastest cache, which holds the data of small work.</p>
<figure class="wide"><div class="chart">{{ roofline | safe }}</div></figure>
</section>
<section aria-labelledby="outputs">
<h2 id="outputs">Outputs and kernels</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="outputs">
<table>
<thead><tr><th scope="col">work</th><th scope="col">outputs</th><th scope="col">ours is computed by</th></tr></thead>
<tbody>
{% for row in view.rows %}
<tr><th scope="row">{{ row.title }}</th><td>{{ row.outputs or row.reason }}</td><td>{{ row.kernels }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
</section>
<section aria-labelledby="how">
<h2 id="how">How it was measured</h2>
<ul>
{% for note in view.notes %}
<li>{{ note }}</li>
{% endfor %}
</ul>
{% if view.warnings %}
<details class="warnings"><summary>{{ view.warnings | length }} warnings</summary>
<ul>
{% for text in view.warnings %}
<li>{{ text }}</li>
{% endfor %}
</ul>
</details>
{% endif %}
</section>
<section aria-labelledby="machine">
<h2 id="machine">Machine</h2>
<dl>
{% for name, value in view.machine %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
</section>
</main>
</body>
</html>
"""


def render_html(document: Mapping[str, Any]) -> str:
    """Return the page of a valid document; raises EnvironmentProblem when jinja2 is not installed."""
    view = make_frameworks_view(document)
    page = environment("the HTML report").from_string(_PAGE)
    return (
        page.render(
            view=view,
            header=HEADER,
            ratios=ratios(view.rows),
            roofline=roofline(view.rows, view.peaks),
            style=STYLE + CHART_STYLE,
        ).lstrip()
        + "\n"
    )
