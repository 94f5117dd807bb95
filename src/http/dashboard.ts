/** The page at the control plane: each experiment's arms with their rates and bounds. No script; it reloads itself. */
import { html, raw } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'
import type { ArmReport, Comparison, Report } from '../domain/report.ts'

type Html = HtmlEscapedString | Promise<HtmlEscapedString>

const REFRESH_SECONDS = 2

const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1c2530, #e6ebf0); --faint: light-dark(#5b6773, #9aa7b4);
  --line: light-dark(#d5dbe1, #36414c); --page: light-dark(#fff, #14191f); --mark: light-dark(#0b6bcb, #63b0ff);
  --band: light-dark(#b9d9f7, #24496e); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 1rem; color: var(--ink); background: var(--page);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem; }
p { margin: .25rem 0; } .faint, footer { color: var(--faint); font-size: .9rem; } footer { margin-top: 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .75rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .chart { text-align: left; } th { font-weight: 600; color: var(--faint); font-size: .85rem; }
th .faint { font-weight: 400; } td svg { display: block; width: 13rem; height: 1.2rem; }
.track { fill: var(--line); } .bounds { fill: var(--band); } .estimate { fill: var(--mark); }
`

/** @returns a whole HTML document; every name in it is escaped. */
export function dashboardPage(reports: readonly Report[], configHash: string): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${REFRESH_SECONDS}">
<title>ballast</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<h1>ballast</h1>
${reports.length === 0 ? html`<p>Nothing is measured yet: no route or experiment names a check.</p>` : reports.map(experimentSection)}
<footer>Configuration ${configHash}. <a href="/metrics">Metrics</a>, <a href="/api/experiments">JSON</a>.</footer>
</body>
</html>`
}
dashboardPage.style = STYLE

function experimentSection({ experiment, check, arms, comparisons, sample_ratio }: Report): Html {
  return html`<section>
<h2>${experiment}</h2>
<p class="faint">Check ${check}. The bar is the rate's 95% bounds from 0% to 100%, the tick its estimate; they hold however often you look.</p>
<div class="scroll"><table>
<thead><tr><th scope="col">Arm</th><th scope="col" class="chart">Positive rate</th><th scope="col">Rate</th><th scope="col">Bounds</th>
<th scope="col">Positive</th><th scope="col">Negative</th><th scope="col">Excluded</th><th scope="col">Unparsed</th><th scope="col">Error</th>
<th scope="col">Exposures</th><th scope="col">Units</th></tr></thead>
<tbody>${arms.map(armRow)}</tbody>
</table></div>
${arms.map(stateLine)}
${arms.map(extraLine)}
${comparisons.map(comparisonLine)}
${sample_ratio.p < 0.001 ? html`<p><strong>The arms' sizes do not fit their weights (p ${sample_ratio.p.toExponential(1)}): the assignment is broken, trust no rate.</strong></p>` : ''}
</section>`
}

function armRow({ arm, policy, rate, verdicts, exposures, units }: ArmReport): Html {
  return html`<tr>
<th scope="row">${arm}<div class="faint">${policy ?? 'nothing injected'}</div></th>
<td class="chart">${rateBar(rate)}</td>
<td>${rate.estimate === null ? '–' : percent(rate.estimate)}</td><td>${percent(rate.lower)} to ${percent(rate.upper)}</td>
<td>${verdicts.positive}</td><td>${verdicts.negative}</td><td>${verdicts.excluded}</td><td>${verdicts.unparsed}</td><td>${verdicts.error}</td>
<td>${exposures}</td><td>${units}</td>
</tr>`
}

function rateBar({ estimate, lower, upper }: ArmReport['rate']): Html {
  const at = (rate: number) => (rate * 100).toFixed(2)
  const tick =
    estimate === null ? '' : `<rect class="estimate" x="${at(estimate * 0.99)}" y="0" width="1" height="8"/>`
  return html`<svg viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="${percent(lower)} to ${percent(upper)}">
<rect class="track" y="3.5" width="100" height="1"/><rect class="bounds" x="${at(lower)}" y="1.5" width="${at(upper - lower)}" height="5"/>${raw(tick)}</svg>`
}

function comparisonLine({ arm, against, difference, decision }: Comparison): Html {
  const verdict = {
    better: `${arm} has a lower rate than ${against}: proven at 5%.`,
    worse: `${arm} has a higher rate than ${against}: proven at 5%.`,
    undecided: `${arm} against ${against}: undecided.`,
  }[decision]
  return html`<p>${verdict} <span class="faint">Difference ${percent(difference.lower)} to ${percent(difference.upper)}.</span></p>`
}

/** What somebody or a rule did to the arm. */
function stateLine({ arm, state }: ArmReport): Html | string {
  if (state === undefined || state.state === 'on') return ''
  const what =
    state.state === 'off'
      ? 'is off: nothing is injected for its units'
      : 'is promoted: all units get its policy'
  const by =
    state.by === 'person' ? 'a person' : state.by === 'config' ? 'the configuration' : `the rule ${state.by}`
  const since = state.since === null ? '' : ` since ${state.since.slice(0, 16).replace('T', ' ')} UTC`
  return html`<p><strong>${arm} ${what}</strong>${since}, by ${by}.${state.reason === null ? '' : ` ${state.reason}`}</p>`
}

function extraLine({ arm, extra }: ArmReport): Html | string {
  if (extra === undefined) return ''
  const { samples, verdicts } = extra
  return html`<p class="faint">${arm}: ${samples} more like the training context, judged though not drawn: ${verdicts.positive} positive, ${verdicts.negative} negative. They are in no number above.</p>`
}

function percent(rate: number): string {
  return `${(rate * 100).toFixed(1)}%`
}
