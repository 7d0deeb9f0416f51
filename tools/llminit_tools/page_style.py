"""The style of the pages that page.py makes. Colours: those of Okabe and Ito (2008), which the colour-blind tell apart,
darkened on white and lightened on black until each has a contrast of 3 to 1 with the page; dashes differ as well."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1b1f24; --quiet: #57606a; --rule: #d8dee4; --band: #f6f8fa; --link: #0b5cad;
  --c0: #0072b2; --c1: #d55e00; --c2: #00805c; --c3: #b0478a;
  --c4: #946200; --c5: #2b8cbe; --c6: #5b4fb5; --c7: #6b6b6b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --text: #e3e6e9; --quiet: #9aa4ae; --rule: #343a41; --band: #1c2024; --link: #79b8ff;
    --c0: #56a9e0; --c1: #f08a3c; --c2: #2fb992; --c3: #dd8fc0;
    --c4: #e0b030; --c5: #8fd0f5; --c6: #a79df2; --c7: #a8a8a8;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 68rem; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
}
h1, h2, h3 { line-height: 1.25; font-weight: 600; overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; margin: 0 0 .75rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 3.25rem 0 .9rem; padding-top: .6rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.75rem 0 .5rem; }
p, li, dd, summary { overflow-wrap: anywhere; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--link); text-underline-offset: .15em; }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.lead { font-size: 1.12rem; }
.quiet, footer { color: var(--quiet); font-size: .875rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.25rem; list-style: none; margin: 1.5rem 0 0; padding: 0; }
nav a { text-decoration: none; font-size: .925rem; }
nav a:hover { text-decoration: underline; }
footer { margin-top: 3.5rem; border-top: 1px solid var(--rule); padding-top: .6rem; }
.scroll {
  overflow-x: auto; margin: .2rem 0 1.25rem; max-width: 100%;
  background: linear-gradient(90deg, var(--page) 40%, transparent) 0 0 / 2.5rem 100% no-repeat local,
    linear-gradient(270deg, var(--page) 40%, transparent) 100% 0 / 2.5rem 100% no-repeat local,
    linear-gradient(90deg, var(--rule), transparent) 0 0 / 1rem 100% no-repeat,
    linear-gradient(270deg, var(--rule), transparent) 100% 0 / 1rem 100% no-repeat;
}
table { border-collapse: collapse; font-size: .875rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
.caption { color: var(--quiet); font-size: .875rem; margin: 1.25rem 0 0; }
th, td {
  padding: .32rem .9rem .32rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule);
}
th:last-child, td:last-child { padding-right: .2rem; }
thead th { font-weight: 600; border-bottom: 1px solid var(--quiet); vertical-align: bottom; }
tbody th { font-weight: 400; min-width: 6.5rem; max-width: 20rem; overflow-wrap: break-word; }
th.number, td.number { text-align: right; padding-left: .75rem; padding-right: 0; white-space: nowrap; }
details { margin: 1rem 0; }
summary { cursor: pointer; font-weight: 600; font-size: .95rem; }
pre {
  margin: .6rem 0 1.2rem; padding: .8rem 1rem; overflow-x: auto; background: var(--band); border: 1px solid var(--rule);
  border-radius: 4px;
  font: .82rem/1.5 ui-monospace, SFMono-Regular, Menlo, "Liberation Mono", "DejaVu Sans Mono", monospace;
}
.columns { columns: 3 15rem; column-gap: 2.5rem; margin: .75rem 0; }
.columns div {
  display: flex; justify-content: space-between; gap: 1rem; break-inside: avoid; font-size: .85rem; padding: .18rem 0;
  border-bottom: 1px solid var(--rule); font-variant-numeric: tabular-nums;
}
.columns dt { color: var(--quiet); }
.columns dd { margin: 0; text-align: right; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.75rem; margin: 1.5rem 0 .5rem; }
.figures dt { color: var(--quiet); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.3; }
.legend {
  display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; margin: .75rem 0;
  font-size: .875rem;
}
.legend li { display: flex; align-items: center; gap: .5rem; min-width: 0; }
.legend span { overflow-wrap: anywhere; }
.legend svg { flex: none; }
.charts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 1.5rem 2rem;
  margin: 1rem 0;
}
figure { margin: 0; min-width: 0; max-width: 36rem; break-inside: avoid; }
figcaption { font-size: .925rem; font-weight: 600; margin-bottom: .3rem; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--quiet); font-size: 12px; font-family: inherit; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--quiet); stroke-width: 1; }
.curve { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.point { fill: currentColor; stroke: var(--page); stroke-width: 1; }
.best { fill: var(--page); stroke: currentColor; stroke-width: 2.5; }
.d1 { stroke-dasharray: 7 4; }
.d2 { stroke-dasharray: 2 4; }
.d3 { stroke-dasharray: 9 4 2 4; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); } .c7 { color: var(--c7); }
.bars { margin: 1rem 0; font-size: .875rem; }
.bars div {
  display: grid; grid-template-columns: 12rem minmax(0, 1fr) 6rem; gap: .2rem 1rem; align-items: center;
  margin: .4rem 0;
}
.bars span { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; min-width: 0; }
.bars span:last-child { text-align: right; }
.bars svg { display: block; width: 100%; height: 1.2rem; }
.bars rect { fill: currentColor; }
.block {
  display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; background: currentColor; flex: none;
  print-color-adjust: exact;
}
.problem { border-left: 3px solid var(--c1); padding-left: .8rem; }
@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  tbody th { min-width: 4.5rem; }
  .bars div { grid-template-columns: minmax(0, 1fr) max-content; }
  .bars svg { grid-column: 1 / -1; grid-row: 2; }
}
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --text: #000000; --quiet: #444444; --rule: #cccccc; --band: #ffffff; --link: #000000;
    --c0: #0072b2; --c1: #d55e00; --c2: #00805c; --c3: #b0478a;
    --c4: #946200; --c5: #2b8cbe; --c6: #5b4fb5; --c7: #6b6b6b;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .scroll { overflow: visible; background: none; }
  table { font-size: 8pt; }
  h2, h3, .caption { break-after: avoid; }
  tr { break-inside: avoid; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""
