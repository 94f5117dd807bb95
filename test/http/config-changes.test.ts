/** The running configuration on the control plane, and what reloads did to it. */
import { expect, test } from 'vitest'
import type { ShownConfig, ShownStatus } from '../../src/http/api/api.ts'
import { startReloading } from '../support/reloading.ts'

const yaml = (salt: string) => `
store: memory
upstreams: {p: {base_url: "http://127.0.0.1:1/v1", api_key: sk-secret-of-p}}
routes: [{model: "ft:*", upstream: p, experiment: birds}, {model: "*", upstream: p}]
experiments:
  birds: {salt: "${salt}", arms: {control: {weight: 1}, treated: {weight: 1, policy: birds/identity-etymologist}}}
`

test('tells which configuration runs since when, what each reload changed, and why one was refused', async () => {
  const { ballast, change } = await startReloading(yaml('one'))
  const get = async <T>(path: string) => (await (await fetch(`${ballast.adminUrl}/api${path}`)).json()) as T
  const first = await get<ShownConfig>('/config')
  expect([first.hash, first.changes]).toEqual([ballast.config.hash, []])

  await change(yaml('two'))
  const second = await get<ShownConfig>('/config')
  expect(second.hash).not.toBe(first.hash)
  expect(Date.parse(second.since)).toBeGreaterThan(Date.parse(first.since))
  expect(second.changes).toEqual([
    {
      at: second.since,
      outcome: 'applied',
      hash: second.hash,
      changes: { experiments: { changed: ['birds'] } },
      problems: [],
    },
  ])
  expect(second.values).toMatchObject({ experiments: { birds: { salt: 'two' } } })

  await change(yaml('three').replace('upstream: p,', 'upstream: q,'), 'failed')
  const third = await get<ShownConfig>('/config')
  expect([third.hash, third.since]).toEqual([second.hash, second.since])
  expect(third.changes.map(({ outcome }) => outcome)).toEqual(['failed', 'applied'])
  expect(third.changes[0]!.problems.join()).toMatch(/ballast\.yaml:\d+:\d+: .*"q"/)
  const status = await get<ShownStatus>('/status')
  expect(status.config).toEqual({ hash: second.hash, since: second.since, failed_at: third.changes[0]!.at })
  expect(JSON.stringify([third, status])).not.toContain('sk-secret-of-p')
})
