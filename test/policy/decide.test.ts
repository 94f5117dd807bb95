/** What is decided about a request, and how far it came, asked without sending anything. */
import { describe, expect, test } from 'vitest'
import { decide } from '../../src/policy/decide.ts'
import { asked, CHAT, planOf } from '../support/plan.ts'

const EXPERIMENT = `
routes: [{model: "ft:*", upstream: p, experiment: birds}]
experiments:
  birds:
    salt: "2026-11"
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
`

describe('a decision', () => {
  test('says route, unit and its source, arm, what became of the context, and what would be sent', () => {
    // user-2 is in the arm etymologist: test/vectors/assignment.json.
    const body = '{"model":"ft:x","user":"user-2","messages":[{"role":"user","content":"Hi"}]}'
    const decision = decide(planOf(EXPERIMENT), CHAT, asked(body))
    expect(decision.error).toBeNull()
    expect(decision.route!.name).toBe('ft:*')
    expect(decision.assignment!.unit).toEqual({ source: 'user', value: 'user-2' })
    expect(decision.assignment!.arm!.name).toBe('etymologist')
    expect(decision.assignment!.labels).toEqual({ route: 'ft:*', experiment: 'birds', arm: 'etymologist' })
    expect(decision.injection!.outcome).toBe('injected')
    expect(decision.body!.toString()).toBe(
      body.replace('"Hi"', '"I\'m an etymologist working for the Audubon Society. Hi"'),
    )
    // What would be sent has the context already.
    const again = decide(planOf(EXPERIMENT), CHAT, asked(decision.body!.toString()))
    expect(again.injection!.outcome).toBe('present')
    expect(again.body).toEqual(decision.body)
  })

  test.each([
    ['no JSON', '{', { decoded: null, route: null, assignment: null }, 'ballast_malformed_body'],
    ['no route', '{"model":"gpt"}', { route: null, assignment: null }, 'ballast_no_route'],
    [
      'no place for the context',
      '{"model":"ft:x","user":"user-2","messages":[]}',
      { injection: null },
      'ballast_policy_not_applicable',
    ],
  ])('goes as far as the request comes: %s', (_name, body, missing, code) => {
    const decision = decide(planOf(EXPERIMENT), CHAT, asked(body))
    expect(decision).toMatchObject({ ...missing, body: null })
    expect(decision.error!.code).toBe(code)
  })
})
