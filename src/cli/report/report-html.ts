/**
 * Detailed reports as one HTML page that needs nothing else: no network, no script. Used by `ballast report`. All text from
 * elsewhere (questions, labels, names) goes through the escaping of `html`, or through the DOM that plots are drawn in.
 */
import { html, raw } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'
import type { DetailedArm, DetailedReport, JudgeDetail } from '../../domain/detailed-report.ts'
import { VERDICTS } from '../../domain/verdict.ts'
import { plotRows, plotScores, plotVerdicts, verdictColour } from './plot-counts.ts'
import { plotDifferences, plotOverTime, plotRates } from './plot-rates.ts'
import { STYLE } from './report-style.ts'
import { armColour } from './svg.ts'
import {
  bounds,
  eventInWords,
  evidence,
  identifiableInWords,
  methodInWords,
  moment,
  offInWords,
  pointBounds,
  points,
  powerInWords,
  pValue,
  rate,
  whole,
} from './words.ts'

type Html = HtmlEscapedString | Promise<HtmlEscapedString>

/** Nothing may be fetched or run, whoever opens the file. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

export async function htmlReport(reports: readonly DetailedReport[]): Promise<string> {
  const title = `ballast report: ${reports.map(({ experiment }) => experiment).join(', ')}`
  const page = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${title}</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<header><h1>ballast report</h1>
<p class="faint">${moment(reports[0]?.made_at ?? 0)}</p>
${reports.length > 1 ? html`<nav><ul>${reports.map((it, index) => html`<li><a href="#experiment-${index}">${it.experiment}</a>: ${it.conclusion.text}</li>`)}</ul></nav>` : ''}
</header>
<main>
${reports.map(section)}
</main>
</body>
</html>
`
  return String(page)
}

function section(report: DetailedReport, index: number): Html {
  const { experiment, check, conclusion, arms, comparisons, notes } = report
  const colours = new Map(arms.map(({ arm }, place) => [arm, armColour(place)]))
  return html`<section id="experiment-${index}">
<h2>${experiment}</h2>
<p class="faint">Check ${check}</p>
<p class="conclusion ${conclusion.trusted ? '' : 'distrust'}">${conclusion.text}</p>
<ul class="legend" aria-label="Arms">${arms.map((it) => legendEntry(it, colours))}</ul>
${figure(
  'Positive rate',
  'Dot: estimate. Thin line: 95% bounds that hold however often one looks. Thick line: Wilson’s, right only if looked at once.',
  plotRates(arms),
  'No positive or negative verdict yet.',
)}
${ratesTable(arms)}
${
  comparisons.length === 0
    ? ''
    : html`${figure(
        `Difference from ${comparisons[0]!.against}`,
        'Left of the dashed line is a lower rate. The bounds (95%) hold however often one looks.',
        plotDifferences(comparisons, colours),
        'There is no difference before both arms have verdicts.',
      )}
${comparisonsTable(report)}`
}
${figure(
  'Rate over time',
  'Cumulative rate, and bounds that hold at all moments at once (95%). The wide ones of the beginning are cut off at the top.',
  plotOverTime(arms),
  'No positive or negative verdict yet.',
)}
${figure('Verdicts', 'What became of the judged answers.', plotVerdicts(arms), 'No verdicts yet.')}
${verdictsTable(arms)}
${report.scores.map((it) => scores(it, arms))}
${figure(
  'Rate per question',
  'The most frequent questions whose text is kept, with Wilson’s bounds (95%, if looked at once). With many questions, some differ by chance.',
  plotRows(
    report.questions.map(({ question, arms: counts }) => ({ name: question, arms: counts })),
    arms.map(({ arm }) => arm),
    { title: 'Positive rate per question and arm', unit: 'positive rate (%)' },
  ),
  'No question whose text is kept was judged five times.',
)}
${judgeSection(report.judge)}
${report.history.length === 0 ? '' : html`<h3>What was done to the arms</h3><ul>${report.history.map((it) => html`<li>${moment(it.at)}: ${eventInWords(it)}</li>`)}</ul>`}
<h3>How to read it</h3>
<ul class="faint">${notes.map((note) => html`<li>${note}</li>`)}</ul>
</section>`
}

function legendEntry(it: DetailedArm, colours: ReadonlyMap<string, string>): Html {
  const off = offInWords(it)
  return html`<li>${swatch(colours.get(it.arm)!)}<strong>${it.arm}</strong> <span class="faint">${it.policy ?? 'nothing injected'}${off === '' ? '' : `; ${off}`}</span></li>`
}

function swatch(colour: string): Html {
  return html`<span class="swatch" style="background:${colour}"></span>`
}

function figure(title: string, caption: string, svg: string | null, empty: string): Html {
  if (svg === null) return html`<h3>${title}</h3><p class="empty">${empty}</p>`
  return html`<figure><figcaption><h3>${title}</h3><p>${caption}</p></figcaption>
${raw(svg)}
</figure>`
}

/** @param words whether the last column holds words, not numbers. */
function dataTable(
  head: readonly string[],
  rows: readonly (readonly (string | Html)[])[],
  words = false,
): Html {
  const align = (index: number) => (words && index === head.length - 1 ? 'words' : '')
  return html`<div class="scroll"><table>
<thead><tr>${head.map((cell, index) => html`<th scope="col" class="${align(index)}">${cell}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([first, ...rest]) =>
      html`<tr><th scope="row">${first}</th>${rest.map((cell, index) => html`<td class="${align(index + 1)}">${cell}</td>`)}</tr>`,
  )}</tbody>
</table></div>`
}

function ratesTable(arms: readonly DetailedArm[]): Html {
  const differ = arms.some(({ weighted }) => weighted !== null)
  const head = [
    'Arm',
    'Positive',
    'Rate',
    'At any time',
    'If looked at once',
    ...(differ ? ['Weighted (Hájek)'] : []),
    'Units',
    'Exposures',
  ]
  const rows = arms.map((it) => [
    it.arm,
    `${whole(it.verdicts.positive)} of ${whole(it.verdicts.positive + it.verdicts.negative)}`,
    rate(it.rate.estimate),
    bounds(it.rate),
    bounds(it.once),
    ...(differ ? [it.weighted === null ? '' : rate(it.weighted.estimate)] : []),
    whole(it.units),
    whole(it.exposures),
  ])
  const extra = arms.filter((it) => it.extra !== undefined)
  return html`${dataTable(head, rows)}${extra.map(
    (it) =>
      html`<p class="faint">${it.arm}: ${whole(it.extra!.samples)} more, like the training context, were judged and are in no number.</p>`,
  )}`
}

function comparisonsTable({ comparisons, sample_ratio: { p, chi_square } }: DetailedReport): Html {
  const rows = comparisons.map((it) => [
    it.arm,
    points(it.difference.estimate),
    pointBounds(it.difference),
    evidence(it.log_e_better),
    evidence(it.log_e_worse),
    it.inconclusive ? 'inconclusive' : it.decision,
  ])
  return html`${dataTable(['Arm', 'Points', 'At any time', 'ln E, lower', 'ln E, higher', 'Decision'], rows)}
<ul>${comparisons.map((it) => html`<li>${powerInWords(it)}</li>`)}
<li>The arms’ shares of the units: p ${pValue(p)} at any time (alarm below 0.001); chi-square ${chi_square.value.toFixed(1)}, p ${pValue(chi_square.p)} if looked at once</li></ul>`
}

function verdictsTable(arms: readonly DetailedArm[]): Html {
  if (arms.every(({ uncounted }) => uncounted.unreadable.of === 0)) return html``
  const p = ({ p, differs }: DetailedArm['uncounted']['excluded']) =>
    differs ? html`<span class="mark">${pValue(p)}</span>` : pValue(p)
  const rows = arms.map(({ arm, verdicts, uncounted: { excluded, unreadable } }) => [
    arm,
    ...VERDICTS.map((kind) => whole(verdicts[kind])),
    p(excluded),
    p(unreadable),
  ])
  return html`<ul class="legend" aria-hidden="true">${VERDICTS.map((kind) => html`<li>${swatch(verdictColour(kind))}${kind}</li>`)}</ul>
${dataTable(['Arm', ...VERDICTS, 'p, excluded', 'p, unreadable'], rows)}
<p class="faint">p: is the share as in the control? Fisher’s test; below 0.001 it is marked.</p>`
}

function scores(
  { rubric, scale, arms: found }: DetailedReport['scores'][number],
  arms: readonly DetailedArm[],
): Html {
  const histogram = plotScores({ rubric, scale, arms: found })
  const totals = new Map(
    found.map((it) => [
      it.arm,
      [...it.bins, ...it.labels].reduce((sum, { count }) => sum + count, 0) + it.unreadable,
    ]),
  )
  const row = (name: string, count: (it: (typeof found)[number]) => number) => ({
    name,
    arms: found.map((it) => ({ arm: it.arm, positives: count(it), total: totals.get(it.arm)! })),
  })
  const labels = found[0]?.labels.map(({ label }) => label) ?? []
  const rows = [
    ...labels.map((label) => row(label, (it) => it.labels.find((own) => own.label === label)?.count ?? 0)),
    row('unreadable', ({ unreadable }) => unreadable),
  ].filter(({ arms }) => arms.some(({ positives }) => positives > 0))
  const words = { title: `Labels of ${rubric} per arm`, unit: 'share of the replies (%)' }
  const dots = plotRows(
    rows,
    arms.map(({ arm }) => arm),
    words,
  )
  const means = found.flatMap(({ arm, mean }) => (mean === null ? [] : [`${arm} ${mean.toFixed(1)}`]))
  return html`${scale === null ? '' : figure(`Scores: ${rubric}`, means.length === 0 ? '' : `Means: ${means.join(', ')}.`, histogram, 'No scores yet.')}
${dots === null && scale !== null ? '' : figure(`Labels: ${rubric}`, 'Replies that are words, and those that are no score, with Wilson’s bounds (95%, if looked at once).', dots, 'No replies yet.')}`
}

function judgeSection(judge: JudgeDetail | null): Html {
  if (judge === null)
    return html`<h3>The judge, held to labels</h3><p class="empty">No answer was labelled yet.</p>`
  const share = (name: string, it: JudgeDetail['sensitivity']) => [
    name,
    `${whole(it.right)} of ${whole(it.of)}`,
    rate(it.estimate),
    bounds(it),
  ]
  const corrected = judge.arms.flatMap(({ arm, corrected }) =>
    corrected.map((it) => [arm, rate(it.estimate), bounds(it), methodInWords(it.method)]),
  )
  const uneven = judge.arms.filter((it) => it.uneven)
  return html`<h3>The judge, held to labels</h3>
<p>The judge: ${identifiableInWords(judge)}.</p>
${uneven.map((it) => html`<p class="mark">The judge errs in ${it.arm} otherwise than in the control (p ${pValue(it.p_sensitivity)} and ${pValue(it.p_specificity)}).</p>`)}
${dataTable(['The judge’s', 'Right', 'Share', '95%'], [share('sensitivity', judge.sensitivity), share('specificity', judge.specificity)])}
${corrected.length === 0 ? '' : dataTable(['Arm', 'Rate', '95%, if looked at once', 'By'], corrected, true)}`
}
