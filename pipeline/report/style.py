"""The style sheet of the HTML report: system fonts, two colour schemes, and tables that scroll on a narrow screen."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --panel: #ffffff; --ink: #1d2125; --soft: #5d666f; --line: #dfe2e5; --stripe: #f5f6f6;
  --accent: #0b62c4; --good: #14713d; --bad: #b3261e; --warn: #8a5a00;
  --good-back: #e3f3e9; --bad-back: #fbe7e5; --warn-back: #fbf0da; --plain-back: #eceef0; --mark: #8b959e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --panel: #1b1f23; --ink: #e4e7ea; --soft: #9aa4ad; --line: #32383e; --stripe: #20252a;
    --accent: #6cb0ff; --good: #6fd19a; --bad: #ff9187; --warn: #f0bd5e;
    --good-back: #143524; --bad-back: #441c19; --warn-back: #3d2e0e; --plain-back: #2a3036; --mark: #7d8892;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: break-word;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .35rem; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; }
p { margin: .35rem 0; max-width: 52rem; }
.soft, figcaption, caption, .note { color: var(--soft); font-size: .875rem; }
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
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .42rem .7rem; border-top: 1px solid var(--line); vertical-align: top; }
thead td { border-top: 0; } .scroll.below { margin-top: .9rem; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; white-space: nowrap; }
td.number { text-align: right; white-space: nowrap; } th.number { text-align: right; }
td.figure { white-space: nowrap; } td.figure small { color: var(--soft); }
tr.chosen th, tr.chosen td { background: color-mix(in srgb, var(--accent) 10%, transparent); }
tr.detail th, tr.detail td { color: var(--soft); }
.bar { display: inline-block; height: .6em; min-width: 1px; border-radius: 2px; background: var(--accent); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: .9rem; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1rem; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
svg text { fill: var(--soft); } svg .grid { stroke: var(--line); } svg .frame { stroke: var(--mark); }
svg .other { stroke: var(--mark); fill: var(--mark); }
svg .chosen { stroke: var(--accent); fill: var(--accent); }
svg .baseline { stroke: var(--ink); fill: var(--panel); }
svg .whisker { stroke-width: 1.5; opacity: .55; }
svg text.label { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--panel); stroke-width: 4px; }
figure.wide { overflow-x: auto; } figure.wide svg { min-width: 34rem; max-width: 45rem; }
svg .one { stroke: var(--ink); stroke-dasharray: 3 3; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem 1.2rem; }
dl { margin: 0; font-size: .875rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
dd.digest { font-family: ui-monospace, monospace; font-size: .8rem; }
ul { padding-left: 1.2rem; margin: .35rem 0; } li { margin: .2rem 0; }
@media (max-width: 36rem) {
  body { padding: 1.25rem .9rem 3rem; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
  th, td { padding: .38rem .55rem; } .scroll table { min-width: 34rem; }
}
@media print { body { max-width: none; } .card, figure, .scroll { break-inside: avoid; } }
"""
