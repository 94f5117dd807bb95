/** `ballast arms` and `explain --arms`, as processes, on a store that nobody else has open. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ballast, configFile } from './support/command.ts'

const yaml = (store: string, settings = '') => `
store: "${store}"
upstreams: {p: {base_url: "http://127.0.0.1:9/v1"}}
routes:
  - {model: "ft:*", upstream: p, experiment: birds}
  - {model: "*", upstream: p, policy: birds/identity-alex}
experiments:
  birds:
    salt: "2026-11"
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    ${settings}
`
const newStore = () => `sqlite:${join(mkdtempSync(join(tmpdir(), 'ballast-arms-')), 'ballast.db')}`
const arms = (file: string, ...args: readonly string[]) =>
  ballast(['arms', ...args, '--config', file]).finished

describe('ballast arms', () => {
  test('shows how arms stand and what was done to them, in text and as JSON', async () => {
    const file = configFile(yaml(newStore()))
    const untouched = await arms(file)
    expect(untouched).toMatchObject({ code: 0, stderr: '' })
    expect(untouched.stdout).toMatch(
      /^birds\n {2}control +nothing injected +on\n {2}etymologist +birds\/identity-etymologist +on\n\nroute:\*\n/,
    )
    const off = await arms(file, 'off', 'birds', 'etymologist', '--reason', 'odd \u001b[2Janswers')
    expect(off.code).toBe(0)
    expect(off.stdout).toMatch(/etymologist .* off since \d{4}-\d\d-\d\d \d\d:\d\d UTC, by a person\n/)
    expect(off.stdout).toContain('odd \\u001b[2Janswers')
    expect(off.stdout).not.toContain('\u001b')
    const { stdout } = await arms(file, 'list', 'birds', '--json')
    expect(JSON.parse(stdout)).toEqual({
      experiment: 'birds',
      arms: [
        { arm: 'control', policy: null, state: 'on', by: null, since: null, reason: null },
        {
          arm: 'etymologist',
          policy: 'birds/identity-etymologist',
          state: 'off',
          by: 'person',
          since: expect.stringMatching(/^\d{4}-.*Z$/),
          reason: 'odd \u001b[2Janswers',
        },
      ],
      history: [expect.objectContaining({ arm: 'etymologist', action: 'off', by: 'person', evidence: null })],
    })

    // user-2 is in the arm etymologist: test/vectors/assignment.json.
    const explain = (...args: readonly string[]) =>
      ballast(
        ['explain', '--config', file, ...args],
        {},
        '{"model":"ft:x","user":"user-2","messages":[{"role":"user","content":"Hi"}]}',
      ).finished
    expect((await explain('--arms')).stdout).toMatch(
      /arm etymologist of experiment birds is switched off[\s\S]*by a person/,
    )
    expect((await explain()).stdout).not.toContain('switched off')
    await arms(file, 'promote', 'birds', 'etymologist', '--reason', 'fine')
    expect((await explain('--arms')).stdout).toContain(
      'arm etymologist of experiment birds is promoted: its policy is for all',
    )
  })

  test.each([
    ['no reason', ['off', 'birds', 'etymologist'], "required option '--reason <text>' not specified"],
    ['an empty reason', ['off', 'birds', 'etymologist', '--reason', ' '], '--reason is empty'],
    [
      'an experiment that is none',
      ['off', 'bird', 'etymologist', '--reason', 'x'],
      'Experiment "bird" does not exist, did you mean "birds"?',
    ],
    [
      'an arm that is none',
      ['off', 'birds', 'other', '--reason', 'x'],
      'Experiment "birds" has no arm "other"; there are control, etymologist.',
    ],
    [
      'a promotion where there is one arm',
      ['promote', 'route:*', 'birds/identity-alex', '--reason', 'x'],
      '"route:*" is no experiment with several arms',
    ],
  ])('called with %s says so', async (_name, args, message) => {
    const { code, stdout, stderr } = await arms(configFile(yaml(newStore())), ...args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(message)
  })

  test('says what to do where the store is in memory, or the configuration has the last word', async () => {
    const memory = await arms(configFile(yaml('memory')), 'off', 'birds', 'etymologist', '--reason', 'x')
    expect(memory.code).toBe(2)
    expect(memory.stderr).toContain('(store: memory), which only the running ballast can see')
    const off = configFile(yaml(newStore(), 'off: true'))
    const { code, stderr } = await arms(off, 'on', 'birds', 'etymologist', '--reason', 'x')
    expect(code).toBe(2)
    expect(stderr).toContain('is off in the configuration, which nothing overrules: take `off` out there')
  })

  test('has help with an example for each of its commands', async () => {
    for (const args of [[], ['off'], ['on'], ['promote'], ['list']]) {
      const { code, stdout } = await ballast(['arms', ...args, '--help']).finished
      expect([code, stdout]).toEqual([0, expect.stringMatching(/Examples?:\n {2}ballast arms/)])
    }
  })
})
