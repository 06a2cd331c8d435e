"""The review page's own style, on top of what all pages share.

Blue is always A and orange always B, a pair that people with any colour blindness tell apart; every mark also has a
shape, a letter or a line of its own.
"""

STYLE = """
:root {
  --a: #0b5cad; --a-ground: #e3eefa; --b: #a84300; --b-ground: #fcebdd; --true: #1b2230; --on-key: #fff;
  --heat: #bcd7f5; --muted: #6a7280; --faint: #eceff3; --radius: .75rem;
}
@media (prefers-color-scheme: dark) {
  :root {
    --a: #74b4ff; --a-ground: #172b44; --b: #ffa45c; --b-ground: #402512; --true: #e8ebf0; --on-key: #12151b;
    --heat: #1f4f86; --muted: #949eac; --faint: #262d38;
  }
}
html { scroll-padding-top: 1rem; }
body { line-height: 1.55; }
header, nav, main, footer { max-width: 70rem; margin: 0 auto; padding: 0 1.25rem; overflow-wrap: anywhere; }
header { padding-top: 2.5rem; }
main { padding-bottom: 3rem; outline: none; }
footer { padding-bottom: 3rem; color: var(--soft); font-size: .875rem; }
a { color: var(--a); text-underline-offset: .2em; }
:focus-visible { outline: 3px solid var(--a); outline-offset: 2px; border-radius: .25rem; }
.skip { position: absolute; left: -100vw; background: var(--card); padding: .75rem 1rem; }
.skip:focus { left: 1rem; top: 1rem; z-index: 2; }
.unseen {
  position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap;
}
[hidden] { display: none !important; }

h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.25rem); font-weight: 650; letter-spacing: -.015em; margin-bottom: .5rem; }
h2 { font-size: 1.375rem; font-weight: 650; letter-spacing: -.01em; margin: 3.5rem 0 1rem; }
h3 { font-weight: 600; }
.eyebrow {
  display: block; color: var(--soft); font-size: .8rem; font-weight: 600; letter-spacing: .06em; margin-bottom: .35rem;
}
.against { color: var(--soft); font-weight: 400; }
.said { font-size: .925rem; }
.numbers, .said { font-variant-numeric: tabular-nums; }

nav ul { list-style: none; margin: 1.25rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
nav li { margin: 0; }
main nav { padding: 0; }
nav a { display: inline-block; padding: .2rem 0; color: var(--ink); text-decoration-color: var(--line); }
nav a:hover { text-decoration-color: currentColor; }

.models { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem; margin-top: 1.25rem; }
.side { border-left: 4px solid; padding: .1rem 0 .1rem .9rem; }
.side.a { border-color: var(--a); }
.side.b { border-color: var(--b); border-left-style: double; border-left-width: 6px; }
.side p { margin: .1rem 0; }
.side .name { font-size: 1.125rem; font-weight: 600; color: var(--ink); }
.side .role { color: var(--soft); font-size: .875rem; }
.key {
  display: inline-block; min-width: 1.45em; padding: 0 .3em; border-radius: .3em; text-align: center; font-size: .78em;
  font-weight: 700; line-height: 1.5; color: var(--on-key); vertical-align: .05em;
}
.key.a { background: var(--a); }
.key.b { background: var(--b); border-radius: 0 .55em 0 .55em; }
.key.t { background: var(--true); color: var(--card); border-radius: 1em; }

.answer { padding: 1.25rem 1.5rem; margin: 1.25rem 0; }
.answer.a { color: var(--a); background: var(--a-ground); }
.answer.b { color: var(--b); background: var(--b-ground); }
.answer h2 { margin: 0 0 .25rem; font-size: clamp(1.25rem, 1rem + 1vw, 1.6rem); }
.answer p { max-width: 52rem; }

.panels + .said { margin-top: .75rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: 1rem; }
.panel { margin: 0; }
.panel .said { margin: .1rem 0; }
.difference { margin: .6rem 0 0; font-weight: 600; }
.difference strong { font-size: 2rem; font-weight: 600; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.difference.better { color: var(--a); }
.difference.worse { color: var(--b); }
.difference.same { color: var(--muted); font-weight: 400; }

.plot { display: block; width: 100%; overflow: visible; margin-top: .75rem; }
.plot.row { margin: 0; }
.plot text { font-size: 12px; fill: var(--ink); font-variant-numeric: tabular-nums; }
.plot .tick { fill: var(--soft); font-size: 11px; }
.plot .text-a { fill: var(--a); font-weight: 600; }
.plot .text-b { fill: var(--b); font-weight: 600; }
.at { overflow: visible; }
.grid { stroke: var(--line); }
.zero { stroke: var(--muted); }
.line-a, .line-b, .end-a, .end-b { fill: none; stroke-width: 2; }
.line-a, .end-a { stroke: var(--a); }
.line-b, .end-b { stroke: var(--b); }
.line-b { stroke-dasharray: 5 3; }
.mark-a { fill: var(--a); stroke: var(--card); stroke-width: 1.5; }
.mark-b { fill: var(--b); stroke: var(--card); stroke-width: 1.5; }
.whisker { stroke-width: 2; }
.whisker.better { stroke: var(--a); }
.whisker.worse { stroke: var(--b); stroke-dasharray: 5 3; }
.whisker.muted { stroke: var(--muted); stroke-width: 1; }
.mark-a.muted { fill: var(--card); stroke: var(--muted); r: 3.5px; }
.bar-a { fill: var(--a); }
.bar-b { fill: var(--b-ground); stroke: var(--b); }

table { font-size: .925rem; border-radius: var(--radius); border-collapse: separate; border-spacing: 0; }
th, td { vertical-align: baseline; }
caption { text-align: left; color: var(--soft); font-size: .875rem; padding: 0 .1rem .5rem; }
h3 .said { font-weight: 400; margin-left: .35em; }
thead th { border-top: 0; vertical-align: bottom; }
.wide { overflow-x: auto; position: relative; border-radius: var(--radius); }
.slices :is(th, td) { padding-inline: .55rem; }
.slices .name { padding-left: 1rem; }
.wide th[scope=row] { min-width: 7.5rem; overflow-wrap: break-word; }
.wide table.slices { table-layout: fixed; min-width: 62rem; }
.slices .delta { width: 9.25rem; }
.slices .bounds { width: 9.75rem; }
.slices th.name { width: 11.5rem; }
.slices thead th:nth-last-child(-n + 5) { width: 4.1rem; }
.slices thead th:last-child { width: 6.25rem; }
.wide td, .wide thead th:not(:first-child) { text-align: right; white-space: nowrap; }
.wide td:last-child, .wide th:last-child { padding-right: 1.25rem; }
section > h3 { margin: 2rem 0 .75rem; }
.slices .plotted { padding-inline: .5rem; text-align: left !important; }
.slices td.plotted { vertical-align: middle; padding-block: .3rem; }
.slices th.name { position: sticky; left: 0; background: var(--card); }
.slices th.name { white-space: normal; overflow-wrap: anywhere; }
.slices tr.muted :is(th, td) { color: var(--muted); font-weight: 400; }
.slices tr.muted strong { font-weight: 400; }
.slices tr.better strong { color: var(--a); }
.slices tr.worse strong { color: var(--b); }
.slices tr:not(.muted) th { font-weight: 600; }
.slices td span { display: inline-block; min-width: 4.6em; text-align: left; font-size: .85em; }
thead button {
  all: unset; cursor: pointer; color: inherit; border-bottom: 1px dotted var(--soft); white-space: nowrap;
}
thead button:focus-visible { outline: 3px solid var(--a); outline-offset: 2px; }
[aria-sort=ascending] button::after { content: " \\2191"; }
[aria-sort=descending] button::after { content: " \\2193"; }
.latency td:nth-child(2) { width: 40%; min-width: 9rem; vertical-align: middle; }

.gates { list-style: none; padding: 0; margin: 0; border: 1px solid var(--line); border-radius: var(--radius); }
.gates { background: var(--card); }
.gate { display: grid; grid-template-columns: 6.5rem 1fr 17rem; gap: .25rem 1rem; padding: .8rem 1.25rem; margin: 0; }
.gate + .gate { border-top: 1px solid var(--line); }
.gate .badge { justify-self: start; align-self: start; white-space: nowrap; }
.gate dl { margin: 0; gap: 0 1.25rem; display: grid; grid-template-columns: 6rem 1fr; }
.gate p { margin: .1rem 0 0; }
.badge.note { background: var(--faint); color: var(--ink); }

.legend { line-height: 2.4; }
.legend > span { margin-right: .75em; white-space: nowrap; }
.filter {
  display: flex; flex-wrap: wrap; gap: .75rem 1rem; align-items: end; padding: 1rem 1.25rem; margin: 1rem 0;
  background: var(--card); border: 1px solid var(--line); border-radius: var(--radius);
}
.field { display: grid; gap: .2rem; flex: 1 1 11rem; min-width: 0; }
.field label { font-size: .85rem; color: var(--soft); }
.filter :is(select, input, button) {
  font: inherit; font-size: .95rem; color: var(--ink); background: var(--ground); border: 1px solid var(--muted);
  border-radius: .4rem; padding: 0 .6rem; width: 100%; min-width: 0; height: 2.5rem;
}
.filter ::placeholder { color: var(--soft); opacity: 1; }
.filter button { cursor: pointer; width: auto; padding-inline: 1rem; }
.filter p { flex: 1 0 100%; margin: 0; }
.group > h3 { margin: 2rem 0 0; font-size: 1.125rem; }
.example { padding: 1.25rem; }
.change { margin: 0; white-space: nowrap; font-variant-numeric: tabular-nums; }
.change.worse strong { color: var(--b); }
.change.better strong { color: var(--a); }
.example .head { margin-bottom: .9rem; }
.facts { margin: 0; }
.sides { display: grid; grid-template-columns: 10rem minmax(0, 1fr); gap: 1rem 1.5rem; align-items: start; }
.picture img { display: block; width: 100%; height: auto; border-radius: .5rem; background: #fff; }
.picture.none {
  display: grid; place-items: center; aspect-ratio: 1; border: 1px dashed var(--muted); border-radius: .5rem;
  padding: 1rem; text-align: center; color: var(--soft); font-size: .85rem;
}
.stack { position: relative; }
.over svg { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: .5rem; }
.grid-map circle { fill: #0b5cad; fill-opacity: .35; stroke: #fff; stroke-width: .8; }
.covered rect { fill: #d9480f; stroke: #fff; stroke-width: .6; }
.picture:has(.switch:nth-of-type(1) input:not(:checked)) .over:nth-of-type(1) { visibility: hidden; }
.picture:has(.switch:nth-of-type(2) input:not(:checked)) .over:nth-of-type(2) { visibility: hidden; }
.switch { display: flex; gap: .4rem; align-items: center; margin-top: .4rem; font-size: .85rem; color: var(--soft); }
.words { line-height: 2.35; margin: 0 0 .5rem; white-space: pre-line; }
.words.title { font-size: 1.0625rem; }
.told .words:not(.title) { max-width: 46rem; }
mark {
  --t: none; --first: none; --second: none; color: inherit; padding-bottom: 11px; -webkit-box-decoration-break: clone;
  box-decoration-break: clone;
  background: var(--t) 0 calc(100% - 8px) / 100% 2px, var(--first) 0 calc(100% - 4px) / 100% 2px,
    var(--second) 0 100% / 100% 2px; background-repeat: no-repeat;
}
mark.t { --t: linear-gradient(var(--true), var(--true)); }
mark.a { --first: linear-gradient(var(--a), var(--a)); }
mark.b { --second: repeating-linear-gradient(90deg, var(--b) 0 5px, transparent 5px 8px); }
.tag { font-size: .72rem; color: var(--soft); margin: 0 .35em 0 .3em; white-space: nowrap; unicode-bidi: isolate; }
.tag .key:first-of-type { margin-left: .4em; }
.tag .key { font-size: .62rem; min-width: 1.3em; padding: 0 .2em; margin-left: .2em; }
.heats { line-height: 2; }
.heat { border-bottom: 1px solid var(--line); }
.heat { background: linear-gradient(var(--heat), var(--heat)) 0 100% / 100% 0 no-repeat; }
HEAT_LEVELS
.facets { margin-top: .75rem; font-size: .9rem; table-layout: fixed; }
.facets :is(th, td) { padding: .35rem .6rem; overflow-wrap: anywhere; }
.agreed { margin-top: .6rem; display: flex; gap: .25rem .75rem; align-items: baseline; }
.agreed p { margin: 0; white-space: nowrap; }
.agreed ul { list-style: none; padding: 0; margin: 0; display: flex; flex-wrap: wrap; gap: 0 1.25rem; }
.agreed li { margin: 0; }
.agreed b { font-weight: 500; color: var(--ink); }
.agreed p::before { content: "\\2713  "; color: var(--good); }
.facets tr.disputed th { font-weight: 600; }
.verdict { white-space: nowrap; font-size: .85em; }
.verdict.right { color: var(--good); }
.verdict.wrong { color: var(--bad); }
.verdict.missed { color: var(--warn); }
.told summary { font-size: .875rem; font-weight: 500; color: var(--soft); }
.told details { margin: .25rem 0 .5rem; }

@media (max-width: 46rem) {
  .gate { grid-template-columns: 1fr; padding: .9rem 1rem; }
  .gate dl { justify-self: start; gap: 0 2rem; margin-top: .25rem; }
  .sides { grid-template-columns: 1fr; }
  .picture { max-width: 12rem; }
  .picture.none { aspect-ratio: auto; max-width: none; padding: .5rem; }
  header, nav, main, footer { padding-inline: 1rem; }
  .wide table.slices { min-width: 46rem; }
  .roomy { display: none; }
  .slices th.name { width: 6.75rem; padding-left: .75rem; }
  .slices .plotted { width: 8.75rem; padding-inline: .25rem; }
  .slices .delta { width: 5.25rem; }
  .slices td span { display: block; text-align: right; }
  .latency :is(th, td):nth-child(2) { display: none; }
  .agreed { display: block; }
  .facets { font-size: .8rem; }
  .facets :is(th, td) { padding: .3rem .25rem; hyphens: auto; }
  .facets thead th { font-size: .72rem; }
  .example, .panel { padding: 1rem; }
  .change { white-space: normal; }
}
@media print {
  :root {
    color-scheme: light; --ground: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --muted: #666;
    --a: #0b5cad; --b: #a84300; --true: #000; --on-key: #fff;
  }
  body { font-size: 10.5pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav, .skip, .filter, .switch { display: none; }
  header, main, footer { max-width: none; padding-inline: 0; }
  h2 { margin-top: 1.5rem; break-after: avoid; }
  .wide { overflow: visible; }
  .wide table.slices { min-width: 0; font-size: .72rem; }
  .slices .delta { width: 7rem; }
  .slices .bounds { width: 8rem; }
  .slices th.name { width: 7rem; position: static; }
  .slices thead th:nth-last-child(-n + 5) { width: 3.3rem; }
  .slices thead th:last-child { width: 5rem; }
  .slices .plotted { width: 9rem; }
  thead button { border: 0; }
  .panels { grid-template-columns: repeat(3, 1fr); }
  .panel { padding: .75rem; }
  tr, .gate, .panel { break-inside: avoid; }
}
""".replace("HEAT_LEVELS", "\n".join(f".h{level} {{ background-size: 100% {level * 10}%; }}" for level in range(1, 11)))
