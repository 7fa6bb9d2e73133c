"""The style sheet of the HTML report: system fonts, two colour schemes, and tables that scroll on a narrow screen."""

from __future__ import annotations

__all__ = ["STYLE"]

_DARK = """  --page: #14171a; --panel: #1b1f23; --ink: #e4e7ea; --soft: #9aa4ad; --line: #32383e; --stripe: #20252a;
  --accent: #6cb0ff; --good: #6fd19a; --bad: #ff9187; --warn: #f0bd5e;
  --good-back: #143524; --bad-back: #441c19; --warn-back: #3d2e0e; --plain-back: #2a3036; --mark: #7d8892;
"""

_SCHEMES = f"""
:root {{
  color-scheme: light dark;
  --page: #fbfbfa; --panel: #ffffff; --ink: #1d2125; --soft: #5d666f; --line: #dfe2e5; --stripe: #f5f6f6;
  --accent: #0b62c4; --good: #14713d; --bad: #b3261e; --warn: #8a5a00;
  --good-back: #e3f3e9; --bad-back: #fbe7e5; --warn-back: #fbf0da; --plain-back: #eceef0; --mark: #8b959e;
}}
@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{
{_DARK}}} }}
:root[data-theme="light"] {{ color-scheme: light; }}
:root[data-theme="dark"] {{ color-scheme: dark;
{_DARK}}}
"""

_REST = """* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: break-word;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .35rem; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; }
p { margin: .35rem 0; max-width: 52rem; }
.soft, caption, .note { color: var(--soft); font-size: .875rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .9rem; margin-top: 1.5rem; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; }
.card .subject { color: var(--soft); font-size: .8rem; text-transform: uppercase; letter-spacing: .05em; }
.card .figure { font-size: 1.45rem; font-weight: 650; margin: .1rem 0 .4rem; font-variant-numeric: tabular-nums; }
.card .figure small { font-size: .85rem; font-weight: 400; color: var(--soft); }
.card p { font-size: .875rem; margin-top: .5rem; }
.tag {
  display: inline-block; padding: .05rem .5rem; border-radius: 99px; font-size: .8rem; font-weight: 600;
  background: var(--plain-back); white-space: nowrap;
}
.tag.good { color: var(--good); background: var(--good-back); }
.tag.bad { color: var(--bad); background: var(--bad-back); }
.tag.warn { color: var(--warn); background: var(--warn-back); }
.good-text { color: var(--good); } .bad-text { color: var(--bad); }
.scroll { overflow-x: auto; background: var(--panel); border: 1px solid var(--line); border-radius: 10px; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; }
table { font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .42rem .6rem; border-top: 1px solid var(--line); vertical-align: top; }
thead td { border-top: 0; } .scroll.below { margin-top: .9rem; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; white-space: nowrap; }
td.number { text-align: right; white-space: nowrap; } th.number { text-align: right; }
td.figure { white-space: nowrap; } td.figure small { color: var(--soft); }
tr.chosen th, tr.chosen td { background: color-mix(in srgb, var(--accent) 10%, var(--panel)); }
tr.detail th, tr.detail td { color: var(--soft); }
.bar { display: inline-block; height: .6em; min-width: 1px; border-radius: 2px; background: var(--accent); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: .9rem; }
.charts.three { grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); }
.charts.one { grid-template-columns: minmax(0, 1fr); }
figure { margin: 0; min-width: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 10px; }
figure { padding: .8rem 1rem; overflow: hidden; } figure.wide { overflow-x: auto; }
figure.wide .chart { min-width: 38rem; }
.chart { width: 100%; min-height: 4rem; } .chart.vega-embed { display: block; }
.chart svg { overflow: visible; }
figcaption { font-weight: 600; color: var(--ink); margin-bottom: .5rem; }
h3 { font-size: .95rem; margin: 1.5rem 0 .4rem; }
.top { display: flex; justify-content: space-between; align-items: start; gap: 1rem; }
nav { display: flex; flex-wrap: wrap; gap: .15rem .9rem; margin-top: .8rem; font-size: .875rem; }
a { color: var(--accent); text-underline-offset: .15em; }
a:focus-visible, button:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
button {
  font: inherit; font-size: .85rem; color: var(--ink); background: var(--panel); border: 1px solid var(--line);
  border-radius: 7px; padding: .25rem .7rem; cursor: pointer;
}
button:disabled { color: var(--soft); cursor: default; opacity: .7; }
button.quiet { color: var(--soft); white-space: nowrap; }
button.name { all: unset; cursor: pointer; } button.name[aria-pressed="true"] { font-weight: 700; }
button.name:focus-visible { outline: 2px solid var(--accent); }
th button[data-sort] { all: unset; cursor: pointer; } th button[data-sort]::after { content: " ↕" / ""; opacity: .45; }
th button[data-sort]:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
th[aria-sort="ascending"] button::after { content: " ↑" / ""; opacity: 1; }
th[aria-sort="descending"] button::after { content: " ↓" / ""; opacity: 1; }
html:not(.scripted) .needs-script, html:not(.scripted) th button[data-sort]::after { display: none; }
tr.out th, tr.out td { opacity: .32; } tr.hovered th, tr.hovered td { background: var(--plain-back); }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .9rem; margin-top: .9rem; font-size: .875rem; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: .9rem; }
.answers > div { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1.1rem; }
.answers h3 { margin-top: 0; } .answers li { font-size: .9rem; }
.command { display: flex; gap: .6rem; align-items: start; margin-top: .6rem; }
.command pre { flex: 1; min-width: 0; }
pre {
  margin: 0; padding: .5rem .7rem; background: var(--stripe); border: 1px solid var(--line); border-radius: 7px;
  font: .82rem/1.45 ui-monospace, monospace; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere;
}
details { margin-top: .9rem; } summary { cursor: pointer; } details > .scroll, details > .command { margin-top: .6rem; }
.warnings { background: var(--warn-back); border-radius: 10px; padding: .6rem 1rem; font-size: .9rem; }
.warnings summary { color: var(--warn); font-weight: 600; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.2rem 2.5rem; }
.tall { max-height: 34rem; overflow-y: auto; } .tall thead th, .tall thead td { position: sticky; top: 0; z-index: 1; }
.tall thead th, .tall thead td { background: var(--panel); box-shadow: 0 1px var(--line); }
td.text { min-width: 12rem; } tr.under td { border-top: 0; padding-top: 0; color: var(--soft); }
#vg-tooltip-element { font-family: inherit; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem 1.2rem; }
dl { margin: 0; font-size: .875rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
dd.digest { font-family: ui-monospace, monospace; font-size: .8rem; }
ul { padding-left: 1.2rem; margin: .35rem 0; } li { margin: .2rem 0; }
@media (max-width: 36rem) {
  body { padding: 1.25rem .9rem 3rem; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
  th, td { padding: .38rem .5rem; } .scroll table { min-width: 34rem; } .scroll.slim table { min-width: 0; }
  td.text { min-width: 18rem; } .slim td.figure small { display: block; } tbody th { white-space: normal; }
  .slim table { font-size: .8rem; } .slim td, .slim th { padding: .38rem .35rem; }
  tr[data-point] th { min-width: 9.75rem; } tr > :first-child:not([colspan]) { position: sticky; left: 0; }
  tr:not(.chosen) > :first-child:not([colspan]) { background: var(--panel); } thead tr > :first-child { z-index: 2; }
}
@media print {
  body { max-width: none; } .card, figure, .scroll { break-inside: avoid; }
  .needs-script, nav { display: none; }
}
"""

STYLE = _SCHEMES + _REST
