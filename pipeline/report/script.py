"""The script of the HTML report: draws the charts, links brushes with the table, sorts tables, copies commands.

It reads one JSON element of the page, asks for nothing from anywhere, and writes texts only as text. Without it the
page is whole but for the charts: what they show is in its tables.
"""

from __future__ import annotations

__all__ = ["SCRIPT"]

SCRIPT = """
"use strict";
(() => {
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const page = document.documentElement;
  const source = document.getElementById("chart-data");
  const DATA = source ? JSON.parse(source.textContent) : {specs: {}, tables: {}, palettes: {}, config: {}};
  // Rows come as lists below their columns.
  DATA.tables = Object.fromEntries(Object.entries(DATA.tables).map(([name, {columns, rows}]) => [
    name, rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]])))]));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const views = {};
  const brushes = {};
  const pressed = new Set();
  let zoomed = {};

  function scheme() { return page.dataset.theme || (dark.matches ? "dark" : "light"); }

  function painted(value, colours) {
    if (Array.isArray(value)) return value.map((item) => painted(item, colours));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, painted(item, colours)]));
    return typeof value === "string" && Object.hasOwn(colours, value) ? colours[value] : value;
  }

  async function draw(box) {
    const name = box.dataset.chart;
    const spec = painted(DATA.specs[name], DATA.palettes[scheme()]);
    const config = painted(DATA.config, DATA.palettes[scheme()]);
    if (box.clientWidth < 420) config.legend.columns = 2;
    spec.datasets = structuredClone(DATA.tables);
    if (zoomed[name]) zoom(spec, zoomed[name]);
    if (views[name]) views[name].finalize();
    const made = await vegaEmbed(box, spec, {actions: false, ast: true, renderer: "svg", config});
    const drawing = box.querySelector("svg");
    if (drawing) { drawing.setAttribute("aria-hidden", "true"); drawing.setAttribute("focusable", "false"); }
    views[name] = made.view;
    delete brushes[name];
    link(name, made.view);
  }

  async function drawAll() {
    for (const box of all("[data-chart]")) {
      try { await draw(box); } catch (error) { console.error(error); box.textContent = "This chart cannot be drawn."; }
    }
    page.dataset.drawn = "yes";
    show();
  }

  // What is picked: points inside every brush, or those whose button in the table is pressed.
  function link(name, view) {
    const known = view.getState({signals: (signal) => signal === "brush"}).signals;
    if ("brush" in known) {
      view.addSignalListener("brush", (_, ranges) => {
        if (Object.keys(ranges).length) brushes[name] = ranges; else delete brushes[name];
        show();
      });
    }
    view.addEventListener("pointermove", (_, item) => {
      const place = item && item.datum && typeof item.datum.i === "number" ? item.datum.i : -2;
      hover(place);
    });
    view.addEventListener("pointerout", () => hover(-2));
  }

  function inside(point, name, ranges) {
    const within = (value, [a, b]) => value >= Math.min(a, b) && value <= Math.max(a, b);
    if (name !== "sweep") return Object.entries(ranges).every(([key, range]) => within(point[key], range));
    const axes = Object.keys(point).filter((key) => /^n[0-9]+$/.test(key) && within(Number(key.slice(1)), ranges.axis));
    return axes.length > 0 && axes.every((key) => within(point[key], ranges.height));
  }

  function picked() {
    const points = (DATA.tables.points || []).filter((point) => point.i >= 0);
    const active = Object.entries(brushes);
    if (!active.length && !pressed.size) return null;
    return points.filter((point) => pressed.has(point.i)
      || (active.length && active.every(([name, ranges]) => inside(point, name, ranges)))).map((point) => point.i);
  }

  function show() {
    const places = picked();
    each("picked", places === null ? [] : places.length ? places : [-3]);
    const rows = all("tr[data-point]");
    for (const row of rows) {
      const isIn = places === null || places.includes(Number(row.dataset.point));
      row.classList.toggle("out", !isIn);
      row.querySelector("button").setAttribute("aria-pressed", String(pressed.has(Number(row.dataset.point))));
    }
    const status = document.getElementById("picked");
    if (status) status.textContent = places === null ? "" : `${places.length} of ${rows.length} points picked`;
    for (const button of all("[data-needs-pick]")) button.disabled = places === null || !places.length;
  }

  let hovered = -2;
  function hover(place) {
    if (place === hovered) return;
    hovered = place;
    each("hovered", place);
    for (const row of all("tr[data-point]")) row.classList.toggle("hovered", Number(row.dataset.point) === place);
  }

  // Charts follow with the next frame: a listener must not run the view that called it.
  const wanted = {};
  let asked = false;
  function each(signal, value) {
    wanted[signal] = value;
    if (asked) return;
    asked = true;
    requestAnimationFrame(async () => {
      asked = false;
      for (const name of ["by_size", "by_speed", "sweep"]) {
        const view = views[name];
        if (!view) continue;
        for (const [key, set] of Object.entries(wanted)) view.signal(key, set);
        await view.runAsync();
      }
    });
  }

  // Zoom: the axes of both views end where the picked points do.
  function zoom(spec, domain) {
    const limit = (channel) => {
      if (channel && domain[channel.field])
        channel.scale = {...channel.scale, domain: domain[channel.field], padding: 0};
    };
    for (const layer of spec.layer) {
      limit(layer.encoding.x);
      limit(layer.encoding.y);
      layer.mark = {...layer.mark, clip: true};  // what lies outside would widen the drawing
    }
  }

  function ends(points, low, high, isLog) {
    let a = Math.min(...points.map((point) => point[low]));
    let b = Math.max(...points.map((point) => point[high]));
    if (isLog) return [a / 1.15, b * 1.15];
    const margin = (b - a) * 0.08 || Math.abs(a) * 0.01 || 0.01;
    return [a - margin, b + margin];
  }

  async function zoomTo(places) {
    zoomed = {};
    if (places) {
      const points = DATA.tables.points.filter((point) => places.includes(point.i));
      const acc = ends(points, "acc", "acc");
      zoomed.by_size = {size: ends(points, "size", "size", true), acc, acc_low: acc};
      zoomed.by_speed = {ratio: ends(points, "ratio", "ratio", true), acc, acc_low: acc};
    }
    for (const box of all("[data-chart=by_size], [data-chart=by_speed]")) await draw(box);
    show();
  }

  function sort(button) {
    const head = button.closest("th");
    const table = head.closest("table");
    const column = Array.from(head.parentNode.children).indexOf(head);
    const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of all("th", head.parentNode)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const value = (row) => {
      const cell = row.cells[column];
      return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent.trim().toLowerCase();
    };
    const compare = (a, b) => (typeof a === "number" && typeof b === "number"
      ? a - b : String(a).localeCompare(String(b), undefined, {numeric: true}));
    const rows = Array.from(body.rows).map((row) => [value(row), row]);
    rows.sort((one, other) => direction * compare(one[0], other[0]));
    body.append(...rows.map(([, row]) => row));
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.sort !== undefined) sort(button);
    else if (button.dataset.pick !== undefined) {
      const place = Number(button.dataset.pick);
      if (!pressed.delete(place)) pressed.add(place);
      show();
    } else if (button.dataset.action === "zoom") await zoomTo(picked());
    else if (button.dataset.action === "reset") { pressed.clear(); await zoomTo(null); await drawAll(); }
    else if (button.dataset.action === "theme") {
      page.dataset.theme = scheme() === "dark" ? "light" : "dark";
      await drawAll();
    }
    else if (button.dataset.action === "copy") copy(button);
  });

  function copy(button) {
    const text = button.parentNode.querySelector("pre");
    const range = document.createRange();
    range.selectNodeContents(text);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    if (navigator.clipboard) navigator.clipboard.writeText(text.textContent).catch(() => {});
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }

  document.addEventListener("pointerover", (event) => {
    const row = event.target.closest && event.target.closest("tr[data-point]");
    if (row) hover(Number(row.dataset.point));
    else if (event.target.closest && !event.target.closest("[data-chart]")) hover(-2);
  });
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("tr[data-point]");
    hover(row ? Number(row.dataset.point) : -2);
  });
  dark.addEventListener("change", () => { if (!page.dataset.theme) drawAll(); });
  page.classList.add("scripted");
  drawAll();
})();
"""
