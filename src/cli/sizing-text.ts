/** What `ballast plan` reckoned, as text. */
import type { Amounts, Sizing } from './sizing-view.ts'
import { bold, columnsOf, count, percentage, printable, table, wrap } from './text.ts'

const HEAD = ['one look', 'typical', 'cap'] as const

export function drawSizing(sizing: Sizing, columns = columnsOf(process.stdout)): string {
  const { rate, to, alpha, power, arms, experiment, counted } = sizing
  const whole = (it: number) => Math.ceil(it).toLocaleString('en')
  const row = (name: string, amounts: Amounts, write = whole) => [
    name,
    write(amounts.fixed),
    write(amounts.typical),
    write(amounts.cap),
  ]
  const days = (it: number) => (it < 10 ? it.toFixed(1) : whole(it))
  const cost = (it: number) => it.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })
  const perVerdict = sizing.judge_requests_per_verdict
  const rows = [
    ['', ...HEAD],
    ...arms.map((arm) =>
      row(`verdicts, ${arm.arm} (weight ${arm.weight}, ${percentage(arm.sample)} judged)`, arm),
    ),
    row('verdicts, all arms', sizing.verdicts),
    ...(counted === 1
      ? []
      : [row(`answers judged (${percentage(counted)} of the verdicts count)`, sizing.judged)]),
    row('requests to the experiment', sizing.requests),
    ...(sizing.days === null ? [] : [row('days', sizing.days, days)]),
    row(`judge requests (${count(perVerdict, 'a verdict', 'a verdict')})`, sizing.judge_requests),
    ...(sizing.tokens === null ? [] : [row('judge tokens', sizing.tokens)]),
    ...(sizing.cost === null ? [] : [row("cost, in the price's currency", sizing.cost, cost)]),
  ]
  const from = sizing.rate_from === 'observed' ? `, as ${experiment} shows it,` : ''
  const treatments = arms.length - 1
  const several = treatments === 1 ? '' : ` Alpha is divided among ${treatments} treatments.`
  const head = `To tell ${percentage(to)} from the control's ${percentage(rate)}${from} with power ${power} at alpha ${alpha}, two-sided.${several}`
  const notes = [
    'one look: a test of a size settled beforehand, looked at once.',
    'typical: where about half of the runs that are looked at all the time had ended in simulations of 5% against 2%.',
    'cap: 1.8 times one look. A run that has proven nothing by then is called inconclusive; in the simulations 84% had ended by then where one look has power 0.8.',
    'Counted are verdicts of different units or questions: answers to one user’s same question count once.',
  ]
  return printable(
    `${wrap(bold(head), columns)}\n\n${table(rightAligned(rows), columns, 2)}\n${notes.map((note) => `  - ${wrap(note, columns, 4).slice(4)}\n`).join('')}`,
  )
}

function rightAligned(rows: readonly (readonly string[])[]): string[][] {
  const widths = rows[0]!.map((_, index) => Math.max(...rows.map((row) => row[index]!.length)))
  return rows.map((row) => row.map((cell, index) => (index === 0 ? cell : cell.padStart(widths[index]!))))
}
