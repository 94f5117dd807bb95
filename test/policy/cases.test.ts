/**
 * The policy language by example: each file of `cases/` is a request, a policy and the bytes that are sent, separated by
 * lines of dashes. Where the context is not put in, a last section says what became of it, or with what error the
 * request is refused; then nothing is sent.
 */
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Placement } from '../../src/domain/policy.ts'
import { type Decision, decide } from '../../src/policy/decide.ts'
import { SURFACES } from '../../src/policy/surfaces.ts'
import { asked, planOf } from '../support/plan.ts'

const FOLDER = join(import.meta.dirname, 'cases')
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'))
const BASE = '/v1'

interface Case {
  readonly path: string
  readonly headers: readonly string[]
  readonly body: string
  readonly policy: string
  readonly expected: string
  readonly outcome: string
}

/** Bytes as they are: one character of the text for each. */
function read(name: string): Case {
  const text = readFileSync(join(FOLDER, name), 'latin1').replace(/\n$/, '')
  const [request, policy, expected, outcome = 'injected'] = text
    .split(/^-{3,}$/m)
    .map((section) => section.replace(/^\n/, '').replace(/\n$/, ''))
  const [, path, head, body] = /^POST (\S+)\n((?:[^\n]+\n)*)\n([\s\S]*)$/.exec(request!)!
  const headers = [...head!.matchAll(/^([^:]+): (.*)$/gm)].flatMap(([, field, value]) => [field!, value!])
  return { path: path!, headers, body: body!, policy: policy!, expected: expected!, outcome: outcome }
}

function outcomeOf({ error, injection }: Decision): string {
  if (error !== null) return `${error.code}: ${error.message}`
  return injection!.reason === null ? injection!.outcome : `${injection!.outcome}: ${injection!.reason}`
}

describe('the policy language', () => {
  test.each(FILES)('%s', (name) => {
    const { path, headers, body, policy, expected, outcome } = read(name)
    const folder = mkdtempSync(join(tmpdir(), 'ballast-case-'))
    const entry = `policies:\n  - id: policy\n${policy.replace(/^/gm, '    ')}\n`
    writeFileSync(join(folder, 'case.yaml'), entry, 'latin1')
    const plan = planOf(`policies: ${folder}\nroutes: [{model: m, upstream: p, policy: case/policy}]`)
    const surface = SURFACES.get(path.slice(BASE.length))!
    const send = (bytes: string) =>
      decide(plan, surface, { ...asked(''), headers, body: Buffer.from(bytes, 'latin1') })

    const decision = send(body)
    expect(outcomeOf(decision)).toBe(outcome)
    expect(decision.body?.toString('latin1') ?? '').toBe(expected)
    // Whatever was sent is sent again as it is: by a retry, or by a second proxy in the row.
    if (decision.error === null) expect(send(expected).body?.toString('latin1')).toBe(expected)
    // An arm keeps its request whatever became of the context.
    expect(decision.assignment!.arm!.policyId).toBe('case/policy')
  })

  test('is shown on every surface, with every placement, condition and way out', () => {
    const cases = FILES.map(read)
    expect(cases.length).toBeGreaterThanOrEqual(40)
    for (const path of SURFACES.keys()) {
      const here = cases.filter((it) => it.path === BASE + path)
      for (const placement of Placement.options) {
        expect([path, here.some(({ policy }) => policy.includes(`placement: ${placement},`))]).toEqual([
          path,
          true,
        ])
      }
      for (const outcome of ['injected', 'unmet', 'unsupported', 'ballast_policy_not_applicable']) {
        expect([path, outcome, here.some((it) => it.outcome.startsWith(outcome))]).toEqual([
          path,
          outcome,
          true,
        ])
      }
    }
    for (const condition of ['system: absent', 'turn: first', 'header:', 'metadata:', 'skip', 'reject'])
      expect(cases.some(({ policy }) => policy.includes(condition))).toBe(true)
  })
})
