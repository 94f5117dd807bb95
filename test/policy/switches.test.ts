/** Switches of arms: what the configuration says, what rules and people do, and what becomes of a request. */
import { describe, expect, test } from 'vitest'
import { applyArmEvents, armStatesOf } from '../../src/node/arm-events.ts'
import { decide } from '../../src/policy/decide.ts'
import { armEvent } from '../support/arm-events.ts'
import { asked, CHAT, planOf } from '../support/plan.ts'

// user-2 is in the arm etymologist: test/vectors/assignment.json.
const plan = (settings = '', arm = '') =>
  planOf(`
routes: [{model: "ft:*", upstream: p, experiment: birds}]
experiments:
  birds:
    salt: "2026-11"
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist${arm}}}
    ${settings}
`)
const of = (arm: string, action: 'off' | 'on' | 'promoted', by: 'person' | 'rollback' = 'person') =>
  armEvent({ experiment: 'birds', arm, action, by })

const ask = (it: ReturnType<typeof plan>, user: string) =>
  decide(
    it,
    CHAT,
    asked(JSON.stringify({ model: 'ft:x', user, messages: [{ role: 'user', content: 'Hi' }] })),
  )
const treated = (it: ReturnType<typeof plan>, user: string) => ask(it, user).injection!.outcome === 'injected'
const users = Array.from({ length: 20 }, (_, index) => `user-${index}`)

describe('an arm', () => {
  test('that is off is not injected, keeps its units, and is on again after a later event', () => {
    const it = plan()
    applyArmEvents(it, [of('etymologist', 'off', 'rollback')])
    expect(ask(it, 'user-2')).toMatchObject({
      assignment: { standing: 'off', arm: null, treated: null, drawn: { name: 'etymologist' } },
      injection: { outcome: 'none' },
    })
    expect(armStatesOf(it)).toMatchObject([
      { arm: 'control', state: 'on', by: null, since: null },
      { arm: 'etymologist', state: 'off', by: 'rollback', since: expect.stringMatching(/^2023-.*Z$/) },
    ])
    applyArmEvents(it, [of('etymologist', 'on')])
    expect(ask(it, 'user-2').assignment!.standing).toBe('in')
  })

  test('that is promoted has its policy in force for the units of all arms, and none is counted', () => {
    const it = plan()
    const before = it.experiments[0]!.assignment
    applyArmEvents(it, [of('etymologist', 'promoted')])
    for (const user of users) {
      expect(treated(it, user)).toBe(true)
      expect(ask(it, user).assignment).toMatchObject({
        standing: 'promoted',
        arm: null,
        treated: { name: 'etymologist' },
        labels: { experiment: '', arm: '' },
      })
    }
    expect(it.experiments[0]!.assignment).not.toBe(before)
    applyArmEvents(it, [of('etymologist', 'on')])
    expect(it.experiments[0]!.assignment).toBe(before)
    expect(users.filter((user) => treated(it, user)).length).toBeLessThan(users.length)
  })

  test('that is promoted leaves ramp and holdout as they are', () => {
    for (const [settings, standing] of [
      ['ramp: 0', 'outside'],
      ['holdout: {share: 1}', 'holdout'],
    ] as const) {
      const it = standing === 'holdout' ? planOf(`${EXPERIMENT}\n${settings}`) : plan(settings)
      applyArmEvents(it, [of('etymologist', 'promoted')])
      expect(ask(it, 'user-2').assignment).toMatchObject({ standing, treated: null })
    }
  })

  test('that the configuration switches off stays off, whatever is done to it', () => {
    for (const [settings, arm] of [
      ['', ', off: true'],
      ['off: true', ''],
    ] as const) {
      const it = plan(settings, arm)
      for (const action of ['on', 'promoted', 'off'] as const) {
        applyArmEvents(it, [of('etymologist', action)])
        expect(users.filter((user) => treated(it, user))).toEqual([])
        expect(armStatesOf(it)[1]).toMatchObject({ state: 'off', by: 'config' })
      }
    }
  })

  test('that is promoted last is the one; events of other experiments and of arms that are gone do nothing', () => {
    const it = plan()
    applyArmEvents(it, [
      of('control', 'promoted'),
      of('etymologist', 'promoted'),
      of('gone', 'promoted'),
      armEvent({ experiment: 'other', arm: 'etymologist', action: 'off' }),
    ])
    expect(users.every((user) => treated(it, user))).toBe(true)
    applyArmEvents(it, [of('control', 'promoted'), of('gone', 'promoted')])
    expect(users.some((user) => treated(it, user))).toBe(false)
  })
})

const EXPERIMENT = `
routes: [{model: "ft:*", upstream: p, experiment: birds}]
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
`
