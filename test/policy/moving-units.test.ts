/** Which units move when a configuration changes, and that none does otherwise: many units, replicas, properties. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assignArm, isHeldOut } from '../../src/policy/assign.ts'
import { chiSquareSurvival } from '../../src/stats/special/incomplete-gamma.ts'
import { startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { assignUnit, NOW, planOf } from '../support/plan.ts'
import { completion, json } from '../support/upstream.ts'

const MILLION = 1_000_000
const SLOW = 120_000

function goodnessOfFit(counts: readonly number[], weights: readonly number[]): number {
  const total = counts.reduce((a, b) => a + b)
  const weight = weights.reduce((a, b) => a + b)
  const terms = counts.map((count, index) => {
    const expected = (total * weights[index]!) / weight
    return (count - expected) ** 2 / expected
  })
  return chiSquareSurvival(
    terms.reduce((a, b) => a + b),
    counts.length - 1,
  )
}

function cumulative(weights: readonly number[]): { index: number; cumulativeWeight: number }[] {
  let sum = 0
  return weights.map((weight, index) => {
    sum += weight
    return { index, cumulativeWeight: sum }
  })
}

describe('a million units', () => {
  test('that do not fit would be told', () => {
    expect(goodnessOfFit([501_700, 498_300], [1, 1])).toBeLessThan(0.001)
    expect(goodnessOfFit([510_000, 490_000], [1, 1])).toBeLessThan(1e-80)
  })

  test.each([[[1, 1]], [[9, 1]], [[3, 2, 1]]])(
    'fill arms of weights %j as promised',
    (weights) => {
      const arms = cumulative(weights)
      const counts = weights.map(() => 0)
      for (let unit = 0; unit < MILLION; unit++)
        counts[assignArm('birds', '2026-11', `user-${unit}`, arms).arm.index]!++
      // The units are always the same: this cannot come out differently another time.
      expect(goodnessOfFit(counts, weights)).toBeGreaterThan(0.01)
    },
    SLOW,
  )
})

const experiment = (settings: string, rest = '') => `
routes: [{model: "m", upstream: p, experiment: birds}]
experiments: {birds: {${settings}, without_control: true}}
${rest}`
const arms = (weights: Record<string, number>) =>
  `arms: {${Object.entries(weights)
    .map(([arm, weight]) => `${arm}: {weight: ${weight}}`)
    .join(', ')}}`
const units = (count: number) => Array.from({ length: count }, (_, index) => `user-${index}`)

describe('a change of weights', () => {
  /** How many of the units move, by `from -> to`. */
  const moves = (before: Record<string, number>, after: Record<string, number>) => {
    const [old, young] = [planOf(experiment(arms(before))), planOf(experiment(arms(after)))]
    const moved: Record<string, number> = {}
    for (const unit of units(20_000)) {
      const [from, to] = [assignUnit(old, unit).arm!.name, assignUnit(young, unit).arm!.name]
      if (from !== to) moved[`${from} -> ${to}`] = (moved[`${from} -> ${to}`] ?? 0) + 1
    }
    return moved
  }

  test('from 9:1 to 8:2 moves units into the raised arm only, a tenth of all', () => {
    const moved = moves({ control: 9, treated: 1 }, { control: 8, treated: 2 })
    expect(Object.keys(moved)).toEqual(['control -> treated'])
    expect(Math.abs(moved['control -> treated']! - 2_000)).toBeLessThan(5 * Math.sqrt(20_000 * 0.1 * 0.9))
  })

  test('at the cost of the neighbour in the file moves units between these two only', () => {
    expect(Object.keys(moves({ a: 4, b: 4, c: 2 }, { a: 4, b: 3, c: 3 }))).toEqual(['b -> c'])
  })

  test('at the cost of an arm that is no neighbour moves units of the arms between too, as docs/experiments.md says', () => {
    expect(Object.keys(moves({ a: 4, b: 4, c: 2 }, { a: 3, b: 4, c: 3 })).sort()).toEqual([
      'a -> b',
      'b -> c',
    ])
  })

  test('of all by one factor moves none', () => {
    expect(moves({ a: 3, b: 2, c: 1 }, { a: 6, b: 4, c: 2 })).toEqual({})
  })
})

describe('a ramp', () => {
  test('raised, only takes units in, and moves none between arms', () => {
    const weight = fc.integer({ min: 0, max: 10 })
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(
        fc.tuple(fc.integer({ min: 1, max: 10 }), weight, weight),
        // What ${…} means in a configuration is tested elsewhere.
        fc.string().map((it) => it.replaceAll('$', '')),
        fc.tuple(share, share),
        fc.array(
          fc.string({ minLength: 1 }).filter((it) => it.trim() === it),
          { minLength: 20, maxLength: 20 },
        ),
        ([a, b, c], salt, ramps, names) => {
          const [low, high] = ramps.sort((x, y) => x - y)
          const text = `salt: ${JSON.stringify(salt)}, ${arms({ a, b, c })}`
          const [all, before, after] = [1, low!, high!].map((ramp) =>
            planOf(experiment(`${text}, ramp: ${JSON.stringify(ramp)}`)),
          )
          for (const unit of names) {
            const whole = assignUnit(all!, unit)
            expect(whole.standing).toBe('in')
            for (const plan of [before!, after!]) {
              const { standing, arm, drawn } = assignUnit(plan, unit)
              expect(drawn!.name).toBe(whole.arm!.name)
              expect(arm?.name ?? null).toBe(standing === 'in' ? whole.arm!.name : null)
            }
            if (assignUnit(before!, unit).standing === 'in')
              expect(assignUnit(after!, unit).standing).toBe('in')
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  test('takes in its share of each arm', () => {
    const plan = planOf(experiment(`${arms({ a: 3, b: 1 })}, ramp: 0.2`))
    const seen = { a: [0, 0], b: [0, 0] }
    for (const unit of units(40_000)) {
      const { standing, drawn } = assignUnit(plan, unit)
      seen[drawn!.name as 'a' | 'b'][standing === 'in' ? 0 : 1]!++
    }
    expect(goodnessOfFit(seen.a, [0.2, 0.8])).toBeGreaterThan(0.01)
    expect(goodnessOfFit(seen.b, [0.2, 0.8])).toBeGreaterThan(0.01)
  })

  test('follows its days, from midnight UTC on, in whatever order they stand', () => {
    const plan = planOf(
      experiment(`${arms({ a: 1 })}, ramp: {2026-11-08: 0.5, 2026-11-01: 0.1, "2026-12-01": 1}`),
    )
    const taken = (now: number) =>
      units(2_000).filter((unit) => assignUnit(plan, unit, { now }).standing === 'in').length / 2_000
    expect(taken(Date.UTC(2026, 9, 31, 23, 59, 59, 999))).toBe(0)
    expect(taken(Date.UTC(2026, 10, 1))).toBeCloseTo(0.1, 1)
    expect(taken(Date.UTC(2026, 10, 7, 23, 59, 59, 999))).toBe(taken(Date.UTC(2026, 10, 1)))
    expect(taken(Date.UTC(2026, 10, 8))).toBeCloseTo(0.5, 1)
    expect(taken(Date.UTC(2027, 0, 1))).toBe(1)
  })

  test('leaves a unit outside without labels, context and policy', () => {
    const plan = planOf(experiment(`${arms({ a: 1 })}, ramp: 0`))
    expect(assignUnit(plan, 'u')).toMatchObject({
      standing: 'outside',
      arm: null,
      drawn: { name: 'a' },
      labels: { route: 'm', experiment: '', arm: '' },
    })
  })
})

const EXCLUSIVE = `
routes:
  - {model: m, upstream: p, experiments: {first: 3, second: 1}}
  - {model: other, upstream: p, experiments: {first: 3, second: 1}}
experiments:
  first: {arms: {control: {weight: 1}, treated: {weight: 1, policy: birds/identity-alex}}}
  second: {arms: {control: {weight: 1}, treated: {weight: 2, policy: birds/identity-alex}}}
`

describe('experiments that exclude each other', () => {
  const plan = planOf(EXCLUSIVE)

  test('have each unit in one of them, the same on every route with the same list', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (unit) => {
        const [here, there] = [assignUnit(plan, unit), assignUnit(plan, unit, { model: 'other' })]
        expect(here.standing).toBe('in')
        expect(there.experiment).toBe(here.experiment)
        expect(there.arm).toBe(here.arm)
        expect(here.labels).toEqual({ route: 'm', experiment: here.experiment!.name, arm: here.arm!.name })
      }),
      { numRuns: 500 },
    )
  })

  test('share units by their weights, and do not tilt the arms of either', () => {
    const counts: Record<string, number> = {}
    for (const unit of units(40_000)) {
      const { experiment: it, arm } = assignUnit(plan, unit)
      const key = `${it!.name}/${arm!.name}`
      counts[key] = (counts[key] ?? 0) + 1
    }
    const cells = ['first/control', 'first/treated', 'second/control', 'second/treated'].map(
      (key) => counts[key]!,
    )
    expect(goodnessOfFit(cells, [3 / 8, 3 / 8, 1 / 12, 2 / 12])).toBeGreaterThan(0.01)
  })

  test('keep their units when one of them is switched off', () => {
    const off = planOf(EXCLUSIVE.replace('first: {arms', 'first: {off: true, arms'))
    for (const unit of units(500)) {
      const [before, after] = [assignUnit(plan, unit), assignUnit(off, unit)]
      expect([after.experiment!.name, after.drawn!.name]).toEqual([before.experiment!.name, before.arm!.name])
      expect(after.standing).toBe(before.experiment!.name === 'first' ? 'off' : 'in')
    }
  })
})

describe('a holdout', () => {
  const held = (share: number) => experiment(arms({ a: 1, b: 1 }), `holdout: {share: ${share}, salt: "2026"}`)

  test('raised, only adds units; lowered, gives them back to their arms', () => {
    const [none, low, high] = [0, 0.05, 0.3].map((share) => planOf(held(share)))
    for (const unit of units(3_000)) {
      const arm = assignUnit(none!, unit).arm!.name
      const [before, after] = [assignUnit(low!, unit), assignUnit(high!, unit)]
      if (before.standing === 'holdout') expect(after.standing).toBe('holdout')
      for (const it of [before, after]) if (it.standing === 'in') expect(it.arm!.name).toBe(arm)
    }
  })

  test('is independent of arms and of the choice among experiments', () => {
    const one = { holdout: { a: 0, b: 0 }, rest: { a: 0, b: 0 } }
    const plan = planOf(held(0))
    for (const unit of units(40_000)) {
      one[isHeldOut('2026', unit, 0.3) ? 'holdout' : 'rest'][assignUnit(plan, unit).arm!.name as 'a' | 'b']++
    }
    const cells = [one.holdout.a, one.holdout.b, one.rest.a, one.rest.b]
    expect(goodnessOfFit(cells, [0.15, 0.15, 0.35, 0.35])).toBeGreaterThan(0.01)
    const picks = { holdout: { first: 0, second: 0 }, rest: { first: 0, second: 0 } }
    const exclusive = planOf(EXCLUSIVE)
    for (const unit of units(40_000)) {
      const { experiment: it } = assignUnit(exclusive, unit)
      picks[isHeldOut('2026', unit, 0.3) ? 'holdout' : 'rest'][it!.name as 'first' | 'second']++
    }
    const { holdout, rest } = picks
    expect(
      goodnessOfFit(
        [holdout.first, holdout.second, rest.first, rest.second],
        [0.3 * 0.75, 0.3 * 0.25, 0.7 * 0.75, 0.7 * 0.25],
      ),
    ).toBeGreaterThan(0.01)
  })
})

const WHOLE = `${EXCLUSIVE.replace('first: {arms', 'first: {ramp: {2026-11-01: 0.5, 2027-01-01: 1}, salt: "7", arms')}
holdout: {share: 0.05, salt: "2026"}
`

describe('replicas', () => {
  test(
    'two processes, in other time zones, agree with this one on 100,000 units',
    async () => {
      const file = join(await mkdtemp(join(tmpdir(), 'ballast-')), 'plan.yaml')
      writeFileSync(file, WHOLE)
      const script = join(import.meta.dirname, '../support/assign-units.ts')
      const replica = async (zone: string, language: string) => {
        const env = { PATH: process.env.PATH, TZ: zone, LANG: language }
        const { stdout } = await promisify(execFile)(
          process.execPath,
          [script, file, '100000', String(NOW)],
          { env, maxBuffer: 64 * 1024 * 1024 },
        )
        return stdout
      }
      const [east, west] = await Promise.all([
        replica('Pacific/Kiritimati', 'tr_TR.UTF-8'),
        replica('Pacific/Pago_Pago', 'C'),
      ])
      expect(east.split('\n')).toHaveLength(100_001)
      expect(east === west).toBe(true)
      const plan = planOf(WHOLE)
      const here = units(100_000).map((unit) => {
        const { standing, experiment: it, drawn } = assignUnit(plan, unit)
        return `${unit} ${standing} ${it?.name ?? ''} ${drawn?.name ?? ''}\n`
      })
      expect(here.join('') === east).toBe(true)
      for (const standing of ['in', 'outside', 'holdout']) expect(east).toContain(` ${standing} `)
    },
    SLOW,
  )

  test('two proxies serve a unit under the arm that the plan says', async () => {
    const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('x')))
    const yaml = `store: memory\nexpose: true\nupstreams: {p: {base_url: "${upstream.url}"}}\n${WHOLE.replace(/ramp: \{[^}]*\}/, 'ramp: 0.5')}`
    const proxies = [await startTestBallast(yaml), await startTestBallast(yaml)]
    const standings = new Set<string>()
    for (const unit of units(60)) {
      const said = assignUnit(proxies[0]!.plan, unit)
      standings.add(said.standing)
      for (const { url } of proxies) {
        const response = await fetch(`${url}/chat/completions`, {
          method: 'POST',
          headers: { 'x-ballast-unit': unit },
          body: '{"model":"m","messages":[{"role":"user","content":"Hi"}]}',
        })
        expect([
          response.headers.get('x-ballast-experiment'),
          response.headers.get('x-ballast-arm'),
          response.headers.get('x-ballast-policy'),
        ]).toEqual([
          said.arm === null ? null : said.experiment!.name,
          said.arm?.name ?? null,
          said.arm?.policyId ?? null,
        ])
      }
    }
    expect([...standings].sort()).toEqual(['holdout', 'in', 'outside'])
  })
})
