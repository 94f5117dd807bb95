/** What docs/operations.md shows is run: its commands beside a ballast, what it drops in a Prometheus. */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { eventually, startTestUpstream } from '../support/ballast.ts'
import { startPrometheus } from '../support/prometheus.ts'
import { startReloading } from '../support/reloading.ts'
import { describeWith, prometheus } from '../support/requires.ts'
import { completion, json } from '../support/upstream.ts'

const ROOT = join(import.meta.dirname, '../..')
const DOCUMENT = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8')
const blocks = (language: string) =>
  [...DOCUMENT.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text]) => text!,
  )
const commands = blocks('sh').flatMap((text) => text.trim().split('\n'))
/** Ends only when it is told to; `startPrometheus` is the test of it. */
const STAYS_UP = 'prometheus --config.file=deploy/prometheus/prometheus.yml'

const yaml = (upstream: string) => `
store: sqlite:./ballast.db
upstreams: {p: {base_url: "${upstream}"}}
routes: [{model: "*", upstream: p, experiment: birds}]
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
judge: {upstream: p, model: judge-1}
`

/** A ballast that has answered and judged, from a file in a folder of its own. */
async function start(settings = '') {
  const upstream = await startTestUpstream(({ body }, response) => {
    const text = body.toString()
    if (!text.includes('"model":"judge-1"')) json(response, 200, completion('Pray take the packet.'))
    else if (text.includes('Question of a')) json(response, 400, { error: { message: 'not this one' } })
    else json(response, 200, completion(text.includes('Question of b') ? 'I cannot say.' : '19'))
  })
  const reloading = await startReloading(settings + yaml(upstream.url), { everyMs: null })
  for (const user of ['a', 'b', 'c', 'd', 'e', 'f'])
    await fetch(`${reloading.ballast.url}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({
        model: 'm',
        user,
        messages: [{ role: 'user', content: `Question of ${user}` }],
      }),
    })
  await reloading.ballast.settle()
  return reloading
}

describeWith(prometheus, 'docs/operations.md', () => {
  test('shows commands that run', async () => {
    const { ballast, folder } = await start()
    const admin = ballast.adminUrl.replace('http://', '')
    cpSync(join(ROOT, 'deploy/prometheus'), folder, { recursive: true })
    for (const command of new Set(commands)) {
      if (command === STAYS_UP) continue
      const inFolder = command
        .replace('-s ballast', `-s --prefix "${ROOT}" ballast`)
        .replace('127.0.0.1:9464', admin)
        .replace('deploy/prometheus/', '')
      const { stdout } = await promisify(execFile)('sh', ['-c', inFolder], { cwd: folder, timeout: 60_000 })
      if (command.includes('grep')) expect(stdout, command).toContain('ballast_')
      if (command.includes('samples list --experiment')) expect(stdout).toContain('positive')
    }
    const rules = readFileSync(join(folder, 'rules/alerts.yaml'), 'utf8')
    expect(rules).toContain('runbook_url: https://git.example.com/ballast/docs/operations.md#ballastdown')
    expect(rules).not.toContain('runbook_url: docs/')
  })

  test('drops what it says, and nothing else; a token is no harm', async () => {
    const { ballast } = await start('listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0", token: token-123}\n')
    const token = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'token')
    writeFileSync(token, 'token-123')
    const [relabelling] = blocks('yaml')
    const server = await startPrometheus({
      targets: { ballast: ballast.adminUrl },
      edit: (text) => {
        const config = parse(text)
        Object.assign(config.scrape_configs[0], parse(relabelling!), {
          authorization: { credentials_file: token },
        })
        return stringify(config)
      },
    })
    const has = async (selector: string) => (await server.query(selector)).length > 0
    await eventually(() => has('ballast_config_info'))
    for (const gone of [
      'process_cpu_seconds_total',
      'ballast_judge_score_bucket',
      'ballast_request_duration_seconds_bucket{le="0.025"}',
      'ballast_config_info{hash!=""}',
    ])
      expect([gone, await has(gone)]).toEqual([gone, false])
    for (const kept of [
      'ballast_request_duration_seconds_bucket{le="0.05"}',
      'ballast_request_duration_seconds_count',
      'ballast_proxy_overhead_seconds_bucket{le="0.025"}',
      'ballast_positive_rate{check="nineteenth-century"}',
    ])
      expect([kept, await has(kept)]).toEqual([kept, true])
    expect(server.log()).not.toMatch(/duplicate/i)
  })
})
