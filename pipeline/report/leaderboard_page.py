"""The template, the style and the script of the HTML leaderboard. They lay out a `BoardView` and decide nothing."""

from __future__ import annotations

__all__ = ["PAGE", "SCRIPT", "STYLE"]

STYLE = """
body { max-width: 78rem; }
td.marks > * { display: inline-block; margin: 0 .25rem .2rem 0; } a.tag { text-decoration: none; }
.search { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; margin: 0 0 .75rem; }
.search label { display: flex; align-items: center; gap: .6rem; }
.search input {
  font: inherit; padding: .4rem .7rem; border: 1px solid var(--line); border-radius: 8px; background: var(--panel);
  color: var(--ink); width: 16rem; max-width: 60vw;
}
.search input:focus-visible, th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
th button {
  font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0; cursor: pointer;
  white-space: nowrap;
}
th button::after { content: " \\2195"; opacity: .45; }
th[aria-sort="ascending"] button::after { content: " \\2191"; opacity: 1; }
th[aria-sort="descending"] button::after { content: " \\2193"; opacity: 1; }
th.number button { text-align: right; }
td.rank { font-variant-numeric: tabular-nums; font-weight: 650; white-space: nowrap; }
table:not(.resorted) tbody tr.leads:not(:first-child) > * { border-top: 2px solid var(--mark); }
tbody th small { display: block; color: var(--soft); font-weight: 400; }
td.number small { color: var(--soft); }
td.plot { min-width: 9rem; } td.why { min-width: 16rem; }
.extent { position: relative; display: block; height: 1.1rem; background: var(--stripe); border-radius: 4px; }
.extent i { position: absolute; top: .4rem; height: .3rem; min-width: 2px; border-radius: 2px;
  background: var(--accent); opacity: .45; }
.extent b { position: absolute; top: .2rem; width: 3px; height: .7rem; margin-left: -1.5px; border-radius: 1px;
  background: var(--accent); }
.trust { white-space: nowrap; }
[hidden] { display: none !important; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 36rem) { td.plot, th.plot, .ranked th[scope="row"] small { display: none; } }
@media print { .search { display: none; } th button::after { content: ""; } }
"""

SCRIPT = """
"use strict";
for (const search of document.querySelectorAll(".search")) search.hidden = false;
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, place) => {
    if (!head.dataset.sorts) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "ascending";
      const way = down ? 1 : -1, counts = head.dataset.sorts === "number";
      const key = (row) => row.cells[place].dataset.key ?? row.cells[place].textContent.trim();
      const rows = Array.from(body.rows, (row, at) => ({ row, at, key: key(row) }));
      rows.sort((a, b) => {
        if (a.key === "" || b.key === "") return (a.key === "") - (b.key === "") || a.at - b.at;
        const order = counts ? a.key - b.key : a.key.localeCompare(b.key, undefined, { numeric: true });
        return way * order || a.at - b.at;
      });
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      table.classList.toggle("resorted", place !== 0 || !down);
      body.append(...rows.map(({ row }) => row));
    });
  });
}
for (const input of document.querySelectorAll(".search input")) {
  const told = input.closest(".search").querySelector("output");
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    let count = 0;
    for (const row of document.querySelectorAll("table.teams > tbody > tr")) {
      row.hidden = !row.dataset.team.toLowerCase().includes(wanted);
      count += !row.hidden;
    }
    told.textContent = wanted ? `${count} found` : "";
  });
}
"""

_MACROS = """
{% macro head(name, sorts="", kind="") %}
<th scope="col"{% if kind %} class="{{ kind }}"{% endif %}{% if sorts %} data-sorts="{{ sorts }}"{% endif %}>
{{- name -}}
</th>
{% endmacro %}
{% macro figure(text) %}
{% set number, _, bounds = text.partition(" [") %}
{{ number }}{% if bounds %} <small>[{{ bounds }}</small>{% endif %}
{% endmacro %}
{% macro trust(row) %}{% if row.trust %}{{ badge(row.trust)|safe }}{% endif %}{% endmacro %}
"""

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{{ script_digest }}'">
<title>{{ view.title }}: leaderboard</title>
<style>{{ style|safe }}</style>
</head>
<body>
<header>
<h1>{{ view.title }}</h1>
<p>{{ view.description }}</p>
<p class="soft">{{ view.summary }}.</p>
</header>
<main>
<h2>Leaderboard</h2>
"""

_RANKED = """
{% if ranked %}
<div class="search" hidden><label>Find a team <input type="search" autocomplete="off"></label>
<output class="soft" aria-live="polite"></output></div>
<div class="scroll" tabindex="0" role="region" aria-label="Ranked teams"><table class="sortable teams ranked">
<caption class="sr">Ranked teams, the best first; the heads of columns sort.</caption>
<thead><tr>{{ head("rank", "number") }}{{ head("team", "text") }}
{% for column in view.columns %}
{{ head(column, "number", "number") }}
{% if loop.first %}{{ head("95 % interval", kind="plot") }}{% endif %}
{% endfor %}
{{ head("trust", "text") }}{{ head("tries", "number", "number") }}</tr></thead>
<tbody>
{% for row, bar, leads in ranked %}
<tr data-team="{{ row.team }}"{% if leads %} class="leads"{% endif %}>
<td class="rank" data-key="{{ loop.index }}">{{ row.rank }}{% if row.awaits %}
<span title="not run again yet: provisional">*</span>{% endif %}</td>
<th scope="row">{{ row.team }}<small>{{ row.techniques }}</small></th>
{% for text, number in row.figures %}
<td class="number" data-key="{{ number[0] if number else "" }}">{{ figure(text) }}</td>
{% if loop.first %}
<td class="plot">{% if bar %}<span class="extent" aria-hidden="true">
<i style="left:{{ bar.left }}%;width:{{ bar.width }}%"></i><b style="left:{{ bar.at }}%"></b></span>{% endif %}</td>
{% endif %}
{% endfor %}
<td class="marks">{{ trust(row) }}{% if row.marks %}
<a class="tag warn" href="#alike" title="{{ row.likeness|join("; ") }}">{{ row.marks|join(", ") }}</a>{% endif %}</td>
<td class="number" data-key="{{ row.attempts.partition(" ")[0] }}">{{ row.attempts }}</td></tr>
{% endfor %}
</tbody></table></div>
{% else %}
<p>Nobody is ranked yet.</p>
{% endif %}
{% for note in view.notes %}<p class="note">{{ note }}</p>{% endfor %}
"""

_REST = """
{% if others %}
<h2>Not ranked</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Submissions without a rank"><table class="sortable teams">
<thead><tr>{{ head("team", "text") }}{{ head("state", "text") }}{{ head("why") }}
{{ head(view.columns[0], "number", "number") }}{{ head("trust", "text") }}</tr></thead>
<tbody>
{% for row in others %}
<tr data-team="{{ row.team }}">
<th scope="row">{{ row.team }}<small>{{ row.path }}</small></th>
<td><span class="tag {{ row.tone }}">{{ row.state }}</span></td><td class="why">{{ row.why }}</td>
<td class="number" data-key="{{ row.numbers[0][0] if row.numbers[0] else "" }}">{{ figure(row.scores[0]) }}</td>
<td>{{ trust(row) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% if left_out %}<p class="note">{{ "{:,}".format(left_out) }} more are in leaderboard.csv.</p>{% endif %}
{% endif %}
{% if alike %}
<h2 id="alike">Like another team's</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Submissions like those of other teams">
<table class="sortable teams">
<thead><tr>{{ head("team", "text") }}{{ head("submission", "text") }}{{ head("what is alike") }}</tr></thead>
<tbody>
{% for row in alike %}{% for text in row.likeness %}
<tr data-team="{{ row.team }}"><th scope="row">{{ row.team }}</th><td>{{ row.path }}</td>
<td class="why">{{ text }}</td></tr>
{% endfor %}{% endfor %}
</tbody></table></div>
{% endif %}
<h2>How it is ranked</h2>
<ul>{% for rule in view.rules %}<li>{{ rule }}</li>{% endfor %}
{% for level, meaning in view.badges %}<li>{{ badge(level)|safe }} {{ meaning }}</li>{% endfor %}</ul>
<dl><dt>Competition</dt><dd>{{ view.name }}</dd><dt>Rules</dt><dd class="digest">{{ view.digest }}</dd></dl>
</main>
<script>{{ script|safe }}</script>
</body>
</html>
"""

PAGE = _MACROS + _HEAD + _RANKED + _REST
