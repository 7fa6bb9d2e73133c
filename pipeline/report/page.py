"""The template of the HTML report. It lays out a `View`, draws charts whose geometry is given, and decides nothing."""

from __future__ import annotations

__all__ = ["PAGE"]

_MACROS = """
{% macro figure(value) %}
{{ value.text }}{% if value.bounds %} <small>{{ value.bounds }}</small>{% endif %}
{% endmacro %}

{% macro head(names, right=()) %}
<thead><tr>{% for name in names %}
{% if name %}<th scope="col" class="{{ "number" if name in right }}">{{ name }}</th>{% else %}<td></td>{% endif %}
{% endfor %}</tr></thead>
{% endmacro %}

{% macro tag(word, tone) %}<span class="tag {{ tone }}">{{ word }}</span>{% endmacro %}

{% macro scatter(chart) %}
<figure>
<svg viewBox="0 0 {{ chart.width }} {{ chart.height }}" role="img" aria-label="Test accuracy against {{ chart.name }}">
{% for tick in chart.y_ticks %}
<line class="grid" x1="{{ chart.left }}" x2="{{ chart.right }}" y1="{{ tick.at }}" y2="{{ tick.at }}"/>
<text x="{{ chart.left - 8 }}" y="{{ tick.at + 4 }}" text-anchor="end">{{ tick.text }}</text>
{% endfor %}
{% for tick in chart.x_ticks %}
<line class="grid" x1="{{ tick.at }}" x2="{{ tick.at }}" y1="{{ chart.top }}" y2="{{ chart.bottom }}"/>
<text x="{{ tick.at }}" y="{{ chart.bottom + 17 }}" text-anchor="middle">{{ tick.text }}</text>
{% endfor %}
<line class="frame" x1="{{ chart.left }}" x2="{{ chart.right }}" y1="{{ chart.bottom }}" y2="{{ chart.bottom }}"/>
{% set middle = (chart.left + chart.right) / 2 %}
<text x="{{ middle }}" y="{{ chart.height - 6 }}" text-anchor="middle">{{ chart.name }}</text>
{% for mark in chart.marks %}
<g class="{{ mark.kind }}"><title>{{ mark.title }}</title>
<line class="whisker" x1="{{ mark.x }}" x2="{{ mark.x }}" y1="{{ mark.low }}" y2="{{ mark.high }}"/>
<line class="whisker" x1="{{ mark.left }}" x2="{{ mark.right }}" y1="{{ mark.y }}" y2="{{ mark.y }}"/>
{% if mark.kind == "baseline" %}
<rect x="{{ mark.x - 5 }}" y="{{ mark.y - 5 }}" width="10" height="10" stroke-width="2"/>
{% else %}
<circle cx="{{ mark.x }}" cy="{{ mark.y }}" r="{{ 6 if mark.kind == 'chosen' else 4 }}"/>
{% endif %}
</g>
{% if mark.label %}
{% set label_y = mark.low + 16 if mark.kind == "baseline" else mark.high - 7 %}
<text class="label" x="{{ mark.x }}" y="{{ label_y }}" text-anchor="{{ mark.anchor }}">{{ mark.label }}</text>
{% endif %}
{% endfor %}
</svg>
<figcaption>Test accuracy against {{ chart.name }}, with 95 % intervals.</figcaption>
</figure>
{% endmacro %}

{% macro forest_plot(chart) %}
<figure class="wide">
<svg viewBox="0 0 {{ chart.width }} {{ chart.height }}" role="img"
  aria-label="Speed-up of every point with its interval">
{% for tick in chart.ticks %}
<line class="grid" x1="{{ tick.at }}" x2="{{ tick.at }}" y1="0" y2="{{ chart.height - 26 }}"/>
<text x="{{ tick.at }}" y="{{ chart.height - 10 }}" text-anchor="middle">{{ tick.text }}</text>
{% endfor %}
<line class="one" x1="{{ chart.one }}" x2="{{ chart.one }}" y1="0" y2="{{ chart.height - 26 }}"/>
{% for row in chart.rows %}
<g class="{{ row.kind }}"><title>{{ row.text }}</title>
<line class="whisker" x1="{{ row.low }}" x2="{{ row.high }}" y1="{{ row.y }}" y2="{{ row.y }}" style="stroke-width:4"/>
<circle cx="{{ row.x }}" cy="{{ row.y }}" r="4"/></g>
<text class="{{ "label" if row.kind == "chosen" else "name" }}" x="{{ chart.left - 14 }}" y="{{ row.y + 4 }}"
  text-anchor="end">{{ row.label }}</text>
{% endfor %}
</svg>
<figcaption>Speed-up over the baseline with its interval; the dashed line is no change.
{% if chart.hidden %}{{ chart.hidden }} more points are in the table.{% endif %}</figcaption>
</figure>
{% endmacro %}

{% macro facts(pairs) %}
<dl>
{% for name, value in pairs %}
<dt>{{ name }}</dt><dd{% if value|length == 64 %} class="digest"{% endif %}>{{ value }}</dd>
{% endfor %}
</dl>
{% endmacro %}
"""

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ view.title }}</title>
<style>{{ style|safe }}</style>
</head>
<body>
<header>
<h1>{{ view.title }}</h1>
<p>{{ view.subtitle }}</p>
{% if view.description %}<p>{{ view.description }}</p>{% endif %}
{% if view.scenario %}<p>{{ view.scenario }}</p>{% endif %}
{% if view.measured %}<p class="soft">{{ view.measured }}</p>{% endif %}
</header>
<main>
{% if view.verdicts %}
<section class="cards" aria-label="Verdicts">
{% for verdict in view.verdicts %}
{% set number, _, bounds = verdict.figure.partition(" [") %}
<div class="card">
<div class="subject">{{ verdict.subject }}</div>
<div class="figure">{{ number }}{% if bounds %} <small>[{{ bounds }}</small>{% endif %}</div>
{{ tag(verdict.word, verdict.tone) }}
<p>{{ verdict.text }}</p>
</div>
{% endfor %}
</section>
{% endif %}
{% if view.warnings %}
<h2>Warnings</h2>
<ul>{% for warning in view.warnings %}<li>{{ warning }}</li>{% endfor %}</ul>
{% endif %}
"""

_RESULTS = """
<h2>Baseline and optimized</h2>
<div class="scroll" tabindex="0"><table>
{{ head(["", "baseline", "optimized", "change"]) }}
<tbody>
{% for row in view.figures %}
<tr{% if row.is_detail %} class="detail"{% endif %}><th scope="row">{{ row.name }}</th>
<td class="figure">{{ figure(row.baseline) }}</td><td class="figure">{{ figure(row.optimized) }}</td>
<td class="figure{% if row.tone %} {{ row.tone }}-text{% endif %}">{{ figure(row.change) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% for note in view.notes %}<p class="note">{{ note.text }}</p>{% endfor %}

{% if view.techniques %}<p class="note">techniques: {{ view.techniques|join(", ") }}</p>{% endif %}
{% if view.limits %}
<h2>Goals</h2>
<div class="scroll" tabindex="0"><table>
{{ head(["status", "goal", "measured", "why"]) }}
<tbody>
{% for limit in view.limits %}
<tr><td>{{ tag(limit.status, limit.tone) }}</td><td>{{ limit.wanted }}</td>
<td class="figure">{{ limit.measured }}</td><td>{{ limit.reason }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% if scatters %}
<h2>Trade-offs</h2>
<div class="charts">{% for chart in scatters %}{{ scatter(chart) }}{% endfor %}</div>
{% endif %}
{% if view.conditions|length > 1 %}
<h2>Batch sizes and threads</h2>
<div class="scroll" tabindex="0"><table>
{{ head(["batch size", "threads", view.asked ~ ", baseline", view.asked ~ ", optimized", "speed-up", "verdict"]) }}
<tbody>
{% for row in view.conditions %}
<tr><th scope="row">{{ row.batch_size }}</th><td class="figure">{{ row.threads }}</td>
<td class="figure">{{ row.baseline }}</td><td class="figure">{{ row.optimized }}</td>
<td class="figure">{{ row.speedup }}</td><td>{{ tag(row.verdict, row.tone) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% for row in view.conditions if row.note %}<p class="note">{{ row.note }}</p>{% endfor %}
{% endif %}
{% if view.peers.rows %}
<h2>The same networks elsewhere</h2>
<ul>{% for sentence in view.peers.sentences %}<li>{{ sentence }}</li>{% endfor %}</ul>
<div class="scroll" tabindex="0"><table>
{{ head(["runtime", "network", "precision", "file", "a call", "its time / ours", "tinytorch is"]) }}
<tbody>
{% for row in view.peers.rows %}
<tr><th scope="row">{{ row.runtime }}</th><td>{{ row.network }}</td><td>{{ row.precision }}</td>
<td class="figure">{{ row.file }}</td><td class="figure">{{ row.call }}</td>
<td class="figure">{{ row.ratio }}</td><td>{{ tag(row.verdict, row.tone) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% for note in view.peers.notes %}<p class="note">{{ note }}</p>{% endfor %}
{% endif %}
{% if view.loadgen.rows %}
<h2>{{ view.loadgen.title }}</h2>
<div class="scroll" tabindex="0"><table>
{{ head(["scenario", "batch size", "threads", "model", "judged by", "throughput", "queries", "LoadGen says"],
        right=["batch size", "threads", "judged by", "throughput", "queries"]) }}
<tbody>
{% for row in view.loadgen.rows %}
<tr><th scope="row">{{ row.scenario }}</th><td class="figure">{{ row.batch_size }}</td>
<td class="figure">{{ row.threads }}</td><td>{{ row.model }}</td><td class="figure">{{ row.judged_by }}</td>
<td class="figure">{{ row.throughput }}</td><td class="figure">{{ row.queries }}</td>
<td>{{ tag(row.says, row.tone) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% for note in view.loadgen.notes %}<p class="note">{{ note }}</p>{% endfor %}
{% endif %}
{% if view.points|length > 1 %}
<h2>{{ view.tried }} tried</h2>
<p>Submitted: {{ view.reason }}. Chosen {{ view.rule }}.</p>
{% if view.search %}<p>{{ view.search }}.</p>{% endif %}
{{ forest_plot(forest) }}
<div class="scroll below" tabindex="0"><table>
{{ head(["point", "validation", "test", "size", "smaller", "speed-up", "verdict", "misses"],
        right=["validation", "test", "size", "smaller"]) }}
<tbody>
{% for point in view.points %}
<tr{% if point.is_chosen %} class="chosen"{% endif %}>
<th scope="row">{{ point.label }} {% if point.is_chosen %}{{ tag("submitted", "") }}{% endif %}</th>
<td class="number">{{ point.validation }}</td>
{% set worse = "bad-text" if point.accuracy_verdict == "significantly worse" else "" %}
<td class="number {{ worse }}" title="{{ point.accuracy_verdict }}">{{ point.test }}</td>
<td class="number">{{ point.size }}</td>
<td class="number">{{ point.compression }}</td>
<td class="figure">{{ point.speedup }}</td>
<td>{{ tag(point.verdict, point.tone) }} {% if point.is_simulated %}{{ tag("simulated", "warn") }}{% endif %}</td>
<td>{{ point.violated }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% if view.failed %}
<h2>{{ view.failed_title }}</h2>
<div class="scroll" tabindex="0"><table>
{{ head(["point", "failed at", "why"]) }}
<tbody>
{% for point in view.failed %}
<tr><th scope="row">{{ point.label }}</th><td>{{ point.node }}</td><td>{{ point.reason }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}
"""

_DETAILS = """
{% if view.steps %}
<h2>Steps</h2>
<div class="scroll" tabindex="0"><table>
{{ head(["step", "technique", "stored size", "parameters", "MACs", "speed", "settings"]) }}
<tbody>
{% for step in view.steps %}
<tr><th scope="row">{{ step.name }}</th><td>{{ step.technique }}</td><td class="figure">{{ step.size }}</td>
<td class="figure">{{ step.parameters }}</td><td class="figure">{{ step.macs }}</td>
<td>{% if step.is_simulated %}{{ tag("simulated", "warn") }} no speed gained{% else %}executed{% endif %}</td>
<td>{{ step.settings }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% if view.execution.layers %}
<h2>How the models ran</h2>
<ul>
{% for sentence in view.execution.sentences %}
<li>{{ sentence }}</li>
{% endfor %}
</ul>
<div class="scroll" tabindex="0"><table>
{{ head(["model", "layer", "with", "computed by", "weights", "time of each candidate"], right=["weights"]) }}
<tbody>
{% for layer in view.execution.layers %}
<tr><td>{{ layer.side }}</td><th scope="row">{{ layer.layer }}</th><td>{{ layer.fused }}</td><td>{{ layer.kernel }}</td>
<td class="number">{{ layer.size }}</td><td>{{ layer.candidates }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% if view.layers %}
<h2>Where the time goes</h2>
<p>{{ view.profile_note }}</p>
<div class="scroll" tabindex="0"><table>
{{ head(["layer", "kind", "computed by", "time", "share", "parameters", "MACs", "weights", "FLOP/byte", "bound by"],
        right=["time", "parameters", "MACs", "weights", "FLOP/byte"]) }}
<tbody>
{% for layer in view.layers %}
<tr><th scope="row">{{ layer.name }}</th><td>{{ layer.kind }}</td><td>{{ layer.kernel }}</td>
<td class="number">{{ layer.time }}</td>
<td class="figure"><span class="bar" style="width:{{ (layer.share * 6)|round(2) }}rem"></span>
{{ layer.share_text }}</td>
<td class="number">{{ layer.parameters }}</td>
<td class="number">{{ layer.macs }}</td>
<td class="number">{{ layer.weights }}</td>
<td class="number">{{ layer.intensity }}</td>
<td>{{ layer.bound }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% if view.machine %}
<h2>Machine</h2>
{{ facts(view.machine) }}
{% endif %}
{% if view.provenance %}
<h2>Provenance</h2>
<p class="soft">Save the experiment that is embedded in the submission as a file and run the command to repeat it.</p>
{{ facts(view.provenance) }}
{% endif %}
</main>
</body>
</html>
"""

PAGE = _MACROS.lstrip() + _HEAD + _RESULTS + _DETAILS
