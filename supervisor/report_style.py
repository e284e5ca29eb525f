"""How a report looks, and the little that moves in it: the style sheet and the script of its page."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1d2329; --muted: #68727d; --rule: #e4e8ec; --accent: #1f5f99; --soft: #8fb3d4;
}
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14181c; --ink: #e3e7eb; --muted: #97a1ab; --rule: #2a3036; --accent: #6fb1ec; --soft: #3f6a93; }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 1180px; margin: 0 auto; padding: 40px 32px 56px; }
header { border-bottom: 2px solid var(--ink); padding-bottom: 14px; }
h1 { font-size: 25px; line-height: 1.2; font-weight: 650; letter-spacing: -.01em; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 16px; font-weight: 650; margin: 0 0 10px; }
header p, .hint { color: var(--muted); margin: 0; }
.hint { font-size: 13px; margin: 8px 0 0; max-width: 90ch; }
section { margin-top: 40px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(145px, 1fr)); margin: 22px 0 0; gap: 16px 24px; }
.figures div { min-width: 0; }
.figures dt { color: var(--muted); font-size: 13px; }
.figures dd { margin: 0; font-size: 21px; font-weight: 600; letter-spacing: -.01em; white-space: nowrap; }
.figures dd small { display: block; font-size: 12.5px; font-weight: 400; color: var(--muted); letter-spacing: 0; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 40px 48px; }
.costs { display: grid; grid-template-columns: minmax(0, 21rem) minmax(0, 1fr); gap: 24px 40px; align-items: start; }
.head { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; justify-content: space-between; margin-bottom: 10px; }
.head h2 { margin: 0; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--muted); font-size: 13px; padding-bottom: 4px; }
th, td { padding: 4px 0; border-bottom: 1px solid var(--rule); text-align: left; font-weight: 400; vertical-align: top; }
thead th { color: var(--muted); font-size: 13px; }
tbody th { color: var(--muted); padding-right: 16px; white-space: nowrap; }
td.number, th.number { text-align: right; padding-left: 12px; white-space: nowrap; }
tr.total th, tr.total td { border-top: 1px solid var(--ink); border-bottom: 0; font-weight: 650; color: var(--ink); }
.scroll { overflow-x: auto; }
.months { font-size: 13px; min-width: 700px; }
.months th, .months td { text-align: right; padding: 4px 7px; }
.months tbody th, .months thead th:first-child { text-align: left; padding-left: 0; }
.months td { background: color-mix(in srgb, var(--tint, transparent) var(--depth, 0%), transparent); }
.months td.gain { --tint: var(--accent); }
.months td.loss { --tint: var(--muted); }
.months .year { font-weight: 650; color: var(--ink); }
.bar { width: 45%; padding-left: 12px; vertical-align: middle; }
.bar span { display: block; height: 9px; background: var(--soft); min-width: 1px; }
.chart { width: 100%; min-height: 60px; }
ul { margin: 0; padding-left: 18px; }
li { margin: 2px 0; overflow-wrap: anywhere; }
td.text { overflow-wrap: anywhere; }
select { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--soft); border-radius: 4px; padding: 4px 8px; }
select:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
footer { margin-top: 44px; padding-top: 12px; border-top: 1px solid var(--rule); color: var(--muted); font-size: 13px; }
footer { overflow-wrap: anywhere; }
@media (max-width: 820px) {
  main { padding: 24px 16px 40px; }
  .columns, .costs { grid-template-columns: minmax(0, 1fr); }
  .figures { grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); }
}
@media print {
  main { max-width: none; padding: 0; }
  section { break-inside: avoid; margin-top: 26px; }
  select { border: 0; appearance: none; padding: 0; }
}
"""

SCRIPT = """
"use strict";
const given = JSON.parse(document.getElementById("figures").textContent);
const night = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 820px)");
const paper = matchMedia("print");

/* Colours are swapped by name wherever they stand; long arrays hold numbers and are passed on as they are. */
function painted(part, dark) {
  if (typeof part === "string") return dark && given.dark[part] || part;
  if (Array.isArray(part)) return typeof part[0] === "number" || part.length > 40 ? part : part.map(item => painted(item, dark));
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([name, item]) => [name, painted(item, dark)]));
}

function draw(place, figure, dark) {
  const {data, layout} = painted(figure, dark);
  if (narrow.matches) {
    layout.margin = {...layout.margin, l: 50, r: 4};
    if (layout.legend.y === 1) [layout.legend.y, layout.margin.t] = [1.06, 60];
    for (const name in layout) if (name.startsWith("xaxis")) layout[name].nticks = 5;
  }
  Plotly.react(place, data, layout, {responsive: true, displayModeBar: false});
}

/* Paper is light, and as wide as it is. */
function drawAll() {
  const dark = night.matches && !paper.matches;
  const places = [...document.querySelectorAll("[data-figure]")].map(place => [place, given.figures[place.dataset.figure]]);
  const chosen = document.getElementById("symbol");
  if (chosen) places.push([document.getElementById("prices"), given.symbols[chosen.value]]);
  for (const [place, figure] of places) {
    draw(place, figure, dark);
    if (paper.matches) Plotly.Plots.resize(place);
  }
}

drawAll();
for (const query of [night, narrow, paper]) query.addEventListener("change", drawAll);
document.getElementById("symbol")?.addEventListener("change", drawAll);
"""
