/** The style of the HTML report: light and dark, on screens of any width and on paper. Used by `report-html.ts`. */

/**
 * Arms: the control grey, then the palette of Okabe and Ito (2008), which people with any kind of colour vision tell apart,
 * lighter on dark ground. Verdicts differ in lightness too.
 */
export const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1c2530, #e6ebf0); --faint: light-dark(#56616c, #9fabb7);
  --line: light-dark(#d9dfe5, #333e49); --page: light-dark(#ffffff, #14191f); --panel: light-dark(#f4f6f8, #1c232b);
  --warn: light-dark(#8a1c1c, #ffb4a8); --warn-panel: light-dark(#fdeeee, #3a1d1d);
  --arm-0: light-dark(#5b6773, #aab4be); --arm-1: light-dark(#0072b2, #56b4e9); --arm-2: light-dark(#c24e00, #ff9b57);
  --arm-3: light-dark(#00805d, #3fd0a2); --arm-4: light-dark(#a8477e, #ee9fcb); --arm-5: light-dark(#8a6d00, #f0e442);
  --arm-6: light-dark(#3d3aa8, #a9a6ff);
  --verdict-positive: light-dark(#a3195b, #f06ba8); --on-positive: light-dark(#ffffff, #14191f);
  --verdict-negative: light-dark(#cfe3e0, #2f5a55); --on-negative: light-dark(#1c2530, #ffffff);
  --verdict-excluded: light-dark(#8d99a6, #7d8a97); --on-excluded: light-dark(#10151a, #10151a);
  --verdict-unparsed: light-dark(#d9a441, #c4912f); --on-unparsed: light-dark(#10151a, #10151a);
  --verdict-error: light-dark(#4a3b6b, #b8a6e6); --on-error: light-dark(#ffffff, #14191f); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 1rem 1.25rem 3rem; color: var(--ink); background: var(--page);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; margin: .5rem 0; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .25rem; }
h3 { font-size: 1.02rem; margin: 2rem 0 .25rem; } p { margin: .3rem 0; }
a { color: inherit; } .faint, footer, figcaption p { color: var(--faint); font-size: .9rem; }
.conclusion { margin: .9rem 0 1.1rem; padding: .75rem 1rem; border-left: 4px solid var(--arm-1); background: var(--panel);
  font-size: 1.06rem; font-weight: 600; }
.distrust { border-color: var(--warn); background: var(--warn-panel); color: var(--warn); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .4rem 0; list-style: none; font-size: .9rem; }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: .15em; vertical-align: -.05em; }
figure { margin: 0; } figure h3 { margin-bottom: .1rem; }
svg.plot { display: block; max-width: 100%; height: auto; overflow: visible; margin: .4rem 0; } svg.narrow { display: none; }
svg.plot text { white-space: pre; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
th, td { overflow-wrap: normal; } th:first-child, td:first-child { text-align: left; padding-left: 0; } td:last-child, th:last-child { padding-right: 0; }
th { font-weight: 600; } thead th { white-space: normal; color: var(--faint); font-size: .82rem; vertical-align: bottom; }
th.words, td.words { text-align: left; white-space: normal; min-width: 8rem; } .mark { color: var(--warn); font-weight: 600; }
ul { padding-left: 1.2rem; margin: .4rem 0; } li { margin: .2rem 0; } .empty { color: var(--faint); font-style: italic; }
@media (max-width: 700px) { body { padding: .5rem .9rem 2rem; } svg.wide { display: none; } svg.narrow { display: block; } }
@media print { :root { color-scheme: light; } body { max-width: none; font-size: 11pt; padding: 0; }
  figure, table, .conclusion { break-inside: avoid; } h2, h3 { break-after: avoid; } section + section { break-before: page; }
  svg.wide { display: block; } svg.narrow { display: none; }
  * { print-color-adjust: exact; } .scroll { overflow: visible; } }
`
