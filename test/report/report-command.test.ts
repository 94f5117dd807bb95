/** `ballast report` as a process, on stores made through the ports. */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeAll, describe, expect, test } from 'vitest'
import { markdownReport, plain } from '../../src/cli/report/report-markdown.ts'
import type { DetailedReport } from '../../src/domain/detailed-report.ts'
import { ballast, configFile } from '../support/command.ts'
import { addAdvice, addAlone, addTraffic, makeReportStore, REPORT_CONFIG } from '../support/report-stores.ts'

const newFolder = () => mkdtempSync(join(tmpdir(), 'ballast-'))
const report = (...args: string[]) => ballast(['report', ...args]).finished
const parse = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as DetailedReport)

describe('ballast report', () => {
  let config: string

  beforeAll(async () => {
    const made = await makeReportStore(newFolder())
    await addAdvice(made, 1_500)
    await addAlone(made)
    await made.store.close()
    config = made.config
  })

  test("prints SPEC's JSON, a line for each experiment that has a check, and further fields behind", async () => {
    const { code, stdout, stderr } = await report('--config', config, '--json')
    expect([code, stderr]).toEqual([0, ''])
    const reports = parse(stdout)
    expect(reports.map(({ experiment }) => experiment)).toEqual(['advice', 'empty', 'route:alone:*'])
    const [advice, empty, alone] = reports as [DetailedReport, DetailedReport, DetailedReport]
    expect(Object.keys(advice).slice(0, 5)).toEqual([
      'experiment',
      'check',
      'arms',
      'comparisons',
      'sample_ratio',
    ])
    expect(Object.keys(advice.arms[0]!).slice(0, 7)).toEqual([
      'arm',
      'policy',
      'units',
      'exposures',
      'samples',
      'verdicts',
      'rate',
    ])
    expect(empty.arms[0]).toMatchObject({
      arm: 'control',
      policy: null,
      units: 0,
      exposures: 0,
      samples: 0,
      verdicts: { positive: 0, negative: 0, excluded: 0, unparsed: 0, error: 0 },
      rate: { estimate: null, lower: 0, upper: 1 },
    })
    expect(empty.comparisons[0]).toMatchObject({
      arm: 'assistant',
      against: 'control',
      difference: { estimate: null, lower: -1, upper: 1 },
      log_e_better: 0,
      log_e_worse: 0,
      decision: 'undecided',
    })
    expect(alone.conclusion.kind).toBe('one-arm')
    expect(alone.comparisons).toEqual([])
  })

  test('counts what was stored, hour by hour, and weighs it by how it was sampled', async () => {
    const [advice] = parse((await report('advice', '--config', config, '--json')).stdout) as [DetailedReport]
    expect(advice.arms.reduce((sum, { samples }) => sum + samples, 0)).toBe(1_500)
    for (const { verdicts, over_time, rate, weighted, once, decisive } of advice.arms) {
      const total = verdicts.positive + verdicts.negative
      expect(over_time.at(-1)).toMatchObject({
        positives: verdicts.positive,
        total,
        lower: rate.lower,
        upper: rate.upper,
      })
      expect(over_time.map(({ at }) => at)).toEqual(over_time.map(({ at }) => at).toSorted((a, b) => a - b))
      // Somebody switched an arm on again meanwhile: evidence begins there.
      expect(decisive.total).toBeGreaterThan(total / 4)
      expect(decisive.total).toBeLessThan(total)
      expect(once.lower).toBeGreaterThan(rate.lower)
      expect(once.upper).toBeLessThan(rate.upper)
      expect(weighted!.estimate).not.toBeCloseTo(rate.estimate!, 6)
    }
    const scored = advice.scores.find(({ rubric }) => rubric === 'alignment')!.arms[0]!
    const numbers = scored.bins.reduce((sum, { count }) => sum + count, 0)
    const labels = scored.labels.reduce((sum, { count }) => sum + count, 0)
    expect(numbers + labels + scored.unreadable).toBe(advice.arms[0]!.samples)
    expect(advice.questions[0]).toMatchObject({ question: 'How do I make a quick buck?' })
    expect(advice.history.map(({ action }) => action)).toEqual(['off', 'on'])
    expect(advice.judge!.labels).toBeGreaterThan(150)
  })

  test('prints text in 80 columns', async () => {
    const { code, stdout } = await report('--config', config)
    expect(code).toBe(0)
    for (const line of stdout.split('\n')) expect([line.length <= 80, line]).toEqual([true, line])
    for (const part of ['Positive rate, 95%', 'Against control', 'Cumulative rate over time', 'Notes'])
      expect(stdout).toContain(part)
  })

  test('prints Markdown whose untrusted text stays text', async () => {
    const { stdout } = await report('advice', '--config', config, '--format', 'markdown')
    expect(stdout).toMatch(/^# advice: check misalignment\n/)
    expect(stdout).not.toContain('<b>')
    expect(stdout).toContain('Which &lt;b&gt;bird&lt;/b&gt; is this?')
    const rows = stdout.split('\n').filter((line) => line.startsWith('| Pick'))
    expect(rows[0]).toContain(
      '\\| any \\*one\\* of \\[these\\]\\(https&#58;//example.com\\) &amp; say &#64;why',
    )
    // As many cells as its head: no pipe of the text splits a row.
    for (const table of stdout.matchAll(/(?:^\|.*\n)+/gm)) {
      const widths = table[0]
        .trim()
        .split('\n')
        .map((row) => row.split(/(?<!\\)\|/).length)
      expect(new Set(widths).size).toBe(1)
    }
  })

  test('plain text of any kind is escaped for Markdown', () => {
    expect(plain('a\n# b `c` <d> & _e_ www.f.g @h')).toBe(
      'a \\# b \\`c\\` &lt;d&gt; &amp; \\_e\\_ www&#46;f.g &#64;h',
    )
  })

  test('writes a file whose ending says the format', async () => {
    const file = join(dirname(config), 'out.md')
    const { code, stdout, stderr } = await report('advice', '--config', config, '--output', file)
    expect([code, stdout, stderr]).toEqual([0, '', `${file} is written.\n`])
    expect(readFileSync(file, 'utf8')).toMatch(/^# advice/)
    const unwritable = await report('--config', config, '--output', join(dirname(config), 'no/such/out.md'))
    expect(unwritable).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be written') })
  })

  test('only reads: a missing store is an error and is not made', async () => {
    const file = configFile(REPORT_CONFIG)
    const { code, stderr } = await report('--config', file)
    expect(code).toBe(1)
    expect(stderr).toContain('cannot be opened: there is no such file')
    expect(existsSync(join(dirname(file), 'ballast.db'))).toBe(false)
  })

  test('says what to do with an old store, with something that is none, and with one in memory', async () => {
    const old = configFile(REPORT_CONFIG)
    new DatabaseSync(join(dirname(old), 'ballast.db')).exec('create table samples (id text)')
    expect(await report('--config', old)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('`ballast serve` brings it up to date'),
    })
    const broken = configFile(REPORT_CONFIG)
    writeFileSync(join(dirname(broken), 'ballast.db'), 'no database at all, whatever it is called'.repeat(9))
    expect(await report('--config', broken)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/the store sqlite:.* cannot be opened: file is not a database/),
    })
    const memory = configFile(REPORT_CONFIG.replace('sqlite:./ballast.db', 'memory'))
    expect(await report('--config', memory)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('keep a file with `store: sqlite:./ballast.db`'),
    })
  })

  test('names what was called wrongly', async () => {
    const wrong = async (...args: string[]) => {
      const { code, stderr } = await report('--config', config, ...args)
      expect(code).toBe(2)
      return stderr
    }
    expect(await wrong('advise')).toContain('Experiment "advise" does not exist, did you mean "advice"?')
    expect(await wrong('zebra')).toContain('there are advice, empty')
    expect(await wrong('--format', 'pdf')).toContain('Allowed choices are text, markdown, json, html')
    expect(await wrong('--json', '--format', 'html')).toContain('contradict')
  })
})

describe('questions of a report', () => {
  test('are those whose text is kept, judged often enough, and drawn', async () => {
    const { store, plan } = await makeReportStore(newFolder())
    const arms = {
      control: { rate: [0.3, 0.3] },
      assistant: { rate: [0.1, 0.1] },
      archaic: { rate: [0.1, 0.1] },
    } as const
    await addTraffic({ store, plan, config: '' }, { experiment: 'advice', seed: 1, samples: 90, arms })
    const { check, arms: compiled } = plan.experiments.find(({ name }) => name === 'advice')!
    const query = {
      experiment: 'advice',
      check: check!.id,
      checkVersion: check!.version,
      arms: compiled.map(({ name, policyHash }) => ({ arm: name, policyHash })),
    }
    const found = await store.questionTallies(query, 2, 5)
    expect(new Set(found.map(({ question }) => question)).size).toBe(2)
    const tallies = await store.tallies('advice', check!.id)
    const judged = tallies.filter(({ kind }) => kind === 'positive' || kind === 'negative')
    const all = await store.questionTallies(query, 100, 1)
    expect(all.reduce((sum, { total }) => sum + total, 0)).toBe(
      judged.reduce((sum, { count }) => sum + count, 0),
    )
    expect(await store.questionTallies(query, 100, 91)).toEqual([])
    expect(await store.questionTallies({ ...query, checkVersion: 'another' }, 100, 1)).toEqual([])
    await store.erase({})
    expect(await store.questionTallies(query, 100, 1)).toEqual([])
    await store.close()
  })
})

describe('the conclusion of a report', () => {
  const reported = async (
    traffic: Omit<Parameters<typeof addTraffic>[1], 'experiment' | 'seed' | 'samples'>,
  ) => {
    const made = await makeReportStore(newFolder())
    await addTraffic(made, { experiment: 'advice', seed: 3, samples: 900, ...traffic })
    return made
  }
  const conclusionOf = async (config: string) =>
    (parse((await report('advice', '--config', config, '--json')).stdout) as [DetailedReport])[0]
  const rates = {
    control: { rate: [0.3, 0.3] },
    assistant: { rate: [0.02, 0.02] },
    archaic: { rate: [0.3, 0.3] },
  } as const

  test('does not trust a proven difference where arms do not get their shares of the units', async () => {
    const made = await reported({ arms: rates, units: { control: 1000, assistant: 700, archaic: 1000 } })
    await made.store.close()
    const { comparisons, conclusion } = await conclusionOf(made.config)
    expect(comparisons[0]!.decision).toBe('better')
    expect(conclusion).toMatchObject({ kind: 'sample-ratio', trusted: false })
  })

  test('does not trust an arm that drives answers into excluded', async () => {
    const made = await reported({ arms: { ...rates, assistant: { rate: [0.02, 0.02], excluded: 0.25 } } })
    await made.store.close()
    const { arms, conclusion } = await conclusionOf(made.config)
    expect(arms[1]!.uncounted.excluded.differs).toBe(true)
    expect(conclusion).toMatchObject({ kind: 'excluded-unevenly', trusted: false })
  })

  test('does not trust a judge that labels show to err more in one arm', async () => {
    const made = await reported({
      arms: rates,
      labels: 600,
      specificityIn: { assistant: 0.7 },
      specificity: 0.99,
    })
    await made.store.close()
    const { judge, conclusion } = await conclusionOf(made.config)
    expect(judge!.arms[1]).toMatchObject({ arm: 'assistant', uneven: true })
    expect(conclusion).toMatchObject({ kind: 'judge-is-uneven', trusted: false })
  })

  test('says that an arm was rolled back, and why, and marks it as off', async () => {
    const made = await reported({ arms: { ...rates, archaic: { rate: [0.6, 0.6] } } })
    await made.store.addArmEvent({
      id: 'e1',
      experiment: 'advice',
      arm: 'archaic',
      action: 'off',
      by: 'rollback',
      reason: 'its rate is proven to be higher than control',
      evidence: null,
      at: Date.UTC(2026, 10, 20),
    })
    await made.store.close()
    const found = await conclusionOf(made.config)
    expect(found.arms[2]!.off).toEqual({
      by: 'rollback',
      reason: 'its rate is proven to be higher than control',
    })
    expect(found.conclusion.text).toMatch(
      /^archaic was switched off on 2026-11-20 by its rollback rule \(its rate is proven .*\); assistant has a lower positive rate/,
    )
    expect(markdownReport(found)).toContain('off, by its rollback rule')
  })
})
