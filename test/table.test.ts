import { expect, test } from 'vitest'
import { drawReports } from '../src/cli/table.ts'
import type { Report } from '../src/domain/report.ts'

const verdicts = { positive: 95, negative: 5, excluded: 0, unparsed: 0, error: 0 }
const arm = { arm: 'etymologist', policy: null, units: 1, exposures: 1, samples: 1, verdicts }
const report: Report = {
  experiment: 'birds',
  check: 'nineteenth-century',
  arms: [
    { ...arm, rate: { estimate: 0.95, lower: 0.8442, upper: 0.9929 } },
    { ...arm, arm: 'new', rate: { estimate: null, lower: 0, upper: 1 } },
  ],
  comparisons: [],
  sample_ratio: { p: 1, log_e: 0 },
}

test('draws rates from 0% to 100% in the width there is', () => {
  const drawn = drawReports([report], 75).split('\n')
  expect(drawn[3]).toBe('  etymologist │           ──●│  95.0%  (84.4% to 99.3%)  95 of 100')
  expect(drawn[4]).toBe('  new         │──────────────│     –  (0.0% to 100.0%)  95 of 100')
  for (const columns of [72, 80, 120, 200]) {
    const longest = Math.max(
      ...drawReports([report], columns)
        .split('\n')
        .map((line) => line.length),
    )
    expect(longest).toBeLessThanOrEqual(columns)
  }
})

test('shows beside it the weighted rate of an arm that has one', () => {
  const weighted = { estimate: 0.1234, lower: 0.1, upper: 0.15 }
  const arms = [{ ...arm, rate: { estimate: 0.95, lower: 0.8442, upper: 0.9929, weighted } }]
  const drawn = drawReports([{ ...report, arms }], 72).split('\n')
  expect(drawn[4]).toBe('  etymologist: 12.3% of all traffic, weighted (10.0% to 15.0% at one look)')
})
