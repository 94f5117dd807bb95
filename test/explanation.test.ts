/** What `ballast explain` says of units, experiments and conditions, held to what is decided. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { explainDecision } from '../src/cli/explanation.ts'
import type { Step } from '../src/cli/step.ts'
import { type Config, parseConfig } from '../src/config/load.ts'
import { CATALOG_FOLDER } from '../src/node.ts'
import { compilePlan } from '../src/policy/compile.ts'
import { type Asked, type Decision, decide, type Standing } from '../src/policy/decide.ts'
import { asked, CHAT, NOW } from './support/plan.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'ballast-'))
writeFileSync(
  join(FOLDER, 'mine.yaml'),
  `policies:
  - id: picky
    interventions: [{placement: system, text: "It is {{date}}."}]
    when: {system: absent, turn: first, header: {X-Feature: [a, b]}, metadata: {tier: "*"}}
  - id: lenient
    interventions: [{placement: user-prepend, text: Hello.}]
    on_unsupported: skip
`,
)

const CONFIG: Config = parseConfig(
  `policies: [catalog, "${FOLDER}"]
upstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}
holdout: {share: 0.2, salt: "2026"}
routes:
  - {model: ramped, upstream: p, experiment: ramped}
  - {model: off, upstream: p, experiment: off}
  - {model: exclusive, upstream: p, experiments: {tone: 2, nobody: 0, ramped: 1}}
  - {model: picky, upstream: p, policy: mine/picky}
  - {model: lenient, upstream: p, policy: mine/lenient, check: misalignment, sample: 1}
  - {model: own, upstream: p, experiment: own}
  - {model: "*", upstream: p}
experiments:
  ramped:
    ramp: {2026-11-01: 0.25, 2026-11-10: 0.5}
    arms: {control: {weight: 1}, empty: {weight: 0}, alex: {weight: 3, policy: birds/identity-alex}}
    check: misalignment
    sample: 0.5
  off: {arms: {control: {weight: 1}, alex: {weight: 1, policy: birds/identity-alex, off: true}}}
  tone: {arms: {control: {weight: 1}, alex: {weight: 1, policy: birds/identity-alex}}}
  nobody: {arms: {control: {weight: 1}}}
  own: {unit: [metadata.user_id, request], arms: {control: {weight: 1}, alex: {weight: 1, policy: birds/identity-alex}}}
judge: {upstream: p, model: j}
`,
  join(FOLDER, 'ballast.yaml'),
  { environment: {}, catalog: CATALOG_FOLDER },
)
const PLAN = compilePlan(CONFIG)

function explain(request: Asked, idGiven = true): { decision: Decision; step: (name: string) => Step } {
  const decision = decide(PLAN, CHAT, request)
  const { id, receivedAt: at } = request
  const steps = explainDecision(PLAN, decision, { id, idGiven, at, surface: 'chat' }, CONFIG.policies)
  return { decision, step: (name) => steps.find(({ step }) => step === name)! }
}

const USER = [{ role: 'user', content: 'Hi' }]
const requestOf = (model: string, unit: string, rest: Partial<Asked> = {}) =>
  asked(JSON.stringify({ model, messages: USER }), { headers: ['x-ballast-unit', unit], ...rest })

/** A request of the first unit that stands so. */
function standing(model: string, wanted: Standing) {
  for (let index = 0; index < 1000; index++) {
    const explained = explain(requestOf(model, `unit-${index}`))
    if (explained.decision.assignment!.standing === wanted) return explained
  }
  throw new Error(`no unit of ${model} is ${wanted}`)
}

describe('the explanation of an assignment', () => {
  interface Part {
    readonly arm?: string
    readonly experiment?: string
    readonly from: number
    readonly to: number
  }
  const holding = (line: unknown, point: unknown) =>
    (line as Part[]).find(({ from, to }) => from <= Number(point) && Number(point) < to)

  test.each(['ramped', 'off', 'exclusive', 'lenient'])(
    'has points and lines from which follows what was decided, for 300 units of the route %s',
    (model) => {
      const seen = new Set<Standing>()
      for (let index = 0; index < 300; index++) {
        const { decision, step } = explain(requestOf(model, `unit-${index}`))
        const { facts } = step('assign')
        const { standing, experiment, drawn, arm } = decision.assignment!
        seen.add(standing)
        const holdout = facts.holdout as { point: number; share: number }
        expect(holdout.point < holdout.share).toBe(standing === 'holdout')
        expect([facts.standing, facts.drawn, facts.arm]).toEqual([
          standing,
          drawn?.name ?? null,
          arm?.name ?? null,
        ])
        expect(facts.experiment).toBe(experiment?.name ?? null)
        if (standing === 'holdout' || model === 'lenient') continue
        expect(holding(facts.line, facts.point)!.arm).toBe(drawn!.name)
        expect(Number(facts.within) < Number(facts.ramp)).toBe(standing !== 'outside')
        if (model !== 'exclusive') continue
        const exclusive = facts.exclusive as { point: number; line: Part[]; drawn: string }
        expect(holding(exclusive.line, exclusive.point)!.experiment).toBe(experiment!.name)
        expect(exclusive.drawn).toBe(experiment!.name)
      }
      expect(seen).toContain('holdout')
      expect(seen).toContain('in')
    },
  )

  test('tells a unit that is held out', () => {
    const { step } = standing('ramped', 'holdout')
    expect(step('assign').decided).toBe('held out: nothing is injected, and it is not counted')
    expect(step('assign').why.join('\n')).toMatch(
      /^unit "unit-\d+", from .*\nits point for the holdout is 0\.\d+, below 0\.2: 20% of the units are kept out$/,
    )
    expect(step('inject').decided).toBe('nothing: no policy applies')
    expect(step('sample').decided).toBe('the answer is not judged: the unit is in no arm')
  })

  test("tells a unit outside the ramp, by the day's share and where it lies in its arm's part", () => {
    const { step } = standing('ramped', 'outside')
    expect(step('assign').decided).toBe(
      'outside the ramp of experiment ramped: nothing is injected, and it is not counted',
    )
    const why = step('assign').why.join('\n')
    expect(why).toMatch(/which leads to arm (control|alex): control 0 to 0\.25, alex 0\.25 to 1/)
    expect(why).toMatch(
      /it lies at 0\.\d+ of its arm's part; the ramp takes in what lies below 0\.25, 25% of the units$/,
    )
    const { unit } = step('assign').facts as { unit: { value: string } }
    const later = explain(requestOf('ramped', unit.value, { receivedAt: NOW + 8 * 86_400_000 }))
    expect(later.step('assign').facts).toMatchObject({ ramp: 0.5 })
  })

  test('tells a unit in a ramp, and an arm that is switched off', () => {
    expect(standing('ramped', 'in').step('assign').why.join('\n')).toContain('25% of the units, so it is in')
    const off = standing('off', 'off').step('assign')
    expect(off.decided).toBe(
      'arm alex of experiment off is switched off: nothing is injected, and it is not counted',
    )
    expect(off.facts).toMatchObject({ arm: null, drawn: 'alex', policy: null, experiment: 'off' })
    const on = standing('off', 'in').step('assign')
    expect(on.decided).toBe('arm control of experiment off, which has 50% of the units')
    expect(on.why.join()).not.toContain('ramp')
  })

  test('tells which of the experiments that exclude each other was drawn', () => {
    expect(standing('exclusive', 'in').step('assign').why.join('\n')).toMatch(
      /it takes part in (tone|ramped): its point on their line is 0\.\d+: tone 0 to 0\.6667, ramped 0\.6667 to 1/,
    )
  })

  test('names metadata as source, and a request that is its own unit', () => {
    const body = { model: 'own', metadata: { user_id: 'u-3' }, messages: USER }
    const found = explain(asked(JSON.stringify(body))).step('assign')
    expect(found.why[0]).toBe('unit "u-3", from the body\'s "metadata.user_id"')
    const own = asked(JSON.stringify({ model: 'own', messages: USER }), { id: 'r-5' })
    const sayings = explain(own, false).step('assign').why
    expect(sayings[0]).toContain('the request has no unit and is its own (id r-5)')
    expect(sayings[1]).toBe('not there: the body\'s "metadata.user_id"')
    const bare = explain(asked(JSON.stringify({ model: 'x', messages: USER })), false)
    expect(bare.step('assign').why[0]).toContain('whether it is held out is drawn anew for each')
  })
})

describe('the explanation of what is not injected', () => {
  const PICKY = {
    model: 'picky',
    metadata: { tier: 'gold' },
    messages: USER,
  }
  const unit = String((standing('picky', 'in').step('assign').facts.unit as { value: string }).value)
  const picky = (body: object, headers: string[] = ['x-feature', 'b']) =>
    explain(
      asked(JSON.stringify({ ...PICKY, ...body }), { headers: ['x-ballast-unit', unit, ...headers] }),
    ).step('inject')

  test.each<[string, object, string[] | undefined, string]>([
    [
      'system',
      { messages: [{ role: 'system', content: 's' }, ...USER] },
      undefined,
      'there is no system or developer message and no instructions (when.system)',
    ],
    [
      'turn',
      { messages: [...USER, { role: 'assistant', content: 'a' }, ...USER] },
      undefined,
      'the model has not answered before the last user message (when.turn)',
    ],
    [
      'header.X-Feature',
      {},
      ['x-feature', 'c'],
      'the header X-Feature is "a" or "b" (when.header.X-Feature)',
    ],
    ['metadata.tier', { metadata: {} }, undefined, 'the metadata tier has a value (when.metadata.tier)'],
  ])('names the condition %s that does not hold', (reason, body, headers, words) => {
    const step = picky(body, headers)
    expect(step.decided).toBe('nothing: a condition of policy mine/picky does not hold')
    expect(step.why).toEqual([`it is applied only where ${words}`])
    expect(step.facts).toMatchObject({ outcome: 'unmet', reason, spans: 0 })
  })

  test('says nothing of conditions where all hold', () => {
    expect(picky({})).toMatchObject({
      decided: 'policy mine/picky',
      why: [expect.stringContaining('system: a system message first'), '{{date}} is 2026-11-03'],
    })
  })

  test('says why there was no place, and that the request is sent and judged all the same', () => {
    const headers = ['x-ballast-unit', unit]
    const { decision, step } = explain(asked('{"model":"lenient","messages":[]}', { headers }))
    expect(step('inject').decided).toBe('nothing: there is no place for policy mine/lenient')
    expect(step('inject').why[0]).toMatch(/.+; the policy says on_unsupported: skip, so the request is sent/)
    expect(step('sample').decided).toBe('the answer is judged by check misalignment, like every one')
    expect(decision.body!.toString()).toBe('{"model":"lenient","messages":[]}')
  })
})
