/** What docs/workers.md says of alerts and of trying it locally, held to what there is. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/config/load.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'

const read = (file: string) => readFileSync(join(import.meta.dirname, '../..', file), 'utf8')
const DOCUMENT = read('docs/workers.md')

test('every alert is said to fire on Workers or not to, in the order of the runbook', () => {
  const { groups } = parse(read('deploy/prometheus/rules/alerts.yaml')) as {
    groups: { rules: { alert: string }[] }[]
  }
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert))
  const rows = [...DOCUMENT.matchAll(/^\| `(Ballast\w+)` \| (yes|no)\b/gm)].map(([, alert]) => alert)
  expect(rows).toEqual(alerts)
})

test('the configuration to try it with is accepted', () => {
  const yaml = [...DOCUMENT.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)]
    .map(([, text]) => text!)
    .find((text) => text.startsWith('upstreams:'))
  const { judge, admin, clients } = parseConfig(yaml!, 'local.yaml', {
    environment: {},
    catalog: CATALOG_FOLDER,
  })
  expect([judge?.models, admin.token, clients]).toEqual([['sandbox-judge'], undefined, undefined])
})

test('Git does not take the file of secrets along', () => {
  expect(read('.gitignore').split('\n')).toContain('.dev.vars*')
})
