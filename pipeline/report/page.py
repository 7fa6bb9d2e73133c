"""The template of the HTML report. It lays out a `View`, leaves room for charts, and decides nothing."""

from __future__ import annotations

from pipeline.report.page_health import HEALTH

__all__ = ["PAGE"]

_MACROS = """
{% macro figure(value) %}
{{ value.text }}{% if value.bounds %} <small>{{ value.bounds }}</small>{% endif %}
{% endmacro %}

{% macro head(names, right=(), sorts=false) %}
<thead><tr>{% for name in names %}
{% if name %}<th scope="col" class="{{ "number" if name in right }}">
{%- if sorts %}<button type="button" data-sort>{{ name }}</button>{% else %}{{ name }}{% endif %}</th>
{% else %}<td></td>{% endif %}
{% endfor %}</tr></thead>
{% endmacro %}

{% macro tag(word, tone) %}<span class="tag {{ tone }}">{{ word }}</span>{% endmacro %}

{% macro chart(name) %}
{% if name in charts %}
<figure class="{{ "wide" if name == "sweep" }}">
<figcaption id="title-{{ name }}">{{ charts[name].title }}</figcaption>
<div class="chart" data-chart="{{ name }}" role="img" aria-label="{{ charts[name].alt }}"></div>
</figure>
{% endif %}
{% endmacro %}

{% macro facts(pairs) %}
<dl>
{% for name, value in pairs %}
<dt>{{ name }}</dt><dd{% if value|length == 64 %} class="digest"{% endif %}>{{ value }}</dd>
{% endfor %}
</dl>
{% endmacro %}

{% macro table(label, below=false, is_tall=false, is_slim=false) %}
<div class="scroll{{ " below" if below }}{{ " tall" if is_tall }}{{ " slim" if is_slim }}" tabindex="0" role="region"
  aria-label="{{ label }}"><table>{{ caller() }}
</table></div>
{% endmacro %}
"""

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'{{ allowed }}">
<title>{{ view.title }}</title>
<style>{{ style|safe }}</style>
</head>
<body>
<header>
<div class="top"><h1>{{ view.title }}</h1>
<button type="button" class="quiet needs-script" data-action="theme">light or dark</button></div>
<p>{{ view.subtitle }}</p>
{% if view.description %}<p>{{ view.description }}</p>{% endif %}
{% if view.scenario %}<p>{{ view.scenario }}</p>{% endif %}
{% if view.measured %}<p class="soft">{{ view.measured }}</p>{% endif %}
{% if sections %}
<nav aria-label="Sections">{% for id, name in sections %}<a href="#{{ id }}">{{ name }}</a>{% endfor %}</nav>
{% endif %}
</header>
<main>
{% if view.verdicts %}
<section class="cards" aria-label="Verdicts" id="verdicts">
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
{% if view.answers %}
<h2 id="short">In short</h2>
<div class="answers">
{% for answer in view.answers %}
<div><h3>{{ answer.question }}</h3>
<ul>{% for sentence in answer.sentences %}<li>{{ sentence }}</li>{% endfor %}</ul>
{% if answer.command %}
<div class="command"><pre>{{ answer.command }}</pre>
<button type="button" class="quiet needs-script" data-action="copy">copy</button></div>
{% endif %}
</div>
{% endfor %}
</div>
{% endif %}
{% if view.warnings %}
<details class="warnings"{{ " open" if view.warnings|length < 4 }}>
<summary>{{ view.warnings|length }} warning{{ "s" if view.warnings|length > 1 }}</summary>
<ul>{% for warning in view.warnings %}<li>{{ warning }}</li>{% endfor %}</ul>
</details>
{% endif %}
"""

_RESULTS = """
{% if view.limits %}
<h2 id="goals">Goals</h2>
{% call table("Goals") %}
{{ head(["status", "goal", "measured", "why"]) }}
<tbody>
{% for limit in view.limits %}
<tr><td>{{ tag(limit.status, limit.tone) }}</td><td>{{ limit.wanted }}</td>
<td class="figure">{{ limit.measured }}</td><td>{{ limit.reason }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% endif %}
{% if view.points|length > 1 %}
<h2 id="points">{{ view.tried }} tried</h2>
<p>Submitted: {{ view.reason }}. Chosen {{ view.rule }}.</p>
{% if view.corrected %}<p>{{ view.corrected }}.</p>{% endif %}
{% if view.search %}<p>{{ view.search }}.</p>{% endif %}
<p class="soft">Filled marks are on the front: no other point is as good in size, speed-up and validation accuracy and
better in one. The test split is in the table only, because nobody may choose by it; ↓ marks what is significantly worse
than the baseline there.</p>
<div class="charts">{{ chart("by_size") }}{{ chart("by_speed") }}</div>
{% if charts %}
<div class="tools needs-script">
<button type="button" data-action="zoom" data-needs-pick>zoom to picked</button>
<button type="button" data-action="reset">show all</button>
<span id="picked" role="status"></span>
<span class="soft">Drag over a chart to pick points, or press a point's name.</span>
</div>
{% endif %}
{% call table("Points", true, view.points|length > 12) %}
{{ head(["point", "validation", "test", "size", "smaller", "speed-up", "verdict", "misses"],
        right=["validation", "test", "size", "smaller"], sorts=true) }}
<tbody>
{% for place, point in ordered %}
<tr data-point="{{ place }}"{% if point.is_chosen %} class="chosen"{% endif %}>
<th scope="row"><button type="button" class="name" data-pick="{{ place }}">{{ point.label }}</button>
{%- if point.is_chosen %} {{ tag("submitted", "") }}{% elif point.is_front %} {{ tag("front", "") }}{% endif %}</th>
<td class="number" data-v="{{ point.numbers.validation }}">{{ point.validation }}</td>
{% set worse = " bad-text" if point.accuracy_verdict == "significantly worse" else "" %}
<td class="number{{ worse }}" data-v="{{ point.numbers.test }}" title="{{ point.accuracy_verdict }}">
{{- "↓ " if worse }}{{ point.test }}</td>
<td class="number" data-v="{{ point.numbers.size_bytes }}">{{ point.size }}</td>
<td class="number" data-v="{{ point.numbers.compression }}">{{ point.compression }}</td>
<td class="figure" data-v="{{ point.numbers.speedup }}">{{ point.speedup }}</td>
<td>{{ tag(point.verdict, point.tone) }} {% if point.is_simulated %}{{ tag("simulated", "warn") }}{% endif %}</td>
<td>{{ point.violated }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% endif %}
{% if view.failed %}
<h2>{{ view.failed_title }}</h2>
{% call table("Points that failed") %}
{{ head(["point", "failed at", "why"]) }}
<tbody>
{% for point in view.failed %}
<tr><th scope="row">{{ point.label }}</th><td>{{ point.node }}</td><td>{{ point.reason }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% endif %}
"""

_TIMES = """
<h2 id="figures">Baseline and optimized</h2>
{% call table("Baseline and optimized", is_slim=true) %}
{{ head(["", "baseline", "optimized", "change"]) }}
<tbody>
{% for row in view.figures %}
<tr{% if row.is_detail %} class="detail"{% endif %}><th scope="row">{{ row.name }}</th>
<td class="figure">{{ figure(row.baseline) }}</td><td class="figure">{{ figure(row.optimized) }}</td>
<td class="figure{% if row.tone %} {{ row.tone }}-text{% endif %}">{{ figure(row.change) }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% for note in view.notes %}<p class="note">{{ note.text }}</p>{% endfor %}

{% if view.techniques %}<p class="note">techniques: {{ view.techniques|join(", ") }}</p>{% endif %}
{% if view.verdicts %}
<h2 id="latency">Latency, and how much identical code differs</h2>
<div class="charts">{{ chart("latency") }}{{ chart("processes") }}</div>
{% if reasons.latency %}<p class="note">The times of single queries are not drawn: {{ reasons.latency }}.</p>{% endif %}
<p class="note">The dashed curve is a second copy of the baseline, timed as the optimized model is: what lies between it
and the baseline is noise. Median, p90 and p99 are in the table above, with intervals where there are
enough samples.</p>
{% endif %}
{% if view.conditions|length > 1 %}
<h3>Batch sizes and threads</h3>
{% call table("Batch sizes and threads") %}
{{ head(["batch size", "threads", view.asked ~ ", baseline", view.asked ~ ", optimized", "speed-up", "verdict"]) }}
<tbody>
{% for row in view.conditions %}
<tr><th scope="row">{{ row.batch_size }}</th><td class="figure">{{ row.threads }}</td>
<td class="figure">{{ row.baseline }}</td><td class="figure">{{ row.optimized }}</td>
<td class="figure">{{ row.speedup }}</td><td>{{ tag(row.verdict, row.tone) }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% for row in view.conditions if row.note %}<p class="note">{{ row.note }}</p>{% endfor %}
{% endif %}
{% if view.generating.rows %}
<h3>{{ view.generating.title }}</h3>
<ul>{% for sentence in view.generating.sentences %}<li>{{ sentence }}</li>{% endfor %}</ul>
<div class="charts one">{{ chart("generate") }}</div>
{% call table("Texts continued") %}
{{ head(["model", "cache", "tokens/s", "against uncached", "first token", "cache size", "same tokens", "scores within",
         "decoded by"], right=["tokens/s", "against uncached", "first token", "cache size", "same tokens",
         "scores within"]) }}
<tbody>
{% for row in view.generating.rows %}
<tr><th scope="row">{{ row.texts[0] }}</th><td>{{ row.texts[1] }}</td>
{% for text in row.texts[2:8] %}<td class="figure">{{ text }}</td>{% endfor %}<td>{{ row.texts[8] }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% for note in view.generating.notes %}<p class="note">{{ note }}</p>{% endfor %}
{% endif %}
{% if view.peers.rows %}
<h3>The same networks elsewhere</h3>
<ul>{% for sentence in view.peers.sentences %}<li>{{ sentence }}</li>{% endfor %}</ul>
{% call table("The same networks elsewhere") %}
{{ head(["runtime", "network", "precision", "file", "a call", "its time / ours", "tinytorch is"]) }}
<tbody>
{% for row in view.peers.rows %}
<tr><th scope="row">{{ row.runtime }}</th><td>{{ row.network }}</td><td>{{ row.precision }}</td>
<td class="figure">{{ row.file }}</td><td class="figure">{{ row.call }}</td>
<td class="figure">{{ row.ratio }}</td><td>{{ tag(row.verdict, row.tone) }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% for note in view.peers.notes %}<p class="note">{{ note }}</p>{% endfor %}
{% endif %}
{% if view.loadgen.rows %}
<h3>{{ view.loadgen.title }}</h3>
{% call table("LoadGen") %}
{{ head(["scenario", "batch size", "threads", "model", "judged by", "throughput", "queries", "LoadGen says"],
        right=["batch size", "threads", "judged by", "throughput", "queries"]) }}
<tbody>
{% for row in view.loadgen.rows %}
<tr><th scope="row">{{ row.scenario }}</th><td class="figure">{{ row.batch_size }}</td>
<td class="figure">{{ row.threads }}</td><td>{{ row.model }}</td><td class="figure">{{ row.judged_by }}</td>
<td class="figure">{{ row.throughput }}</td><td class="figure">{{ row.queries }}</td>
<td>{{ tag(row.says, row.tone) }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% for note in view.loadgen.notes %}<p class="note">{{ note }}</p>{% endfor %}
{% endif %}
"""

_DETAILS = """
{% if view.steps %}
<h2 id="steps">What each step did</h2>
<div class="charts three">{{ chart("step_size") }}{{ chart("step_work") }}{{ chart("step_accuracy") }}</div>
{% call table("Steps", true) %}
{{ head(["step", "technique", "stored size", "MACs", "accuracy (test)", "parameters", "speed"]) }}
<tbody>
{% for step in view.steps %}
<tr><th scope="row">{{ step.name }}</th><td>{{ step.technique }}</td><td class="figure">{{ step.size }}</td>
<td class="figure">{{ step.macs }}</td><td class="figure">{{ step.accuracy }}</td>
<td class="figure">{{ step.parameters }}</td>
<td>{% if step.is_simulated %}{{ tag("simulated", "warn") }} no speed gained{% else %}executed{% endif %}</td></tr>
<tr class="under"><td colspan="7">{{ step.settings }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% endif %}
{% if view.contributions %}
<h2 id="contributions">What each step contributes</h2>
<div class="charts three">{{ chart("gain_size") }}{{ chart("gain_accuracy") }}{{ chart("gain_speed") }}</div>
{% call table("Contributions", true) %}
{{ head(["step", "size", "MACs", "accuracy (test)", "speed-up", "verdict"], right=["size", "MACs"]) }}
{% for aspect in view.contributions.aspects %}
<tbody>
<tr><th scope="rowgroup" colspan="6"><strong>{{ aspect.name }}</strong>:
<span class="soft">{{ aspect.meaning }}</span></th></tr>
{% for row in aspect.rows %}
<tr><th scope="row">{{ row.step }}</th><td class="number">{{ row.size }}</td><td class="number">{{ row.macs }}</td>
<td class="figure{% if row.accuracy_tone %} {{ row.accuracy_tone }}-text{% endif %}">{{ row.accuracy }}</td>
<td class="figure">{{ row.speedup }}</td><td>{% if row.verdict %}{{ tag(row.verdict, row.tone) }}{% endif %}</td></tr>
{% endfor %}
</tbody>
{% endfor %}
{% endcall %}
{% for note in view.contributions.notes %}<p class="note">{{ note }}</p>{% endfor %}
{% endif %}
{% if view.layers or view.execution.layers %}
<h2 id="layers">Where the time goes, before and after</h2>
<div class="charts">{{ chart("layers") }}</div>
{% endif %}
{% if view.execution.layers %}
<ul>
{% for sentence in view.execution.sentences %}
<li>{{ sentence }}</li>
{% endfor %}
</ul>
{% call table("Layers as they ran") %}
{{ head(["model", "layer", "time", "with", "computed by", "weights", "time of each candidate"],
        right=["time", "weights"]) }}
<tbody>
{% for layer in view.execution.layers %}
<tr><td>{{ layer.side }}</td><th scope="row">{{ layer.layer }}</th><td class="number">{{ layer.time }}</td>
<td>{{ layer.fused }}</td><td>{{ layer.kernel }}</td>
<td class="number">{{ layer.size }}</td><td class="text">{{ layer.candidates }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% endif %}
{% if view.layers %}
<p>{{ view.profile_note }}</p>
{% call table("The baseline's layers") %}
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
</tbody>{% endcall %}
{% endif %}
{% if maps %}
<h2 id="maps">Sparsity and bits, layer by layer</h2>
<div class="charts">{{ chart("sparsity") }}{{ chart("bits") }}</div>
<details><summary>as a table</summary>
{% call table("Sparsity and bits") %}
{{ head(["layer", "after", "weights gone", "bits", "in words"], right=["weights gone", "bits"]) }}
<tbody>
{% for row in maps %}
<tr><th scope="row">{{ row.layer }}</th><td>{{ row.stage }}</td><td class="number">{{ row.t_gone }}</td>
<td class="number">{{ row.t_bits }}</td><td>{{ row.tip }}</td></tr>
{% endfor %}
</tbody>{% endcall %}</details>
{% endif %}
{% if view.trainings %}
<h2 id="training">Training</h2>
<div class="charts">{{ chart("loss") }}{{ chart("learning") }}</div>
{% call table("Training", true) %}
{{ head(["training", "epochs", "loss", "validation accuracy"], right=["epochs"]) }}
<tbody>
{% for row in view.trainings %}
<tr><th scope="row">{{ row[0] }}</th><td class="number">{{ row[1] }}</td><td class="figure">{{ row[2] }}</td>
<td class="figure">{{ row[3] }}</td></tr>
{% endfor %}
</tbody>{% endcall %}
{% endif %}
"""

_END = """
{% if "sweep" in charts %}
<h2 id="sweep">All points, all axes</h2>
<p class="soft">Each line is a point; the submitted one is drawn thick. Drag over an axis to pick lines.</p>
<div class="charts one">{{ chart("sweep") }}</div>
{% endif %}
{% if view.machine %}
<h2 id="machine">Machine and noise</h2>
<div class="pair"><div>{{ facts(view.machine) }}</div><div>{{ facts(view.noise) }}</div></div>
{% endif %}
{% if view.provenance %}
<h2 id="provenance">Provenance</h2>
<p class="soft">Save the experiment as a file and run the command to repeat it.</p>
<div class="command"><pre>{{ view.provenance[0][1] }}</pre>
<button type="button" class="quiet needs-script" data-action="copy">copy</button></div>
<details><summary>the experiment, every default filled in</summary>
<div class="command"><pre>{{ experiment|safe }}</pre>
<button type="button" class="quiet needs-script" data-action="copy">copy</button></div></details>
{{ facts(view.provenance[1:]) }}
{% endif %}
</main>
{% if charts %}
<noscript><p class="soft">Charts need scripts; every figure is in the tables.</p></noscript>
<script type="application/json" id="chart-data">{{ data|safe }}</script>
<script>{{ library|safe }}</script>
{% endif %}
{% if script %}<script>{{ script|safe }}</script>{% endif %}
</body>
</html>
"""

PAGE = _MACROS.lstrip() + _HEAD + _RESULTS + _TIMES + _DETAILS + HEALTH + _END
