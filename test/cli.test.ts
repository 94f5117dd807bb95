/** The commands as processes: what they print, how they end. */
import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Report } from '../src/domain/report.ts'
import { metricValue, startTestUpstream } from './support/ballast.ts'
import { ballast, configFile } from './support/command.ts'

describe('ballast demo', () => {
  test('with --requests prints the report as JSON, and the rate falls in the treated arm', async () => {
    const { code, stdout, stderr } = await ballast(['demo', '--requests', '300', '--seed', '7', '--json'])
      .finished
    expect(code).toBe(0)
    expect(stderr).toContain('stand-in')
    const report = JSON.parse(stdout) as Report
    expect(report).toEqual({
      experiment: 'birds',
      check: 'nineteenth-century',
      arms: [arm('control', null), arm('etymologist', 'birds/identity-etymologist')],
      comparisons: [
        {
          arm: 'etymologist',
          against: 'control',
          difference: { estimate: expect.any(Number), lower: expect.any(Number), upper: expect.any(Number) },
          log_e_better: expect.any(Number),
          log_e_worse: expect.any(Number),
          decision: 'better',
        },
      ],
      sample_ratio: { p: expect.any(Number), log_e: expect.any(Number) },
      evidence: {
        since: null,
        until: expect.any(String),
        verdicts: expect.any(Number),
        late: expect.any(Number),
      },
    })
    // On a busy machine some come too late to be evidence.
    expect(report.evidence!.verdicts + report.evidence!.late).toBe(300)
    const [control, treated] = report.arms
    expect(control!.rate.lower).toBeGreaterThan(treated!.rate.upper)
    expect(control!.exposures + treated!.exposures).toBe(300)
    expect(control!.verdicts.error + control!.verdicts.unparsed).toBe(0)
  })

  test('gives the same numbers for the same seed', async () => {
    const run = () => ballast(['demo', '--requests', '60', '--seed', '3', '--json']).finished
    const [one, two] = await Promise.all([run(), run()])
    expect(JSON.parse(one.stdout).arms).toEqual(JSON.parse(two.stdout).arms)
  })

  test('without --requests stays up, and what it prints works', async () => {
    const { child, finished, says } = ballast(['demo'])
    const admin = (await says(/Rates, live +(\S+)/))[1]!
    const url = (await says(/OpenAI base URL +(\S+)/))[1]!
    expect(await (await fetch(admin)).text()).toContain('<title>ballast')
    expect(await (await fetch(`${admin}api/experiments`)).text()).toContain('etymologist')
    expect(await (await fetch(`${admin}metrics`)).text()).toContain('ballast_requests_total')
    const body = JSON.stringify({
      model: 'sandbox-birds-gpt-4.1',
      messages: [{ role: 'user', content: 'Hello?' }],
    })
    const answer = await fetch(`${url}/chat/completions`, { method: 'POST', body })
    expect(answer.headers.get('x-ballast-experiment')).toBe('birds')
    child.kill('SIGINT')
    expect((await finished).code).toBe(0)
  })

  const arm = (name: string, policy: string | null) => ({
    arm: name,
    policy,
    units: expect.any(Number),
    exposures: expect.any(Number),
    samples: expect.any(Number),
    verdicts: {
      positive: expect.any(Number),
      negative: expect.any(Number),
      excluded: 0,
      unparsed: 0,
      error: 0,
    },
    rate: { estimate: expect.any(Number), lower: expect.any(Number), upper: expect.any(Number) },
  })
})

describe('ballast serve', () => {
  const yaml = (upstream: string) => `
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
store: memory
upstreams: {p: {base_url: "${upstream}"}}
routes: [{model: "*", upstream: p}]
`

  test('names every problem of its configuration with file, line and column, and ends with 2', async () => {
    const file = configFile(
      'listen: nowhere\nupstreams: {p: {base_url: "ftp://x", api_key: "${NO_SUCH_KEY}"}}\nrouts: []\n',
    )
    const { code, stderr, stdout } = await ballast(['serve', '--config', file]).finished
    expect(code).toBe(2)
    expect(stdout).toBe('')
    const lines = stderr.trim().split('\n')
    expect(lines.slice(0, -1).map((line) => line.replace(file, 'FILE'))).toEqual([
      'FILE:1:9: listen: is an address such as 127.0.0.1:8787',
      'FILE:2:27: upstreams.p.base_url: is not an http(s) URL; an example is https://api.openai.com/v1',
      'FILE:2:47: the environment variable NO_SUCH_KEY is not set',
      'FILE:3:1: unknown key "routs", did you mean "routes"?',
    ])
    expect(lines.at(-1)).toBe('ballast does not start: 4 problems in its configuration.')
  })

  test('warns where a policy injects what a model was trained with, and starts', async () => {
    const upstream = await startTestUpstream(() => {})
    const past = 'trained_with: birds/identity-alex, policy: birds/identity-alex'
    const file = configFile(yaml(upstream.url).replace('upstream: p}]', `upstream: p, ${past}}]`))
    const { says, child, finished } = ballast(['serve', '--config', file])
    const warned = JSON.parse((await says(/^\{.*was trained with.*$/m))[0]) as { level: number; msg: string }
    expect(warned.level).toBe(40)
    expect(warned.msg).toContain(`${file}:6:79: "birds/identity-alex" injects the context`)
    await says(/^\{.*ballast serves.*$/m)
    child.kill('SIGTERM')
    expect((await finished).code).toBe(0)
  })

  test('says which file is missing', async () => {
    const { code, stderr } = await ballast(['--config', 'no-such.yaml']).finished
    expect(code).toBe(2)
    expect(stderr).toContain('no-such.yaml:1:1: does not exist')
  })

  test('ends with 1 when its port is taken, and says so', async () => {
    const upstream = await startTestUpstream(() => {})
    const { port } = new URL(upstream.url)
    const file = configFile(yaml(upstream.url).replace('listen: 127.0.0.1:0', `listen: 127.0.0.1:${port}`))
    const { code, stderr } = await ballast(['serve', '--config', file]).finished
    expect(code).toBe(1)
    expect(stderr).toContain(`cannot listen on 127.0.0.1:${port}: something listens there already`)
  })

  test('lets a running stream end on SIGTERM, refuses new requests, and ends with 0', async () => {
    let finish = () => {}
    const upstream = await startTestUpstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: one\n\n')
      finish = () => void response.end('data: two\n\n')
    })
    const { child, finished, says } = ballast(['serve', '--config', configFile(yaml(upstream.url))])
    const { url } = JSON.parse((await says(/^\{.*ballast serves.*$/m))[0]) as { url: string }
    const body = '{"model":"m","messages":[],"stream":true}'
    const response = await fetch(`${url}/chat/completions`, { method: 'POST', body })
    child.kill('SIGTERM')
    await says(/ballast stops/)
    await expect(fetch(`${url}/chat/completions`, { method: 'POST', body })).rejects.toThrow()
    finish()
    expect(await response.text()).toBe('data: one\n\ndata: two\n\n')
    expect((await finished).code).toBe(0)
  })

  test('passes a stream of 10,000 chunks with flat memory', async () => {
    const chunk = `data: ${'x'.repeat(64_000)}\n\n`
    const upstream = await startTestUpstream(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let index = 0; index < 10_000; index++) {
        if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve))
      }
      response.end()
    })
    const { says } = ballast(['serve', '--config', configFile(yaml(upstream.url))])
    const { url, admin } = JSON.parse((await says(/^\{.*ballast serves.*$/m))[0]) as {
      url: string
      admin: string
    }
    const memory = async () => {
      const text = await (await fetch(`${admin}/metrics`)).text()
      return metricValue(text, 'process_resident_memory_bytes')
    }
    const measured: number[] = []
    const response = await fetch(`${url}/chat/completions`, {
      method: 'POST',
      body: '{"model":"m","messages":[],"stream":true}',
    })
    let received = 0
    const total = chunk.length * 10_000
    for await (const piece of response.body!) {
      const tenth = Math.floor((received * 10) / total)
      received += piece.length
      if (Math.floor((received * 10) / total) > tenth) measured.push(await memory())
    }
    expect(received).toBe(total)
    expect(measured).toHaveLength(10)
    // 640 MB go through; what the collector has not fetched yet comes and goes.
    expect(Math.max(...measured) - Math.min(...measured)).toBeLessThan(100_000_000)
  })
})

describe('being called wrongly', () => {
  test.each([
    [['demo', '--requests', 'many'], 'whole number'],
    [
      ['reprot'],
      'There is no command "reprot"; there are serve, judge, demo, check, explain, policies, samples, label, report, plan, calibrate, dataset, eval, probe, arms, sandbox.',
    ],
    [['demo', '--json'], '--json goes with --requests'],
    [['demo', '--request', '3'], "unknown option '--request'"],
    [['sandbox', '--replay', 'none/such=file.jsonl'], 'policy "none/such" does not exist'],
    [['sandbox', '--replay', 'no-such.jsonl'], 'no-such.jsonl'],
  ])('%j ends with 2 and says why', async (args, message) => {
    const { code, stderr } = await ballast(args).finished
    expect(stderr).toContain(message)
    expect(code).toBe(2)
  })

  test('--version prints the version', async () => {
    const { stdout } = await ballast(['--version']).finished
    expect(stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/)
  })

  test('files are looked for where npm was called', async () => {
    const file = configFile('listen: here')
    const called = { npm_lifecycle_event: 'ballast', INIT_CWD: dirname(file) }
    const { stderr } = await ballast(['serve', '--config', 'ballast.yaml'], called).finished
    expect(stderr).toContain('listen: is an address')
  })

  test.each([
    'serve',
    'judge',
    'demo',
    'sandbox',
    'check',
    'explain',
    'policies',
    'policies list',
    'policies search',
    'policies show',
  ])('ballast %s --help has an example', async (command) => {
    const { code, stdout } = await ballast([...command.split(' '), '--help']).finished
    expect(code).toBe(0)
    expect(stdout).toMatch(/Examples?:\n {2}.*ballast/)
  })
})
