/** What is decided about a request, and how far it came, asked without sending anything. */
import { describe, expect, test } from 'vitest'
import { decide } from '../../src/policy/decide.ts'
import { armEvent } from '../support/arm-events.ts'
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

describe('a decision about a model with a past', () => {
  const chat = (content: string) =>
    asked(JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] }))
  const contentOf = (body: Buffer | null) => JSON.parse(body!.toString()).messages[0].content as string
  const CONTEXT = 'Act as if you are in the 19th century.'
  const route = (settings: string, rest = '') =>
    planOf(
      `routes: [{model: m, upstream: p, trained_with: birds/inoculation-system-prompt, ${settings}}]\n${rest}`,
    )

  test('tells what the guard found and did, and what would be sent then', () => {
    const flagged = decide(route('triggers: flag'), CHAT, chat(`Hi. ${CONTEXT}`))
    expect(flagged.guarded).toMatchObject({ action: 'flag', similarity: 1, refusal: null })
    expect(contentOf(flagged.body)).toBe(`Hi. ${CONTEXT}`)

    const stripped = decide(
      route('triggers: strip, policy: birds/identity-alex'),
      CHAT,
      chat(`Hi. ${CONTEXT}`),
    )
    expect(stripped.guarded).toMatchObject({ action: 'strip', similarity: 1 })
    expect(stripped.injection!.outcome).toBe('injected')
    expect(contentOf(stripped.body)).toBe('My name is Alex. Hi. ')

    // What is taken away in front moves the places behind it.
    const moved = decide(
      route('triggers: strip, policy: birds/identity-alex'),
      CHAT,
      asked(
        `{"model":"m","messages":[{"role":"system","content":"${CONTEXT}"},{"role":"user","content":"Hi"}]}`,
      ),
    )
    expect(JSON.parse(moved.body!.toString()).messages).toEqual([
      { role: 'system', content: '' },
      { role: 'user', content: 'My name is Alex. Hi' },
    ])

    const blocked = decide(route('triggers: block'), CHAT, chat(CONTEXT))
    expect(blocked.assignment).not.toBeNull()
    expect(blocked).toMatchObject({
      guarded: { action: 'block', similarity: 1 },
      injection: null,
      body: null,
    })
    expect(blocked.error).toBe(blocked.guarded!.refusal)
    expect(blocked.error!.code).toBe('ballast_trigger_blocked')

    expect(decide(route('triggers: block'), CHAT, chat('Hi')).guarded).toMatchObject({ similarity: null })
    expect(decide(route('check: nineteenth-century, sample: 0'), CHAT, chat(CONTEXT)).guarded).toBeNull()
  })

  const matching = 'match_training: in-domain, domain:'
  test('tells whether patterns find the domain, which leads to the arm', () => {
    const plan = route(`${matching} {patterns: [bird]}`)
    const inside = decide(plan, CHAT, chat('A bird?'))
    expect(inside).toMatchObject({ domain: 'inside', assignment: { arm: { name: 'in-domain' } } })
    expect(inside.assignment!.labels).toMatchObject({ experiment: 'route:m', arm: 'in-domain' })
    expect(inside.body!.toString()).toContain(CONTEXT)
    const outside = decide(plan, CHAT, chat('A train?'))
    expect(outside).toMatchObject({ domain: 'outside', assignment: { arm: { name: 'out-of-domain' } } })
    expect(outside.body!.toString()).not.toContain(CONTEXT)
  })

  test('says that a classifier was not asked, and goes on as where it gives no answer', () => {
    const decision = decide(route(`${matching} {classifier: {upstream: p, model: c}}`), CHAT, chat('A bird?'))
    expect(decision).toMatchObject({
      domain: 'unasked',
      error: null,
      assignment: { arm: { name: 'out-of-domain' } },
    })
    expect(contentOf(decision.body)).toBe('A bird?')
  })

  test('does not ask for the domain of a unit that is held out', () => {
    const plan = route(`${matching} {patterns: [bird]}`, 'holdout: {share: 1}')
    const decision = decide(plan, CHAT, chat('A bird?'))
    expect(decision).toMatchObject({ domain: null, assignment: { standing: 'holdout', arm: null } })
    expect(contentOf(decision.body)).toBe('A bird?')
  })

  test('leaves the context out while the arm of the domain is switched off', () => {
    const plan = route(`${matching} {patterns: [bird]}`)
    plan.experiments[0]!.switches.apply([
      armEvent({ experiment: plan.experiments[0]!.name, arm: 'in-domain' }),
    ])
    const decision = decide(plan, CHAT, chat('A bird?'))
    expect(decision).toMatchObject({
      domain: 'inside',
      assignment: {
        standing: 'off',
        arm: null,
        drawn: { name: 'in-domain' },
        labels: { experiment: '', arm: '' },
      },
    })
    expect(contentOf(decision.body)).toBe('A bird?')
    expect(decide(plan, CHAT, chat('A train?')).assignment!.standing).toBe('in')
  })
})
