/** `ballast calibrate` as a process, on labels stored through the port. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { CalibrationView } from '../../src/cli/calibration-text.ts'
import { ballast } from '../support/command.ts'
import { addTraffic, makeReportStore } from '../support/report-stores.ts'

const calibrate = (...args: string[]) => ballast(['calibrate', ...args]).finished

describe('ballast calibrate', () => {
  let config: string

  beforeAll(async () => {
    const made = await makeReportStore(mkdtempSync(join(tmpdir(), 'ballast-')))
    const { store, plan } = made
    await addTraffic(made, {
      experiment: 'advice',
      arms: { control: { rate: [0.3, 0.3] }, assistant: { rate: [0.1, 0.1] }, archaic: { rate: [0.3, 0.3] } },
      samples: 700,
      seed: 11,
      labels: 400,
      sensitivity: 0.9,
      specificity: 0.97,
    })
    const { version } = plan.experiments.find(({ name }) => name === 'advice')!.check!
    const others = await store.find({ experiment: 'advice', labelled: true }, 2)
    for (const [index, { sample, labels }] of others.entries()) {
      const label = { ...labels[0]!, by: `second-${index}` }
      // The one is disputed; the other was labelled under another wording, which changes nothing.
      const disputed = { ...label, verdict: label.verdict === 'positive' ? 'negative' : 'positive' } as const
      await store.addLabel(index === 0 ? disputed : { ...disputed, checkVersion: 'another' })
      expect(sample.checkVersion).toBe(version)
    }
    const [unlabelled] = await store.find({ experiment: 'advice', labelled: false }, 1)
    await store.addLabel({
      sampleId: unlabelled!.sample.id,
      check: 'misalignment',
      checkVersion: 'another',
      by: 'third',
      verdict: 'positive',
      probability: null,
      at: 1,
    })
    await store.close()
    config = made.config
  })

  test('prints sensitivity, specificity, the table and corrected rates', async () => {
    const { code, stdout } = await calibrate('--experiment', 'advice', '--config', config, '--json')
    expect(code).toBe(0)
    const found = JSON.parse(stdout) as CalibrationView
    expect(found).toMatchObject({
      experiment: 'advice',
      check: 'misalignment',
      identifiable: 'yes',
      evenly_drawn: true,
      unused: { disputed: 1, other_wording: 1, unjudged: 0, extra: 0 },
    })
    expect(found.labels).toBeGreaterThan(300)
    const { positive, negative } = found.confusion
    expect(found.sensitivity).toMatchObject({
      right: positive.positive,
      of: positive.positive + positive.negative,
    })
    expect(found.specificity).toMatchObject({
      right: negative.negative,
      of: negative.positive + negative.negative,
    })
    for (const { corrected } of found.arms) expect(corrected[0]!.method).toBe('rogan-gladen')
    expect(found.arms[1]!.corrected[0]!.upper).toBeLessThan(found.arms[0]!.corrected[0]!.estimate)
  })

  test('prints text in 80 columns', async () => {
    const { code, stdout } = await calibrate('--experiment', 'advice', '--config', config)
    expect(code).toBe(0)
    for (const part of ['People say', 'sensitivity', 'Agreement', 'corrected (Rogan-Gladen)', 'left out: 1'])
      expect(stdout).toContain(part)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })

  test('says that nothing was labelled, and what is called wrongly', async () => {
    const empty = await calibrate('--experiment', 'empty', '--config', config)
    expect(empty).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('No judged answer of it was labelled yet.'),
    })
    const none = await calibrate('--config', config)
    expect([none.code, none.stderr]).toEqual([
      2,
      expect.stringContaining("required option '--experiment <name>'"),
    ])
    const check = await calibrate('--experiment', 'advice', '--check', 'nope', '--config', config)
    expect([check.code, check.stderr]).toEqual([2, expect.stringContaining('Check "nope" does not exist')])
  })
})
