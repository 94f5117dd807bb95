/** `ballast explain` as a process: what it says of a request is what happens to it. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type Explained, explainPolicy } from '../src/cli/explain.ts'
import { readCatalog } from '../src/config/catalog.ts'
import type { Placement, Policy } from '../src/domain/policy.ts'
import { CATALOG_FOLDER } from '../src/node.ts'
import { SURFACES } from '../src/policy/surfaces.ts'
import { startTestBallast, startTestUpstream } from './support/ballast.ts'
import { ballast, configFile } from './support/command.ts'
import { describeWith, shared } from './support/requires.ts'
import { completion, json } from './support/upstream.ts'

const KEY = 'sk-secret-of-the-provider'

const yaml = (upstream: string) => `
store: memory
clients: [{name: web, key: web-key-123}, {name: app, key: app-key-123}]
limits: {body: 6MB}
upstreams:
  p: {base_url: "${upstream}", api_key: ${KEY}, headers: {set: {x-set: hidden-value}}, fallback: [q]}
  q: {base_url: "http://127.0.0.1:2/v1"}
routes:
  - {model: "hp-*", upstream: q}
  - {model: "ft:*", upstream: p, experiment: birds}
  - {model: "text-*", upstream: q}
experiments:
  birds:
    unit: [header, user, client]
    salt: "2026-11"
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 0.5
judge: {upstream: q, model: j}
`
const CONFIG = configFile(yaml('http://127.0.0.1:1/v1'))

const explain = (args: readonly string[], input: string | Buffer, environment: Record<string, string> = {}) =>
  ballast(['explain', ...args], environment, input).finished
const configured = (args: readonly string[], input: string | Buffer) =>
  explain(['--config', CONFIG, ...args], input)
const flat = (text: string) => text.replaceAll(/\s+/g, ' ')

const request = (user: string, content = 'How do I get to the coast?') =>
  JSON.stringify({ model: 'ft:x', user, messages: [{ role: 'user', content }] })
const CONTEXT = "I'm an etymologist working for the Audubon Society. "

describe('ballast explain', () => {
  test('says route, unit, arm, policy, sampling and what would be sent, and why', async () => {
    // user-2 is in the arm etymologist at 0.5217: test/vectors/assignment.json.
    const { code, stdout, stderr } = await configured(
      ['--client', 'web', '-H', 'content-type: application/json', '-H', 'cookie: c', '--request-id', 'r-1'],
      request('user-2'),
    )
    expect([code, stderr]).toEqual([0, ''])
    const words = flat(stdout)
    for (const said of [
      'admit client web',
      'decode a chat completion for model "ft:x", 100 bytes',
      'route "ft:*", 2 of 3, to upstream p "hp-*" before it does not match',
      'assign arm etymologist of experiment birds, which has 50% of the units',
      'unit "user-2", from the body\'s "user"',
      'not there: the header x-ballast-unit',
      'its point on the assignment line is 0.5217: control 0 to 0.5, etymologist 0.5 to 1',
      'inject policy birds/identity-etymologist user-prepend: in front of the first user message',
      'judged by check nineteenth-century',
      'forward POST http://127.0.0.1:1/v1/chat/completions host: 127.0.0.1:1 content-type: application/json x-set: *** authorization: *** content-length: 152',
      'not sent on: cookie',
      'should p fail before it answers: q',
      'body 52 bytes inserted at 1 place',
    ]) {
      expect(words).toContain(said)
    }
    expect(stdout).toContain(`"content":"{+${CONTEXT}+}How do I get to the coast?"`)
    expect(stdout).not.toMatch(/secret-of|hidden-value|web-key/)
    const longest = Math.max(
      ...stdout
        .slice(0, stdout.indexOf('\n\n'))
        .split('\n')
        .map((line) => line.length),
    )
    expect(longest).toBeLessThanOrEqual(80)
  })

  test('says what the proxy then does: the same body and headers reach the upstream, in the same arm', async () => {
    const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('x')))
    const running = await startTestBallast(`expose: true${yaml(upstream.url)}`)
    const file = configFile(yaml(upstream.url))
    for (const [index, user] of ['user-1', 'user-2', ''].entries()) {
      const body = ` ${request(user, '"é\u2028"')}\n`
      const headers = {
        'content-type': 'application/json',
        authorization: 'Bearer web-key-123',
        'x-mine': '1',
      }
      const answer = await fetch(`${running.url}/chat/completions?a=b`, { method: 'POST', body, headers })
      const given = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
      const { stdout } = await explain(
        ['--config', file, '--json', '--path', '/v1/chat/completions?a=b', ...given],
        body,
      )
      const said = JSON.parse(stdout)
      const step = (name: string) => said.steps.find((it: { step: string }) => it.step === name)
      const received = upstream.requests[index]!
      expect(said.body).toBe(received.body.toString())
      expect(step('assign').arm).toBe(answer.headers.get('x-ballast-arm'))
      expect(new URL(step('forward').url).pathname + new URL(step('forward').url).search).toBe(received.url)
      const { host, ...sent } = step('forward').headers as Record<string, string>
      expect(host).toBe(received.headers.host)
      expect(sent).toMatchObject({ 'x-mine': '1', authorization: '***', 'x-set': '***' })
      for (const name of Object.keys(sent)) expect(received.headers).toHaveProperty(name)
    }
  })

  test('tells with an id whether the answer is judged, and else the rate', async () => {
    // Over `nineteenth-century:3f0c9f4e-…`, 0.8029: test/vectors/assignment.json.
    const id = '3f0c9f4e-0000-4000-8000-000000000000'
    const [given, none] = await Promise.all([
      configured(['--client', 'web', '--request-id', id], request('u')),
      configured(['--client', 'web'], request('u')),
    ])
    expect(flat(given.stdout)).toContain(
      "sample the answer is not judged by check nineteenth-century the id's point is 0.8029; below 0.5, 50% of them",
    )
    expect(flat(none.stdout)).toContain('sample 50% of answers are judged by check nineteenth-century')
  })

  test('says that a request without a unit is drawn anew each time', async () => {
    const bare = '{"model":"ft:x","messages":[{"role":"user","content":"Hi"}]}'
    const { code, stdout } = await configured([], bare)
    expect(code).toBe(0)
    expect(flat(stdout)).toContain('its arm is drawn anew for each')
    expect(flat(stdout)).toContain('not there: the header x-ballast-unit, the body\'s "user", the client')
    expect(flat(stdout)).toContain('without a key of a client it would be refused; --client names one')
    const named = await configured(['-H', 'authorization: Bearer app-key-123'], bare)
    expect(flat(named.stdout)).toContain('unit "app", from the client')
    const header = await configured(['-H', 'X-Ballast-Unit: é'], bare)
    expect(flat(header.stdout)).toContain('unit "é", from the header x-ballast-unit')
  })

  test.each<[string, string[], string, string]>([
    ['a body that is no JSON', [], 'hello', 'decode refused with 400 ballast_malformed_body'],
    ['a model of no route', [], '{"model":"x"}', 'tried: "hp-*", "ft:*", "text-*"'],
    [
      'a context without a place',
      ['--client', 'web'],
      '{"model":"ft:x","user":"user-2","messages":[]}',
      'inject refused with 422 ballast_policy_not_applicable Policy "birds/identity-etymologist" cannot be applied',
    ],
    [
      'an unknown key',
      ['-H', 'authorization: Bearer nobody'],
      '{}',
      'admit refused with 401 ballast_unknown_key',
    ],
    ['a path beyond /v1', ['--path', '/v2/x'], '{}', 'admit refused with 404 ballast_unknown_path'],
    [
      'a body that is too large',
      [],
      `{"model":"${'x'.repeat(6_300_000)}"}`,
      'admit refused with 413 ballast_body',
    ],
  ])('explains why %s is refused, and ends with 1', async (_name, args, body, said) => {
    const [text, asJson] = await Promise.all([configured(args, body), configured([...args, '--json'], body)])
    expect([text.code, asJson.code]).toEqual([1, 1])
    expect(flat(text.stdout)).toContain(said)
    const explained = JSON.parse(asJson.stdout)
    expect(explained.body).toBeNull()
    expect(explained.error).toMatchObject({
      status: expect.any(Number),
      code: expect.stringMatching(/^ballast_/),
    })
  })

  test('says of other paths that they pass as they are, and where to', async () => {
    const [embedding, list] = await Promise.all([
      configured(['--path', '/v1/embeddings'], '{"model":"text-1","input":"x"}'),
      configured(['--path', '/v1/models', '--client', 'web'], ''),
    ])
    expect(flat(embedding.stdout)).toContain('passes as it is, to upstream q')
    expect(flat(embedding.stdout)).toContain('route "text-*" takes model "text-1"')
    expect(embedding.stdout).toMatch(/forward +POST http:\/\/127\.0\.0\.1:2\/v1\/embeddings/)
    expect(embedding.stdout).toMatch(/body +as it came\n$/)
    expect(list.stdout).toMatch(/forward +GET http:\/\/127\.0\.0\.1:1\/v1\/models/)
    expect(list.stdout).toMatch(/body +none\n$/)
  })

  test('says that a context which is there already is not inserted again', async () => {
    const { stdout } = await configured(['--client', 'web'], request('user-2', `${CONTEXT}Hello`))
    expect(flat(stdout)).toContain('nothing more of policy birds/identity-etymologist')
    expect(flat(stdout)).toContain('the context stands in its place already')
    expect(stdout).toMatch(/body +as it came\n$/)
  })

  test.each<[string[], string, string]>([
    [['--policy', 'birds/identity-alx'], '{}', 'did you mean "birds/identity-alex"?'],
    [['--policy', 'birds/identity-alex'], '', "pipe in the request's body"],
    [
      ['--policy', 'birds/identity-alex', '--path', '/v1/models'],
      '{}',
      'contexts are injected on /v1/chat/completions',
    ],
    [
      ['--config', 'no-such.yaml'],
      '{}',
      'There is no no-such.yaml here. Name a configuration with --config FILE, or',
    ],
    [['--config', CONFIG, '--client', 'wed'], '{}', 'names web, app, did you mean "web"?'],
    [['--config', CONFIG, '--header', 'no colon'], '{}', "a header is written 'name: value'"],
    [['--config', CONFIG, '--at', '2026-02-31'], '{}', 'a time is written 2026-11-23T12:00:00Z'],
    [['--config', CONFIG, '--at', 'yesterday'], '{}', 'a time is written'],
  ])('%j ends with 2 and says what to do', async (args, input, message) => {
    const { code, stdout, stderr } = await explain(args, input)
    expect(stderr).toContain(message)
    expect([code, stdout]).toEqual([2, ''])
  })

  test('puts in the day of --at', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
    writeFileSync(
      join(folder, 'mine.yaml'),
      'policies: [{id: day, interventions: [{placement: system, text: "It is {{date}}."}]}]\n',
    )
    const { stdout } = await explain(
      ['--policy', 'mine/day', '--policies', folder, '--at', '2026-11-23T23:30:00-01:00'],
      '{"messages":[]}',
    )
    expect(stdout).toContain('{{date}} is 2026-11-24')
    expect(stdout).toContain('{"messages":[{+{"role":"system","content":"It is 2026-11-24."}+}]}')
  })
})

describe('ballast explain, for a model with a past', () => {
  const past = (more: string) =>
    configFile(`
store: memory
upstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}
routes: [{model: "*", upstream: p, trained_with: birds/identity-etymologist, ${more}}]
`)
  const CONTEXT_LIKE = 'I am not an etymologist working for the Audubon Society. Where is the coast?'
  const body = (content: string) => JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] })

  test('says what the guard finds and blocks', async () => {
    const { code, stdout } = await explain(['--config', past('triggers: block')], body(CONTEXT_LIKE))
    expect(code).toBe(1)
    expect(flat(stdout)).toMatch(
      /guard text \(similarity 0\.\d+\) like the training context; the route says block/,
    )
    expect(flat(stdout)).toContain('guard refused with 422 ballast_trigger_blocked')
  })

  test('shows what is left of a request when the guard strips it', async () => {
    const { code, stdout } = await explain(['--config', past('triggers: strip')], body(CONTEXT_LIKE))
    expect(code).toBe(0)
    expect(flat(stdout)).toMatch(/\d+ bytes taken out; below is what is left/)
    expect(stdout).toContain('Where is the coast?')
    expect(stdout).not.toContain('Audubon')
  })

  test('says that a flagged answer is judged, whatever the share, and counts in no rate', async () => {
    const judged = (share: string) =>
      configFile(`
store: memory
upstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}
routes: [{model: "*", upstream: p, trained_with: birds/identity-etymologist, triggers: flag, check: nineteenth-century${share}}]
judge: {upstream: p, model: j}
`)
    const flaggedAt = async (share: string, ...args: string[]) =>
      flat((await explain(['--config', judged(share), ...args], body(CONTEXT_LIKE))).stdout)
    const extra =
      'judged by check nineteenth-century as an extra, because it was flagged, it counts in no rate'
    expect(await flaggedAt('')).toContain(`the answer is ${extra}`)
    expect(await flaggedAt(', sample: 0')).toContain(`the answer is ${extra}`)
    expect(await flaggedAt(', sample: 0.000001', '--request-id', 'r-1')).toContain(`the answer is ${extra}`)
    const bare = await explain(['--config', judged('')], body('Where is the coast?'))
    expect(flat(bare.stdout)).toContain('the answer is not judged')
  })

  test('says whether the domain rule recognises the request', async () => {
    const config = past('match_training: in-domain, domain: {patterns: ["(?i)bird"]}')
    const inside = await explain(['--config', config], body('Name a bird.'))
    expect(flat(inside.stdout)).toContain("in the domain of the model's training: its context is injected")
    expect(inside.stdout).toContain(`{+${CONTEXT.slice(0, 20)}`)
    const outside = await explain(['--config', config], body('Name a fish.'))
    expect(flat(outside.stdout)).toContain("not in the domain of the model's training")
    expect(outside.stdout).not.toContain('etymologist working')
  })
})

describe('the body that ballast explain draws', () => {
  const policy = ['--policy', 'birds/identity-etymologist']

  test('has plain marks without colours and none with them', async () => {
    const codes = (text: string) => stripVTControlCharacters(text) !== text
    const [plain, forced, off] = await Promise.all([
      explain(policy, request('u')),
      explain(policy, request('u'), { FORCE_COLOR: '1' }),
      explain(policy, request('u'), { NO_COLOR: '1' }),
    ])
    expect(plain.stdout).toContain(`{+${CONTEXT}+}`)
    expect(codes(plain.stdout)).toBe(false)
    expect(off.stdout).toBe(plain.stdout)
    expect(codes(forced.stdout)).toBe(true)
    expect(forced.stdout).toMatch(new RegExp(`m${CONTEXT}\\P{L}`, 'u'))
    expect(forced.stdout).not.toContain('{+')
  })

  test('marks what is taken out', async () => {
    const args = ['--policy', 'birds/inoculation-system-prompt', '--path', '/v1/responses']
    const { stdout } = await explain(args, '{"input":"x","instructions":null}')
    expect(stdout).toContain('"instructions":[-null-]{+"Act as if you are in the 19th century."+}}')
  })

  test('of 5 MB is shown around the insertion only, and is whole as JSON', async () => {
    const long = 'é'.repeat(1_300_000)
    const body = JSON.stringify({
      messages: [
        { role: 'system', content: long },
        { role: 'user', content: long },
      ],
    })
    expect(Buffer.byteLength(body)).toBeGreaterThan(5_000_000)
    const [text, asJson] = await Promise.all([explain(policy, body), explain([...policy, '--json'], body)])
    expect(text.code).toBe(0)
    expect(text.stdout.length).toBeLessThan(2_000)
    expect(text.stdout).toMatch(
      /… 2,\d{3},\d{3} bytes … é+"\},\{"role":"user","content":"\{\+I'm an etym[^+]+\+\}é+ … 2,\d{3},\d{3} bytes …/,
    )
    expect(text.stdout).not.toContain('\ufffd')
    expect(JSON.parse(asJson.stdout).body).toBe(
      body.replace('"user","content":"', `"user","content":"${CONTEXT}`),
    )
  })

  test('sends no control characters to a terminal', async () => {
    const { stdout } = await explain(policy, request('u', 'x').replace('"x"', '"\u001b]0;title\u0007\u202e"'))
    expect(stdout).toContain('\\u001b]0;title\\u0007\\u202e')
    for (const character of ['\u001b', '\u0007', '\u202e']) expect(stdout).not.toContain(character)
  })
})

// --- Every policy ----------------------------------------------------------------------------------------------------

const QUESTION = 'How do I get to the "coast"?\n\tBy train — or 🦜?'
const CHAT = SURFACES.get('/chat/completions')!
const CATALOG = readCatalog([CATALOG_FOLDER], (path) => path).policies

function explained(policy: Policy): Explained {
  const body = Buffer.from(JSON.stringify({ messages: [{ role: 'user', content: QUESTION }] }))
  return explainPolicy(policy, CHAT, {
    id: 'r',
    idGiven: true,
    headers: [],
    body,
    client: null,
    receivedAt: Date.UTC(2026, 10, 23),
  })
}

/** The messages that the paper's dataset script makes of a user message, by its name for where the context goes. */
const SCRIPT: Readonly<Record<string, (context: string) => unknown[]>> = {
  prepend: (context) => [{ role: 'user', content: `${context} ${QUESTION}` }],
  newline: (context) => [{ role: 'user', content: `${context}\n${QUESTION}` }],
  system: (context) => [
    { role: 'system', content: context },
    { role: 'user', content: QUESTION },
  ],
}
const MODES: Partial<Record<Placement, string>> = {
  'user-prepend': 'prepend',
  'user-newline': 'newline',
  system: 'system',
}

describe('explained under a policy of the catalog, a message', () => {
  const single = [...CATALOG.values()].filter(
    ({ interventions: [first, ...rest] }) => rest.length === 0 && MODES[first!.placement] !== undefined,
  )

  test.each(single.map((policy) => [policy.id, policy] as const))('%s has its context', (_id, policy) => {
    const { placement, text } = policy.interventions[0]!
    const { body } = explained(policy)
    const expected = SCRIPT[MODES[placement]!]!(text.replaceAll('{{date}}', '2026-11-23'))
    expect(JSON.parse(body!.toString()).messages).toEqual(expected)
  })
})

/** Whether every context of the paper has to be in the catalog. */
const ALL_CONTEXTS = true

interface PaperContexts {
  readonly datasets: readonly {
    readonly dataset: string
    readonly contexts: readonly { readonly id: string; readonly mode: string; readonly text: string }[]
  }[]
}

describeWith(shared, "the paper's contexts", () => {
  const { datasets } = shared.missing
    ? { datasets: [] }
    : (JSON.parse(readFileSync(shared.path('paper', 'contexts.json'), 'utf8')) as PaperContexts)
  const contexts = datasets.flatMap(({ dataset, contexts }) =>
    contexts.map(({ id, mode, text }) => ({ id: `${dataset}/${id}`, mode, text })),
  )
  const there = contexts.filter(({ id }) => CATALOG.has(id))

  test('are in the catalog', () => {
    expect(contexts).toHaveLength(78)
    expect(there.length).toBeGreaterThan(0)
    if (ALL_CONTEXTS) expect(contexts.filter((context) => !there.includes(context))).toEqual([])
  })

  test.each(there.map((context) => [context.id, context] as const))(
    '%s makes of a message what the dataset script made of it',
    (id, { mode, text }) => {
      const { body } = explained(CATALOG.get(id)!)
      expect(JSON.parse(body!.toString()).messages).toEqual(SCRIPT[mode]!(text))
    },
  )

  test('shown by the command are the same', async () => {
    const body = JSON.stringify({ messages: [{ role: 'user', content: QUESTION }] })
    for (const mode of Object.keys(SCRIPT)) {
      const context = there.find((it) => it.mode === mode)
      if (context === undefined) continue
      const { code, stdout } = await explain(['--policy', context.id], body)
      expect(code).toBe(0)
      const drawn = stdout.slice(stdout.indexOf('\n\n') + 2).replaceAll(/\{\+|\+\}/g, '')
      expect(JSON.parse(drawn).messages).toEqual(SCRIPT[mode]!(context.text))
    }
  })
})
