/** The configuration as it is served holds what runs, and no secret. */
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { shownConfig } from '../../src/config/shown.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'

const SECRETS = {
  ADMIN: 'the-admin-token',
  CLIENT: 'the-client-key',
  UPSTREAM: 'sk-the-upstream-key',
  HEADER: 'the-header-value',
  UNITS: 'the-key-that-units-are-hashed-with',
  DB: 'the-database-password',
}

const YAML = `
admin: {token: "\${ADMIN}"}
store: "postgres://user:\${DB}@db.example/ballast"
unit_key: "\${UNITS}"
clients: [{name: web, key: "\${CLIENT}"}]
upstreams:
  p: {base_url: "https://\${CLIENT}.example/v1", api_key: "\${UPSTREAM}", headers: {set: {x-key: "\${HEADER}"}}}
  q: {base_url: "https://q.example/v1"}
routes:
  - {model: "odd-\${UPSTREAM}", upstream: p}
  - {model: "*", upstream: q, experiment: birds}
experiments:
  birds: {arms: {control: {weight: 1}, treated: {weight: 1, policy: birds/identity-etymologist}}, salt: "\${UNITS}"}
`

test('a running configuration is shown with its defaults, and without what is secret, wherever it stands', () => {
  const options = { environment: SECRETS, catalog: CATALOG_FOLDER }
  const shown = shownConfig(parseConfig(YAML, 'ballast.yaml', options))
  const text = JSON.stringify(shown)
  for (const secret of Object.values(SECRETS)) expect(text).not.toContain(secret)
  expect(shown).toMatchObject({
    listen: '127.0.0.1:8787',
    admin: { listen: '127.0.0.1:9464', token: '(hidden)' },
    store: 'postgres://db.example/ballast',
    clients: [{ name: 'web', key: '(hidden)' }],
    upstreams: {
      p: { base_url: '(hidden)', api_key: '(hidden)', headers: { set: { 'x-key': '(hidden)' } } },
      q: { base_url: 'https://q.example/v1', retries: 2 },
    },
    routes: [{ model: '(hidden)' }, { model: '*', experiment: 'birds' }],
    samples: { keep: 'full' },
    unit_key: '(hidden)',
  })
  expect(JSON.parse(text)).toEqual(shown)
})

test('that an upstream gets the clients’ own keys is no secret', () => {
  const yaml = `upstreams: {q: {base_url: "https://q.example/v1", api_key: passthrough}}\nroutes: [{model: "*", upstream: q}]\n`
  const config = parseConfig(yaml, 'ballast.yaml', { environment: {}, catalog: CATALOG_FOLDER })
  expect(shownConfig(config)).toMatchObject({ upstreams: { q: { api_key: 'passthrough' } } })
})
