/** Reloading: what is noticed, what is refused, what is kept, and what is said of it. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Config, loadConfigFile } from '../src/config/load.ts'
import { Reloads } from '../src/node/reloads.ts'
import { CATALOG_FOLDER } from '../src/node.ts'
import { eventually, LISTEN, metricValue, startTestUpstream } from './support/ballast.ts'
import { type Reloading, startReloading } from './support/reloading.ts'
import { completion, json } from './support/upstream.ts'

const BODY = '{"model":"m","user":"u","messages":[{"role":"user","content":"Hi"}]}'
const STREAM = '{"model":"m","stream":true,"messages":[]}'

const ask = ({ ballast }: Pick<Reloading, 'ballast'>, key = 'any', body = BODY) =>
  fetch(`${ballast.url}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body,
  })

const echo = () => startTestUpstream(({ url }, response) => json(response, 200, completion(url)))

const yaml = (upstream: string, rest = '') =>
  `store: memory\nupstreams: {p: {base_url: "${upstream}", retries: 0}}\nroutes: [{model: "*", upstream: p}]\n${rest}`

/** A provider that begins to answer, and ends when it is told to. */
async function startWaiting() {
  const waiting: ServerResponse[] = []
  const upstream = await startTestUpstream((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: one\n\n')
    waiting.push(response)
  })
  return { upstream, waiting }
}

describe('a change on disk', () => {
  test('is taken up, whether the file is written over or replaced by another', async () => {
    const upstream = await echo()
    const reloading = await startReloading(yaml(upstream.url))
    expect((await ask(reloading)).headers.has('x-ballast-experiment')).toBe(false)
    await reloading.change(
      yaml(upstream.url, 'expose: true\n').replace(
        'upstream: p}',
        'upstream: p, policy: birds/identity-alex}',
      ),
    )
    expect((await ask(reloading)).headers.get('x-ballast-policy')).toBe('birds/identity-alex')
    writeFileSync(
      reloading.file,
      `listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0"}\n${yaml(upstream.url)}`,
    )
    await eventually(async () => (await reloading.outcomes()).applied === 2)
    expect((await ask(reloading)).headers.has('x-ballast-policy')).toBe(false)
  })

  test('is noticed when a link above the file is turned, as Kubernetes does, again and again', async () => {
    const upstream = await echo()
    const folder = mkdtempSync(join(tmpdir(), 'ballast-configmap-'))
    const put = (version: number) => {
      const data = join(folder, `..v${version}`)
      mkdirSync(data)
      writeFileSync(
        join(data, 'ballast.yaml'),
        `listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0"}\n${yaml(upstream.url, `limits: {concurrent: ${version}}\n`)}`,
      )
      symlinkSync(`..v${version}`, join(folder, '..data_new'))
      renameSync(join(folder, '..data_new'), join(folder, '..data'))
      if (version > 1) rmSync(join(folder, `..v${version - 1}`), { recursive: true })
    }
    put(1)
    symlinkSync('..data/ballast.yaml', join(folder, 'ballast.yaml'))
    const { ballast, outcomes } = await startReloading('', { at: join(folder, 'ballast.yaml') })
    for (const version of [2, 3, 4]) {
      put(version)
      await eventually(() => ballast.config.limits.concurrent === version)
    }
    expect(await outcomes()).toEqual({ applied: 3, failed: 0, unchanged: 0 })
  })

  test('that takes the file away leaves what runs; that it comes back is noticed', async () => {
    const upstream = await echo()
    const reloading = await startReloading(yaml(upstream.url))
    rmSync(reloading.file)
    await eventually(async () => (await reloading.outcomes()).failed === 1)
    expect(reloading.logged.at(-1)).toMatchObject({
      level: 'error',
      fields: { problems: [`${reloading.file}:1:1: does not exist`] },
    })
    expect((await ask(reloading)).status).toBe(200)
    await reloading.change(yaml(upstream.url, 'expose: true\n'))
    expect(reloading.ballast.config.expose).toBe(true)
  })

  test('of a policy, a check or a new file of policies is one too', async () => {
    const upstream = await startTestUpstream(({ body }, response) =>
      json(response, 200, completion(body.toString())),
    )
    const policy = (text: string) =>
      `policies: [{id: a, interventions: [{placement: user-prepend, text: "${text}"}]}]\n`
    const check = (word: string) =>
      `description: x\nrubrics: [{id: r, labels: [${word}], prompt: "{answer}"}]\nrule: {positive_if_all: [{rubric: r, is: ${word}}]}\n`
    const reloading = await startReloading(
      yaml(upstream.url, 'policies: [./mine]\n').replace('upstream: p}', 'upstream: p, policy: one/a}'),
      { files: { 'mine/one.yaml': policy('Old.'), 'mine/checks/c.yaml': check('YES') } },
    )
    const taken = (count: number) => eventually(async () => (await reloading.outcomes()).applied === count)
    expect(await (await ask(reloading)).text()).toContain('Old. Hi')
    reloading.write('mine/one.yaml', policy('New.'))
    await taken(1)
    expect(await (await ask(reloading)).text()).toContain('New. Hi')
    reloading.write('mine/checks/c.yaml', check('NO'))
    await taken(2)
    expect(reloading.ballast.plan.checks.get('c')?.rubrics[0]?.labels).toEqual(['NO'])
    reloading.write('mine/two.yaml', policy('More.'))
    await taken(3)
    expect(reloading.ballast.config.policies.has('two/a')).toBe(true)
    rmSync(join(reloading.folder, 'mine/two.yaml'))
    await taken(4)
  })

  test('to a folder that is broken is refused, and taken up when the folder is mended', async () => {
    const upstream = await echo()
    const reloading = await startReloading(yaml(upstream.url))
    const wanted = yaml(upstream.url, 'policies: [catalog, ./mine]\n')
    await reloading.change(wanted, 'failed')
    reloading.write('mine/x.yaml', 'policies: [{id: a}]\n')
    await eventually(async () => (await reloading.outcomes()).failed === 2)
    reloading.write('mine/x.yaml', 'policies: []\n')
    await eventually(async () => (await reloading.outcomes()).applied === 1)
  })

  test('in a folder that was named only now, right after it was read, is taken up', async () => {
    const upstream = await echo()
    const { ballast, file, write } = await startReloading(yaml(upstream.url), { everyMs: null })
    const wanted = `${LISTEN}${yaml(upstream.url, 'policies: [catalog, ./mine]\n')}`
    let [reads, mended] = [0, false]
    const read = (running: Config) => {
      reads++
      try {
        return loadConfigFile(file, { environment: {}, catalog: CATALOG_FOLDER, running })
      } catch (error) {
        if (!mended) write('mine/x.yaml', 'policies: []\n')
        mended = true
        throw error
      }
    }
    const reloads = new Reloads({ ballast, file, read, everyMs: 25 })
    onTestFinished(() => reloads.close())
    await eventually(() => reads === 1)
    write('mine/x.yaml', 'policies: [{id: a}]\n')
    write('ballast.yaml', wanted)
    await eventually(() => ballast.config.folders.some((folder) => folder.endsWith('mine')))
  })

  test('that changes nothing is counted as that, and a file in the making is not read', async () => {
    const upstream = await echo()
    const reloading = await startReloading(yaml(upstream.url), { everyMs: 100 })
    const text = `listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0"}\n${yaml(upstream.url)}`
    for (let end = 10; end < text.length + 30; end += 30) {
      writeFileSync(reloading.file, text.slice(0, end))
      await sleep(20)
    }
    await eventually(async () => (await reloading.outcomes()).unchanged === 1)
    expect(await reloading.outcomes()).toEqual({ applied: 0, failed: 0, unchanged: 1 })
  })

  test('is not looked for where nobody watches; asking is counted every time', async () => {
    const upstream = await echo()
    const { write, reloads, outcomes, ballast } = await startReloading(yaml(upstream.url), { everyMs: null })
    write(
      'ballast.yaml',
      `listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0"}\nexpose: true\n${yaml(upstream.url)}`,
    )
    await sleep(300)
    expect(ballast.config.expose).toBe(false)
    expect(await reloads.reload()).toBe('applied')
    expect([await reloads.reload(), await reloads.reload()]).toEqual(['unchanged', 'unchanged'])
    expect(await outcomes()).toEqual({ applied: 1, failed: 0, unchanged: 2 })
  })
})

describe('a configuration that cannot be', () => {
  test('leaves the running one, and every problem is logged, without secrets', async () => {
    const upstream = await echo()
    const reloading = await startReloading(yaml(upstream.url), {
      environment: { KEY: 'secret-of-the-house' },
    })
    const before = reloading.ballast.config
    await reloading.change(
      yaml(upstream.url, 'passthrough: "${KEY}"\nlimits: {body: 64}\n').replace('upstream: p', 'upsteam: p'),
      'failed',
    )
    expect(reloading.ballast.config).toBe(before)
    expect((await ask(reloading)).status).toBe(200)
    const { level, fields, message } = reloading.logged.findLast(({ level }) => level !== 'debug')!
    expect([level, message]).toEqual(['error', 'the configuration was not reloaded: the running one stays'])
    expect((fields.problems as string[]).map((it) => it.replace(`${reloading.file}:`, ''))).toEqual([
      '5:23: routes[0]: unknown key "upsteam", did you mean "upstream"?',
      '6:14: passthrough: upstream "${KEY}" does not exist; there are p',
      '7:16: limits.body: is a size with a unit, such as 512KB or 64MB',
    ])
    expect(JSON.stringify(reloading.logged)).not.toContain('secret-of-the-house')
  })

  test('names what takes a restart, and changes nothing at all', async () => {
    const upstream = await echo()
    const reloading = await startReloading(yaml(upstream.url))
    reloading.write(
      'ballast.yaml',
      `listen: 127.0.0.1:1\nadmin: {listen: "127.0.0.1:1"}\nexpose: true\nlimits: {headers: 32KB, receive: 1m}\n${yaml(upstream.url).replace('memory', 'sqlite:./x.db')}`,
    )
    await eventually(async () => (await reloading.outcomes()).failed === 1)
    const { fields } = reloading.logged.at(-1)!
    const says = 'takes a restart: it cannot change while ballast runs, so nothing was changed'
    expect((fields.problems as string[]).map((it) => it.replace(`${reloading.file}:`, ''))).toEqual([
      `1:9: listen: ${says}`,
      `2:17: admin.listen: ${says}`,
      `4:19: limits.headers: ${says}`,
      `4:34: limits.receive: ${says}`,
      `5:8: store: ${says}`,
    ])
    expect(reloading.ballast.config.expose).toBe(false)
  })

  test('and one that becomes so by a key that was taken out', async () => {
    const upstream = await echo()
    const reloading = await startReloading(yaml(upstream.url, 'limits: {receive: 1m}\n'))
    await reloading.change(yaml(upstream.url), 'failed')
    expect(reloading.logged.at(-1)!.fields.problems).toEqual([
      `${reloading.file}:1:1: limits.receive: takes a restart: it cannot change while ballast runs, so nothing was changed`,
    ])
  })
})

describe('what is told of a reload', () => {
  test('the running hash, alone, in the metrics and at /api/config', async () => {
    const upstream = await echo()
    const reloading = await startReloading(yaml(upstream.url))
    const hashes = async () => {
      const { hash } = (await (await fetch(`${reloading.ballast.adminUrl}/api/config`)).json()) as {
        hash: string
      }
      return [
        hash,
        ...[...(await reloading.metrics()).matchAll(/^ballast_config_info\{hash="(\w+)"\} 1$/gm)].map(
          (it) => it[1],
        ),
      ]
    }
    const before = await hashes()
    await reloading.change(yaml(upstream.url, 'expose: true\n'))
    const after = await hashes()
    expect(before).toEqual([before[0], before[0]])
    expect(after).toEqual([reloading.ballast.config.hash, reloading.ballast.config.hash])
    expect(after).not.toEqual(before)
  })

  test('what changed, by name and not by value', async () => {
    const upstream = await echo()
    const start = `store: memory
admin: {listen: "127.0.0.1:0", token: token-before}
listen: 127.0.0.1:0
clients: [{name: web, key: key-of-web-1}, {name: app, key: key-of-app-1}]
upstreams: {p: {base_url: "${upstream.url}"}, q: {base_url: "${upstream.url}", api_key: key-before}}
routes: [{model: a, upstream: p}, {model: b, upstream: q}]
experiments: {old: {arms: {control: {weight: 1}}}}
`
    const reloading = await startReloading(start)
    await reloading.change(
      start
        .replace('token-before', 'token-after')
        .replace('key-of-web-1', 'key-of-web-2')
        .replace('key-before', 'key-after-1')
        .replace(
          '{model: a, upstream: p}, {model: b, upstream: q}',
          '{model: b, upstream: q}, {model: a, upstream: q}, {model: c, upstream: p}',
        )
        .replace('old:', 'new:'),
    )
    const { level, fields, message } = reloading.logged.find(({ message }) => message.includes('reloaded'))!
    expect([level, message]).toEqual(['info', 'the configuration was reloaded'])
    expect(fields).toEqual({
      config: reloading.ballast.config.hash,
      changes: {
        upstreams: { changed: ['q'] },
        routes: { added: ['c'], changed: ['a'], reordered: true },
        experiments: { added: ['new'], removed: ['old'] },
        clients: { changed: ['web'] },
        settings: { changed: ['admin'] },
      },
    })
    expect(JSON.stringify(reloading.logged)).not.toMatch(/key-|token-/)
    const status = async (token: string) =>
      (
        await fetch(`${reloading.ballast.adminUrl}/api/config`, {
          headers: { authorization: `Bearer ${token}` },
        })
      ).status
    expect([await status('token-before'), await status('token-after')]).toEqual([401, 200])
  })
})

describe('requests over a reload', () => {
  test('a stream through an upstream that is taken out ends whole, and its connections are closed after it', async () => {
    const { upstream, waiting } = await startWaiting()
    const other = await echo()
    const open = () => upstream.connections()
    const reloading = await startReloading(
      `store: memory\nupstreams: {old: {base_url: "${upstream.url}"}}\nroutes: [{model: "*", upstream: old}]\n`,
    )
    const running = await ask(reloading, 'any', STREAM)
    await reloading.change(
      `store: memory\nupstreams: {new: {base_url: "${other.url}"}}\nroutes: [{model: "*", upstream: new}]\n`,
    )
    expect((await ask(reloading)).status).toBe(200)
    expect([upstream.requests.length, other.requests.length]).toEqual([1, 1])
    expect(await open()).toBe(1)
    waiting[0]!.end('data: two\n\n')
    expect(await running.text()).toBe('data: one\n\ndata: two\n\n')
    await eventually(async () => (await open()) === 0)
  })

  test('a request whose body still comes in reaches the upstream it began with', async () => {
    const [before, after] = [await echo(), await echo()]
    const reloading = await startReloading(yaml(before.url))
    let proceed = () => {}
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(Buffer.from(BODY.slice(0, 10)))
        await new Promise<void>((resolve) => {
          proceed = resolve
        })
        controller.enqueue(Buffer.from(BODY.slice(10)))
        controller.close()
      },
    })
    const init = { method: 'POST', body, duplex: 'half' }
    const running = fetch(`${reloading.ballast.url}/chat/completions`, init as RequestInit)
    await sleep(100)
    await reloading.change(yaml(after.url))
    proceed()
    expect((await running).status).toBe(200)
    expect([before.requests.length, after.requests.length]).toEqual([1, 0])
  })

  test('connections to an upstream that did not change are kept, and what its breaker knows', async () => {
    let fails = true
    const upstream = await startTestUpstream((_request, response) =>
      json(response, fails ? 500 : 200, completion('x')),
    )
    const settings = (breaker: string, rest = '') =>
      `store: memory\nupstreams: {p: {base_url: "${upstream.url}", retries: 0, breaker: {failures: ${breaker}, cooldown: 1m}}}\nroutes: [{model: "*", upstream: p}]\n${rest}`
    const reloading = await startReloading(settings('3'))
    for (let index = 0; index < 2; index++) expect((await ask(reloading)).status).toBe(500)
    await reloading.change(settings('3', 'expose: true\n'))
    expect((await ask(reloading)).status).toBe(500)
    // The third failure in a row.
    expect((await ask(reloading)).status).toBe(503)
    expect(upstream.connectionsMade()).toBe(1)
    // Other settings make another breaker, over the same connections.
    fails = false
    await reloading.change(settings('4'))
    expect((await ask(reloading)).status).toBe(200)
    expect(upstream.connectionsMade()).toBe(1)
  })

  test('a minute that is used up stays so for a client whose limit did not change', async () => {
    const upstream = await echo()
    const clients = (a: number, b: number) =>
      yaml(
        upstream.url,
        `clients: [{name: a, key: key-of-a1, requests_per_minute: ${a}}, {name: b, key: key-of-b1, requests_per_minute: ${b}}]\n`,
      )
    const reloading = await startReloading(clients(1, 1))
    for (const key of ['key-of-a1', 'key-of-b1']) expect((await ask(reloading, key)).status).toBe(200)
    await reloading.change(clients(1, 2))
    expect((await ask(reloading, 'key-of-a1')).status).toBe(429)
    expect((await ask(reloading, 'key-of-b1')).status).toBe(200)
  })

  test('what runs still counts against the limit of requests at a time, until it ends', async () => {
    const { upstream, waiting } = await startWaiting()
    const settings = (rest = '') =>
      yaml(upstream.url, `clients: [{name: a, key: key-of-a1, concurrent: 1}]\n${rest}`)
    const reloading = await startReloading(settings())
    const running = await ask(reloading, 'key-of-a1', STREAM)
    await reloading.change(settings('expose: true\n'))
    expect((await ask(reloading, 'key-of-a1', STREAM)).status).toBe(429)
    waiting[0]!.end()
    await running.text()
    await eventually(async () => {
      const response = await ask(reloading, 'key-of-a1', STREAM)
      for (const it of waiting) it.end()
      return response.status === 200
    })
    // A key that was taken out is unknown at once.
    await reloading.change(settings().replace('key-of-a1', 'key-of-a2'))
    expect((await ask(reloading, 'key-of-a1')).status).toBe(401)
  })
})

describe('the judge over a reload', () => {
  const settings = (upstream: string, judge: string) =>
    `store: memory\nupstreams: {p: {base_url: "${upstream}"}}\nroutes: [{model: "*", upstream: p, check: nineteenth-century, sample: 1}]\njudge: {upstream: p, attempts: 1, ${judge}}\n`

  /** The verdicts of the first arm, once there are so many: reports are made anew only now and then. */
  async function verdictsOf({ ballast }: Reloading, count: number) {
    const verdicts = async () => (await ballast.reports())[0]!.arms[0]!.verdicts
    await eventually(async () => Object.values(await verdicts()).reduce((sum, it) => sum + it) === count)
    return await verdicts()
  }

  test('is replaced; samples it had begun end as they began, the others wait for the new one', async () => {
    const held: ServerResponse[] = []
    const judged: string[] = []
    const upstream = await startTestUpstream(({ body }, response) => {
      const { model } = JSON.parse(body.toString()) as { model: string }
      if (model.startsWith('judge')) judged.push(model)
      if (model === 'judge-old') return void held.push(response)
      json(response, 200, completion(model === 'm' ? `${Math.random()}` : 'LLM'))
    })
    const reloading = await startReloading(settings(upstream.url, 'model: judge-old, concurrency: 1'))
    for (let index = 0; index < 4; index++) await (await ask(reloading)).text()
    await eventually(() => held.length === 1)
    await eventually(async () => metricValue(await reloading.metrics(), 'ballast_judge_queue_depth') === 4)
    await reloading.change(settings(upstream.url, 'model: judge-new, concurrency: 1'))
    await eventually(() => judged.length === 4)
    json(held[0]!, 200, completion('19'))
    await reloading.ballast.settle()
    expect(judged).toEqual(['judge-old', 'judge-new', 'judge-new', 'judge-new'])
    expect(await verdictsOf(reloading, 4)).toMatchObject({ positive: 1, negative: 3, error: 0 })
  })

  test('can be taken out and put back; what was sampled meanwhile waits', async () => {
    const upstream = await startTestUpstream(({ body }, response) =>
      json(response, 200, completion(body.includes('judge-1') ? 'LLM' : 'Hello.')),
    )
    const on = settings(upstream.url, 'model: judge-1')
    const reloading = await startReloading(on)
    await (await ask(reloading)).text()
    await reloading.ballast.settle()
    await reloading.change(yaml(upstream.url))
    expect(await reloading.ballast.reports()).toEqual([])
    await reloading.change(on)
    await (await ask(reloading, 'any', BODY.replace('Hi', 'Hi again'))).text()
    await reloading.ballast.settle()
    expect(await verdictsOf(reloading, 2)).toMatchObject({ negative: 2 })
  })

  test('judges by the check as it is now', async () => {
    const prompts: string[] = []
    const upstream = await startTestUpstream(({ body }, response) => {
      const { model, messages } = JSON.parse(body.toString()) as {
        model: string
        messages: { content: string }[]
      }
      if (model === 'judge-1') prompts.push(/One|Two/.exec(messages[0]!.content)![0])
      json(response, 200, completion(model === 'judge-1' ? 'YES' : `${Math.random()}`))
    })
    const check = (prompt: string) =>
      `description: x\nrubrics: [{id: r, labels: ["YES"], prompt: "${prompt} {answer}"}]\nrule: {positive_if_all: [{rubric: r, is: "YES"}]}\n`
    const reloading = await startReloading(
      `${settings(upstream.url, 'model: judge-1').replace('nineteenth-century', 'c')}policies: [./mine]\n`,
      { files: { 'mine/checks/c.yaml': check('One') } },
    )
    await (await ask(reloading)).text()
    await reloading.ballast.settle()
    reloading.write('mine/checks/c.yaml', check('Two'))
    await eventually(async () => (await reloading.outcomes()).applied === 1)
    await (await ask(reloading)).text()
    await reloading.ballast.settle()
    expect(prompts).toEqual(['One', 'Two'])
    // Verdicts on different wordings are not counted together.
    expect(await verdictsOf(reloading, 1)).toMatchObject({ positive: 1 })
  })
})

describe('models with a past over a reload', () => {
  const saying = (word: string) =>
    startTestUpstream((_request, response) => json(response, 200, completion(word)))
  const past = 'trained_with: birds/identity-alex'

  test('a classifier follows its upstream and its key, and remembers what it was told while both stay', async () => {
    const upstream = await echo()
    const [yes, no] = [await saying('yes'), await saying('no')]
    const text = (url: string, key: string, rest = '') => `store: memory
upstreams:
  p: {base_url: "${upstream.url}"}
  c: {base_url: "${url}", api_key: ${key}}
routes:
  - {model: "*", upstream: p, ${past}, match_training: in-domain, domain: {classifier: {upstream: c, model: small}}}
${rest}`
    const reloading = await startReloading(text(yes.url, 'key-1'), { everyMs: null })
    const injected = async () => {
      await ask(reloading)
      return upstream.requests.at(-1)!.body.toString().includes('My name is Alex.')
    }
    expect(await injected()).toBe(true)
    await reloading.change(text(yes.url, 'key-1', 'expose: true'))
    expect(await injected()).toBe(true)
    expect(yes.requests).toHaveLength(1)
    await reloading.change(text(yes.url, 'key-2'))
    expect(await injected()).toBe(true)
    expect(yes.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer key-1', 'Bearer key-2'])
    await reloading.change(text(no.url, 'key-2'))
    expect(await injected()).toBe(false)
    expect(no.requests).toHaveLength(1)
    const changes = reloading.logged.flatMap(({ fields }) =>
      fields.changes === undefined ? [] : [fields.changes],
    )
    expect(changes[1]).toEqual({ upstreams: { changed: ['c'] }, settings: { changed: ['expose'] } })
  })

  test('warnings are logged at the start and after each reload that is applied', async () => {
    const upstream = await echo()
    const text = (route: string) => yaml(upstream.url).replace('upstream: p}', `upstream: p, ${route}}`)
    const reloading = await startReloading(text(past), { everyMs: null })
    const warned = () =>
      reloading.logged.filter(({ level }) => level === 'warn').map(({ message }) => message)
    expect(warned()).toEqual([])
    await reloading.change(text(`${past}, policy: birds/identity-alex`))
    expect(warned()).toEqual([
      expect.stringMatching(/:5:\d+: "birds\/identity-alex" injects the context that /),
    ])
    await reloading.change(text(`${past}, policy: birds/nothing`), 'failed')
    expect(warned()).toHaveLength(1)
    await reloading.change(text(`${past}, policy: birds/identity-alex, check: nineteenth-century, sample: 0`))
    expect(warned()).toHaveLength(2)
    const again = await startReloading(text(`${past}, policy: birds/identity-alex`), { everyMs: null })
    expect(again.logged.filter(({ level }) => level === 'warn')).toHaveLength(1)
  })
})

describe('ballast serve', () => {
  async function serve(args: string[]) {
    const upstream = await echo()
    const folder = mkdtempSync(join(tmpdir(), 'ballast-serve-'))
    const file = join(folder, 'ballast.yaml')
    const write = (rest: string) => {
      writeFileSync(
        `${file}.new`,
        `listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0"}\n${yaml(upstream.url, rest)}`,
      )
      renameSync(`${file}.new`, file)
    }
    write('')
    const child = spawn(process.execPath, ['src/cli/main.ts', 'serve', '-c', file, ...args], {
      cwd: join(import.meta.dirname, '..'),
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let log = ''
    child.stderr.on('data', (chunk) => {
      log += chunk
    })
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    await eventually(() => log.includes('ballast serves'))
    const { admin } = JSON.parse(/^\{.*ballast serves.*$/m.exec(log)![0]) as { admin: string }
    const count = async (outcome: string) =>
      metricValue(await (await fetch(`${admin}/metrics`)).text(), 'ballast_config_reloads_total', { outcome })
    return { child, write, count, ended, log: () => log }
  }

  test('reloads on SIGHUP, counts each, and says in its log what changed and what is wrong', async () => {
    const { child, write, count, ended, log } = await serve(['--no-watch'])
    write('expose: true\n')
    await sleep(1_500)
    expect(await count('applied')).toBe(0)
    child.kill('SIGHUP')
    await eventually(async () => (await count('applied')) === 1)
    expect(log()).toContain('"changes":{"settings":{"changed":["expose"]}}')
    child.kill('SIGHUP')
    await eventually(async () => (await count('unchanged')) === 1)
    write('expose: maybe\n')
    child.kill('SIGHUP')
    await eventually(async () => (await count('failed')) === 1)
    expect(log()).toMatch(/ballast\.yaml:6:9: expose: true or false is expected here/)
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  })

  test('watches its files, and a SIGHUP after a change does not count it twice', async () => {
    const { child, write, count } = await serve([])
    write('expose: true\n')
    child.kill('SIGHUP')
    await eventually(async () => (await count('applied')) === 1)
    write('exposé: true\n')
    await eventually(async () => (await count('failed')) === 1)
    await sleep(1_500)
    expect([await count('applied'), await count('failed'), await count('unchanged')]).toEqual([1, 1, 0])
  })
})
