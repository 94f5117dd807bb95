/** The report of an evaluation as one HTML page that needs nothing else. Loaded by `eval-output.ts` where it is wanted. */
import type { EvalReport } from '../eval/summary.ts'
import { colour, labelsOf, plotNumbers, plotRates, plotShares } from './eval-plots.ts'
import { aboutReport, type Section, sectionsOf } from './eval-sections.ts'

const STYLE = `
:root { color-scheme: light dark; --page: #fff; --ink: #1c1c1c; --faint: #767676; --line: #d9d9d9;
  --colour-0: #3b6fb6; --colour-1: #c2572b; --colour-2: #3f8a4d; --colour-3: #8a5fae;
  --colour-4: #a8863a; --colour-5: #5b8f97; --colour-6: #b1497f; --colour-7: #8c8c8c }
@media (prefers-color-scheme: dark) { :root { --page: #161616; --ink: #e6e6e6; --faint: #9a9a9a; --line: #3a3a3a;
  --colour-0: #7aa7e0; --colour-1: #e68a60; --colour-2: #74bd82; --colour-3: #b796d6;
  --colour-4: #d3b46a; --colour-5: #8fc2ca; --colour-6: #df86b3; --colour-7: #b0b0b0 } }
body { margin: 2rem auto; padding: 0 1rem; max-width: 64rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left }
td { white-space: nowrap } .note { color: var(--faint) }
svg.plot { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: currentColor; background: none }
.key span { margin-right: 1rem; white-space: nowrap } .key i { display: inline-block; width: .8em; height: .8em; margin-right: .3em }
`

/** @returns the page; every text in it is escaped, and it has no script. */
export function evaluationHtml(report: EvalReport): string {
  const { measures, judges } = report
  const figures = measures.map(
    (it) =>
      `<h2>${escapeHtml(it.measure)}</h2><p class="note">${escapeHtml(it.rule)}</p>${scroll(plotRates(it))}`,
  )
  const byJudge = [...Map.groupBy(judges, ({ judge }) => judge)].flatMap(([judge, of]) => {
    const [shares, numbers] = [plotShares(judge, of), plotNumbers(judge, of)]
    const key = labelsOf(of)
      .map((label, index) => `<span><i style="background:${colour(index)}"></i>${escapeHtml(label)}</span>`)
      .join('')
    return [
      `<h2>What ${escapeHtml(judge)} said</h2>`,
      shares === null ? '' : `<p class="key">${key}</p>${scroll(shares)}`,
      numbers === null ? '' : scroll(numbers),
    ]
  })
  const about = aboutReport(report)
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Evaluation</title><style>${STYLE}</style></head>
<body><h1>Evaluation</h1><p>${about} Bounds are 95%: Wilson's for rates, Newcombe's for differences.</p>
${[...figures, ...byJudge].join('\n')}
<h1>Tables</h1>
${sectionsOf(report).map(tableOf).join('\n')}
</body></html>
`
}

function tableOf({ title, notes, header, rows }: Section): string {
  const cells = (tag: 'th' | 'td', of: readonly string[]) =>
    of.map((it) => `<${tag}>${escapeHtml(it)}</${tag}>`).join('')
  const body = rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('\n')
  const said = notes.map((note) => `<p class="note">${escapeHtml(note)}</p>`).join('')
  return `<h2>${escapeHtml(title)}</h2>${said}${scroll(`<table><thead><tr>${cells('th', header)}</tr></thead><tbody>${body}</tbody></table>`)}`
}

function scroll(content: string): string {
  return `<div class="scroll">${content}</div>`
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
