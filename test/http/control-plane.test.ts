/** Metrics, health, the page and the JSON behind it. */
import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { describeWith, promtool } from '../support/requires.ts'
import { completion, json } from '../support/upstream.ts'

const YAML = `
store: memory
upstreams: {p: {base_url: "\${UPSTREAM}"}}
routes:
  - {model: "ft:*", upstream: p, experiment: birds}
  - {model: "solo", upstream: p, check: misalignment, sample: 1}
  - {model: "<b>*", upstream: p, check: misalignment, sample: 0}
  - {model: "*", upstream: p}
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
judge: {upstream: p, model: judge-1, attempts: 1}
`

async function start(extra = '') {
  const upstream = await startTestUpstream((request, response) => {
    const { model } = JSON.parse(request.body.toString()) as { model: string }
    json(response, 200, completion(model === 'judge-1' ? 'LLM' : 'hello'))
  })
  const ballast = await startTestBallast(YAML + extra, { UPSTREAM: upstream.url })
  const ask = (model: string, user: string) =>
    fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model, user, messages: [{ role: 'user', content: 'Hi' }] }),
    })
  return { ballast, ask }
}

describe('the control plane', () => {
  test('says that it lives and is ready', async () => {
    const { ballast } = await start()
    expect((await fetch(`${ballast.adminUrl}/healthz`)).status).toBe(200)
    expect((await fetch(`${ballast.adminUrl}/readyz`)).status).toBe(200)
  })

  test('gives the reports as JSON, a route without an experiment among them', async () => {
    const { ballast, ask } = await start()
    await ask('solo', 'u')
    await ballast.settle()
    const reports = (await (await fetch(`${ballast.adminUrl}/api/experiments`)).json()) as Record<
      string,
      unknown
    >[]
    expect(reports.map(({ experiment, check }) => [experiment, check])).toEqual([
      ['birds', 'nineteenth-century'],
      ['route:solo', 'misalignment'],
      ['route:<b>*', 'misalignment'],
    ])
    expect(reports[1]).toMatchObject({
      arms: [{ arm: 'control', policy: null, exposures: 1, samples: 1, verdicts: { unparsed: 1 } }],
      comparisons: [],
    })
    expect(reports[0]).toMatchObject({ arms: [{ rate: { estimate: null, lower: 0, upper: 1 } }, {}] })
  })

  test('serves a page that may fetch, run and show nothing but its own files', async () => {
    const { ballast } = await start()
    const response = await fetch(`${ballast.adminUrl}/`)
    const page = await response.text()
    const policy = response.headers.get('content-security-policy')!.split('; ')
    expect(policy.filter((it) => /unsafe|https?:|\*|data:/.test(it))).toEqual([])
    expect(policy).toEqual(
      expect.arrayContaining([
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
      ]),
    )
    expect(page).not.toMatch(/<style|\son\w+=|\sstyle=|<script(?![^>]*\ssrc=)|https?:/)
    const types = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' } as Record<string, string>
    const files = [...page.matchAll(/(?:src|href)="(\/page\/[^"]+)"/g)].map((match) => match[1]!)
    expect(files.length).toBeGreaterThan(4)
    for (const file of files) {
      const { status, headers } = await fetch(`${ballast.adminUrl}${file}`)
      expect([file, status]).toEqual([file, 200])
      expect(headers.get('content-type')).toContain(types[file.split('.').at(-1)!])
      expect(headers.get('x-content-type-options')).toBe('nosniff')
    }
    const main = await fetch(`${ballast.adminUrl}/page/main.js`)
    const again = { headers: { 'if-none-match': main.headers.get('etag')! } }
    expect((await fetch(`${ballast.adminUrl}/page/main.js`, again)).status).toBe(304)
    expect((await fetch(`${ballast.adminUrl}/page/tsconfig.json`)).status).toBe(404)
  })

  test('asks for its token, for all but metrics and health', async () => {
    const { ballast } = await start(
      'admin: {listen: "127.0.0.1:0", token: admin-token-1}\nlisten: 127.0.0.1:0\n',
    )
    const status = async (path: string, authorization = '') =>
      (await fetch(`${ballast.adminUrl}${path}`, { headers: { authorization } })).status
    expect(await Promise.all(['/metrics', '/healthz', '/readyz'].map((path) => status(path)))).toEqual([
      200, 200, 200,
    ])
    expect(
      await Promise.all(
        ['/', '/page/main.js', '/api/experiments', '/api/config'].map((path) => status(path)),
      ),
    ).toEqual([401, 401, 401, 401])
    expect(await status('/api/config', 'Bearer admin-token-1')).toBe(200)
    expect(await status('/', `Basic ${btoa('ballast:admin-token-1')}`)).toBe(200)
    expect(await status('/api/config', 'Bearer admin-token-2')).toBe(401)
  })

  test('puts no model name of a client into a label', async () => {
    const { ballast, ask } = await start()
    await ask('gpt-hostile{"}\n', 'u')
    const unrouted = await startTestBallast(
      'store: memory\nupstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}\nroutes: [{model: "a", upstream: p}]\n',
    )
    await fetch(`${unrouted.url}/chat/completions`, { method: 'POST', body: '{"model":"gpt-hostile"}' })
    expect(await ballast.metrics()).not.toContain('gpt-hostile')
    expect(await unrouted.metrics()).toContain(
      'ballast_requests_total{route="other",experiment="",arm="",code="404"} 1',
    )
    expect(await unrouted.metrics()).not.toContain('gpt-hostile')
  })
})

describeWith(promtool, "Prometheus' own checker", () => {
  test('accepts the metrics of a ballast that has worked', async () => {
    const { ballast, ask } = await start()
    for (const user of ['a', 'b', 'c', 'x', 'y']) await ask('ft:birds', user)
    await ask('solo', 'u')
    await ballast.settle()
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: await ballast.metrics(),
    })
    expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('ballast_'))).toEqual([])
    expect([0, 3]).toContain(status)
  })
})
