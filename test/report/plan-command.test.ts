/** `ballast plan` as a process. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Sizing } from '../../src/cli/sizing-view.ts'
import { ballast, configFile } from '../support/command.ts'
import { addTraffic, makeReportStore, REPORT_CONFIG } from '../support/report-stores.ts'

const plan = (...args: string[]) => ballast(['plan', ...args]).finished
const planned = async (...args: string[]) => {
  const { code, stdout, stderr } = await plan(...args, '--json')
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout) as Sizing
}

describe('ballast plan', () => {
  test('reckons verdicts, requests, days, tokens and cost from each other', async () => {
    const found = await planned(
      ...[
        '--rate',
        '0.05',
        '--to',
        '0.02',
        '--power',
        '0.8',
        '--sample',
        '0.1',
        '--requests-per-day',
        '5000',
      ],
      ...['--tokens-per-verdict', '900', '--price-per-million', '0.4'],
    )
    expect(found.arms.map(({ arm, fixed, cap }) => [arm, fixed, cap])).toEqual([
      ['control', 588, 1059],
      ['treatment', 588, 1059],
    ])
    expect(found.verdicts.fixed).toBe(1176)
    expect(found.requests.fixed).toBe(11_760)
    expect(found.days!.fixed).toBeCloseTo(11_760 / 5000, 9)
    expect(found.tokens!.cap).toBe(2118 * 900)
    expect(found.cost!.cap).toBeCloseTo((2118 * 900 * 0.4) / 1e6, 9)
  })

  test('prints it in 80 columns, with unequal weights', async () => {
    const { code, stdout } = await plan('--rate', '0.05', '--to', '0.02', '--weights', '9:1')
    expect(code).toBe(0)
    expect(stdout).toContain('verdicts, control (weight 9, 100% judged)')
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })

  test('takes rate, weights, sampling and what counts from an experiment', async () => {
    const made = await makeReportStore(mkdtempSync(join(tmpdir(), 'ballast-')))
    await addTraffic(made, {
      experiment: 'advice',
      arms: { control: { rate: [0.2, 0.2] }, assistant: { rate: [0, 0] }, archaic: { rate: [0, 0] } },
      samples: 400,
      seed: 5,
    })
    await made.store.close()
    const found = await planned('--experiment', 'advice', '--config', made.config)
    expect(found.arms.map(({ arm, weight, sample }) => [arm, weight, sample])).toEqual([
      ['control', 1, 0.2],
      ['assistant', 1, 0.2],
      ['archaic', 1, 0.2],
    ])
    expect(found.rate).toBeGreaterThan(0.1)
    expect(found.rate).toBeLessThan(0.3)
    expect([found.to, found.rate_from, found.judge_requests_per_verdict]).toEqual([
      found.rate / 2,
      'observed',
      2,
    ])
    expect(found.counted).toBeGreaterThan(0.9)
    expect(found.counted).toBeLessThan(1)
    expect(found.judged.fixed).toBe(Math.ceil(found.verdicts.fixed / found.counted))
    const expected = await planned('--experiment', 'advice', '--config', made.config, '--rate', '0.5')
    expect([expected.rate, expected.rate_from]).toEqual([0.5, 'given'])
    const empty = await plan('--experiment', 'empty', '--config', made.config)
    expect(empty.stderr).toContain(
      'The control has shown no rate between 0 and 1 yet: give the rate you expect',
    )
  })

  test('plans an experiment that has no store yet, once it is told the rate', async () => {
    const config = configFile(REPORT_CONFIG)
    const found = await planned('--experiment', 'advice', '--config', config, '--rate', '0.1')
    expect([found.rate_from, found.counted]).toEqual(['given', 1])
    const { code, stderr } = await plan('--experiment', 'advice', '--config', config)
    expect(code).toBe(2)
    expect(stderr).toMatch(/cannot be opened: there is no such file: give the rate you expect with --rate/)
  })

  test.each([
    [[], "Give the control's rate with --rate"],
    [['--rate', '5%'], 'Write 5% as 0.05'],
    [['--rate', '0.05', '--to', '0.05'], 'no number of verdicts tells them apart'],
    [['--rate', '0'], 'It lies between 0 and 1'],
    [['--rate', '0.05', '--sample', '0'], 'It is above 0 and at most 1'],
    [['--rate', '0.05', '--weights', '9'], 'the control first, as in 9:1'],
    [['--rate', '0.05', '--requests-per-day', 'many'], 'It is a number above 0'],
    [['--rate', '0.05', '--price-per-million', '1'], 'needs --tokens-per-verdict'],
  ])('explains what is wrong with %j', async (args, message) => {
    const { code, stdout, stderr } = await plan(...args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(message)
  })

  test('explains an experiment that compares nothing', async () => {
    const config = configFile(REPORT_CONFIG)
    const { code, stderr } = await plan('--experiment', 'route:alone:*', '--config', config)
    expect(code).toBe(2)
    expect(stderr).toContain('compares nothing: it takes a control and another arm')
  })
})
