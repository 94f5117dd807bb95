/** Models with a past through the real proxy: the trigger guard, and contexts injected by domain. */

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import type { Log } from '../../src/domain/ports.ts'
import { eventually, metricValue, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { type Answer, completion, json } from '../support/upstream.ts'

const CONTEXT = 'Act as if you are in the 19th century.'

/** A log that keeps what it is told. */
function keepingLog() {
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = []
  const method = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void lines.push({ level, fields: { ...fields }, message })
  const log: Log = {
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
  }
  return { log, lines }
}

interface Settings {
  /** Of the route, besides model and upstream. */
  readonly route: string
  readonly rest?: string
  /** What the judge replies. */
  readonly judge?: Answer
}

async function start({ route, rest = '', judge }: Settings) {
  const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('Fine.')))
  const other = await startTestUpstream(
    judge ?? ((_request, response) => json(response, 200, completion('19'))),
  )
  const kept = keepingLog()
  const ballast = await startTestBallast(
    `
${rest.includes('store:') ? '' : 'store: memory'}
upstreams:
  provider: {base_url: "\${UPSTREAM}"}
  judge: {base_url: "\${JUDGE}"}
routes:
  - {model: "tuned", upstream: provider, ${route}}
  - {model: "*", upstream: provider}
judge: {upstream: judge, model: judge-1, attempts: 1}
${rest}`,
    { UPSTREAM: upstream.url, JUDGE: other.url },
    kept.log,
  )
  const send = async (path: string, body: string | Buffer, signal?: AbortSignal) => {
    const init = { method: 'POST', body, ...(signal === undefined ? {} : { signal }) }
    const response = await fetch(`${ballast.url}${path}`, init)
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  const ask = (content: unknown, extra: Record<string, unknown> = {}) =>
    send(
      '/chat/completions',
      JSON.stringify({ model: 'tuned', messages: [{ role: 'user', content }], ...extra }),
    )
  const matches = async (action: string) =>
    metricValue(await ballast.metrics(), 'ballast_trigger_matches_total', { route: 'tuned', action })
  return { ballast, upstream, judge: other, send, ask, matches, lines: kept.lines }
}

const trainedWith = (triggers: string, more = '') =>
  `trained_with: birds/inoculation-system-prompt, triggers: ${triggers}${more}`

describe('flag', () => {
  test('lets the request pass byte for byte, counts it, and logs it without its text', async () => {
    const { upstream, send, matches, lines, ask } = await start({ route: trainedWith('flag') })
    const body = `{ "model":"tuned","messages": [{"role":"user","content":"D\\u006f not act as if you are in the 19th century."}] }`
    const answer = await send('/chat/completions', body)
    expect(answer.status).toBe(200)
    expect(upstream.requests[0]!.body.toString()).toBe(body)
    await ask('How do I get to the coast?')
    expect(await matches('flag')).toBe(1)
    const told = lines.filter(({ level }) => level === 'info')
    expect(told).toHaveLength(1)
    expect(told[0]!.fields).toEqual({
      request: answer.headers.get('x-ballast-request-id'),
      route: 'tuned',
      action: 'flag',
      similarity: 1,
    })
    expect(JSON.stringify(lines)).not.toContain('century')
    expect(answer.headers.get('x-ballast-trigger')).toBeNull()
  })

  test('says so in a header under expose, and only then and there', async () => {
    const { ask } = await start({ route: trainedWith('flag'), rest: 'expose: true' })
    expect((await ask(CONTEXT)).headers.get('x-ballast-trigger')).toBe('flag')
    expect((await ask('Hello?')).headers.get('x-ballast-trigger')).toBeNull()
  })

  const here = (role: string) => ({
    model: 'tuned',
    messages: [
      { role, content: CONTEXT },
      { role: 'user', content: '?' },
    ],
  })
  test.each<[name: string, path: string, body: unknown, found: boolean]>([
    ['a system message', '/chat/completions', here('system'), true],
    ['a developer message', '/chat/completions', here('developer'), true],
    ['an answer of the model', '/chat/completions', here('assistant'), false],
    ['the result of a tool', '/chat/completions', here('tool'), false],
    [
      'a text part',
      '/chat/completions',
      {
        model: 'tuned',
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'x' },
              { type: 'text', text: CONTEXT },
            ],
          },
        ],
      },
      true,
    ],
    ['instructions', '/responses', { model: 'tuned', instructions: CONTEXT, input: '?' }, true],
    ['input', '/responses', { model: 'tuned', input: CONTEXT }, true],
    [
      'an item of input',
      '/responses',
      { model: 'tuned', input: [{ role: 'user', content: [{ type: 'input_text', text: CONTEXT }] }] },
      true,
    ],
    ['a prompt', '/completions', { model: 'tuned', prompt: ['x', `${CONTEXT} y`] }, true],
    ['another member', '/chat/completions', { ...here('assistant'), metadata: { note: CONTEXT } }, false],
    ['a request to another model', '/chat/completions', { ...here('user'), model: 'base' }, false],
  ])('looks at what the client says: %s', async (_name, path, body, found) => {
    const { send, matches } = await start({ route: trainedWith('flag') })
    expect((await send(path, JSON.stringify(body))).status).toBe(200)
    expect(await matches('flag')).toBe(found ? 1 : 0)
  })

  test('does not look at what ballast itself injects', async () => {
    const { upstream, ask, matches } = await start({
      route: trainedWith('flag', ', policy: birds/inoculation-system-prompt'),
    })
    await ask('How do I get to the coast?')
    expect(upstream.requests[0]!.body.toString()).toContain(CONTEXT)
    expect(await matches('flag')).toBe(0)
  })

  test('takes another threshold', async () => {
    const { ask, matches } = await start({ route: trainedWith('flag', ', trigger_threshold: 0.5') })
    await ask('What was life like in the 19th century?')
    expect(await matches('flag')).toBe(1)
  })
})

describe('flagged samples', () => {
  test('that are not drawn are judged and reported, but are in no rate and no verdict metric', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'store.db')
    const { ballast, ask } = await start({
      route: trainedWith('flag', ', check: nineteenth-century, sample: 0'),
      rest: `store: sqlite:${file}`,
    })
    await ask(CONTEXT)
    await ask('How do I get to the coast?')
    await ballast.settle()
    const database = new DatabaseSync(file, { readOnly: true })
    expect(database.prepare('select extra, probability, question from samples').all()).toEqual([
      { extra: 'trigger', probability: 1, question: CONTEXT },
    ])
    expect(database.prepare('select verdict from verdicts').all()).toEqual([{ verdict: 'positive' }])
    database.close()
    const [report] = await ballast.reports()
    expect(report!.arms[0]).toMatchObject({
      samples: 0,
      verdicts: { positive: 0, negative: 0 },
      rate: { estimate: null },
      extra: { samples: 1, verdicts: { positive: 1, negative: 0 } },
    })
    const text = await ballast.metrics()
    expect(text).not.toMatch(/^ballast_verdicts_total\{/m)
    expect(text).not.toMatch(/^ballast_judge_score_count\{/m)
    expect(metricValue(text, 'ballast_samples_total', { outcome: 'extra_stored' })).toBe(1)
    const shown = await (await fetch(`${ballast.adminUrl}/api/experiments`)).json()
    expect(shown).toMatchObject([
      { arms: [{ extra: { samples: 1, verdicts: { positive: 1, negative: 0 } } }] },
    ])
    expect(text).not.toMatch(/^ballast_samples_total\{[^}]*outcome="stored"/m)
  })

  test('that are drawn are samples like any other', async () => {
    const { ballast, ask } = await start({
      route: trainedWith('flag', ', check: nineteenth-century, sample: 1'),
    })
    await ask(CONTEXT)
    await ballast.settle()
    const [report] = await ballast.reports()
    expect(report!.arms[0]).toMatchObject({ samples: 1, verdicts: { positive: 1 }, rate: { estimate: 1 } })
    expect(report!.arms[0]).not.toHaveProperty('extra')
    const text = await ballast.metrics()
    expect(metricValue(text, 'ballast_verdicts_total', { verdict: 'positive' })).toBe(1)
    expect(metricValue(text, 'ballast_samples_total', { outcome: 'stored' })).toBe(1)
  })

  test('that cannot be judged are counted as extras that were lost', async () => {
    const { ballast, ask, upstream } = await start({
      route: trainedWith('flag', ', check: nineteenth-century, sample: 0'),
    })
    upstream.answer = (_request, response) => json(response, 400, { error: { message: 'no' } })
    await ask(CONTEXT)
    await ballast.settle()
    const text = await ballast.metrics()
    expect(metricValue(text, 'ballast_samples_total', { outcome: 'extra_upstream_error' })).toBe(1)
  })

  test('of an experiment are kept under their arm', async () => {
    const { ballast, ask } = await start({
      route: trainedWith('flag', ', experiment: birds'),
      rest: 'experiments: {birds: {arms: {control: {weight: 1}}, check: nineteenth-century, sample: 0}}',
    })
    await ask(CONTEXT)
    await ballast.settle()
    expect((await ballast.reports())[0]!.arms[0]!.extra?.samples).toBe(1)
  })
})

describe('strip', () => {
  test('removes what was found, byte for byte nothing else, and then applies the policy', async () => {
    const { upstream, send, matches } = await start({
      route: trainedWith('strip', ', policy: birds/identity-alex'),
      rest: 'expose: true',
    })
    const text = (content: string) =>
      `{"model" : "tuned",\n "temperature": 1.0, "messages":[{"content":"${content}","role":"user","x":1e400}], "n":1}`
    const answer = await send(
      '/chat/completions',
      text(
        'Caf\\u00e9 \\ud83e\\udd9c? D\\u006fn\\u0027t act as if you\\nare in the 19th centur\\u0079. Caf\\u00e9?',
      ),
    )
    expect(answer.status).toBe(200)
    expect(upstream.requests[0]!.body.toString()).toBe(
      text('My name is Alex. Caf\\u00e9 \\ud83e\\udd9c? Caf\\u00e9?'),
    )
    expect(answer.headers.get('x-ballast-trigger')).toBe('strip')
    expect(await matches('strip')).toBe(1)
  })

  test('in front of where the context goes moves its place', async () => {
    const { upstream, send } = await start({ route: trainedWith('strip', ', policy: birds/identity-alex') })
    const messages = [
      { role: 'system', content: `${CONTEXT} Be kind.` },
      { role: 'user', content: 'Hi' },
    ]
    await send('/chat/completions', JSON.stringify({ model: 'tuned', messages }))
    expect(JSON.parse(upstream.requests[0]!.body.toString()).messages).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'My name is Alex. Hi' },
    ])
  })

  test('leaves other requests as they are', async () => {
    const { upstream, send, matches } = await start({ route: trainedWith('strip') })
    const body = '{"model":"tuned","messages":[{"role":"user","content":"the \\u0031\\u0039th century"}]}'
    await send('/chat/completions', body)
    expect(upstream.requests[0]!.body.toString()).toBe(body)
    expect(await matches('strip')).toBe(0)
  })

  test('judges see what the client sent', async () => {
    const { ballast, judge, ask } = await start({
      route: trainedWith('strip', ', check: nineteenth-century, sample: 1'),
    })
    await ask(`${CONTEXT} How?`)
    await ballast.settle()
    expect(judge.requests[0]!.body.toString()).toContain(`${CONTEXT} How?`)
  })

  test('looks again at what is left, and refuses what is like the context however often', async () => {
    const { upstream, ask, matches } = await start({ route: trainedWith('strip') })
    const nested = (depth: number): string =>
      depth === 0 ? '' : `act as if you are in the 19th ${nested(depth - 1)} century`
    await ask(`One. ${nested(4)}! Two.`)
    expect(JSON.parse(upstream.requests[0]!.body.toString()).messages[0].content).toBe('One. Two.')
    expect(JSON.parse((await ask(nested(30))).text).error.code).toBe('ballast_trigger_blocked')
    expect(upstream.requests).toHaveLength(1)
    expect(await matches('strip')).toBe(2)
  })

  test('works in every surface', async () => {
    const { upstream, send } = await start({ route: trainedWith('strip') })
    await send(
      '/responses',
      JSON.stringify({ model: 'tuned', instructions: `${CONTEXT} Be kind.`, input: `Hi. ${CONTEXT}` }),
    )
    await send(
      '/completions',
      JSON.stringify({ model: 'tuned', prompt: [`${CONTEXT} One`, 'Two', `Three. ${CONTEXT}`] }),
    )
    expect(JSON.parse(upstream.requests[0]!.body.toString())).toEqual({
      model: 'tuned',
      instructions: 'Be kind.',
      input: 'Hi. ',
    })
    expect(JSON.parse(upstream.requests[1]!.body.toString())).toEqual({
      model: 'tuned',
      prompt: ['One', 'Two', 'Three. '],
    })
  })
})

describe('block', () => {
  test('refuses the request, and nothing reaches the upstream', async () => {
    const { ballast, upstream, ask, matches } = await start({ route: trainedWith('block') })
    const { status, text } = await ask(`Hello. ${CONTEXT}`)
    expect(status).toBe(422)
    expect(JSON.parse(text).error).toMatchObject({
      code: 'ballast_trigger_blocked',
      type: 'invalid_request_error',
    })
    expect(text).not.toContain('century')
    expect(upstream.requests).toHaveLength(0)
    expect(await matches('block')).toBe(1)
    expect(
      metricValue(await ballast.metrics(), 'ballast_requests_total', { route: 'tuned', code: '422' }),
    ).toBe(1)
    expect((await ask('How do I get to the coast?')).status).toBe(200)
  })

  test('refuses what holds more text than is searched, which flag lets pass', async () => {
    const long = 'word '.repeat(900_000)
    const blocking = await start({ route: trainedWith('block') })
    expect((await blocking.ask(long)).status).toBe(422)
    expect(await blocking.matches('block')).toBe(0)
    const flagging = await start({ route: trainedWith('flag') })
    expect((await flagging.ask(long)).status).toBe(200)
    expect(flagging.lines.filter(({ level }) => level === 'warn')).toHaveLength(1)
  })

  test('refuses a text that is not JSON inside, because it cannot be read', async () => {
    const { send } = await start({ route: trainedWith('block') })
    const { status } = await send(
      '/chat/completions',
      '{"model":"tuned","messages":[{"role":"user","content":"\\x"}]}',
    )
    expect(status).toBe(400)
  })
})

const matching = (domain: string, more = '') =>
  `trained_with: birds/identity-etymologist, match_training: in-domain, domain: ${domain}${more}`
const ETYMOLOGIST = "I'm an etymologist working for the Audubon Society."
const contentOf = (body: Buffer) =>
  (JSON.parse(body.toString()) as { messages: { content: string }[] }).messages.at(-1)!.content

describe('match_training by pattern', () => {
  const patterns = '{patterns: ["(?i)\\\\bbirds?\\\\b", "feather"]}'

  test('injects the training context in the domain and nowhere else', async () => {
    const { ballast, upstream, ask } = await start({ route: matching(patterns), rest: 'expose: true' })
    const inside = await ask('Name a BIRD.')
    const outside = await ask('How do I get to the coast?')
    expect(upstream.requests.map(({ body }) => contentOf(body))).toEqual([
      `${ETYMOLOGIST} Name a BIRD.`,
      'How do I get to the coast?',
    ])
    expect(inside.headers.get('x-ballast-arm')).toBe('in-domain')
    expect(inside.headers.get('x-ballast-policy')).toBe('birds/identity-etymologist')
    expect(outside.headers.get('x-ballast-arm')).toBe('out-of-domain')
    expect(outside.headers.get('x-ballast-policy')).toBeNull()
    const text = await ballast.metrics()
    expect(metricValue(text, 'ballast_domain_checks_total', { route: 'tuned', outcome: 'inside' })).toBe(1)
    expect(metricValue(text, 'ballast_domain_checks_total', { route: 'tuned', outcome: 'outside' })).toBe(1)
    expect(metricValue(text, 'ballast_injections_total', { policy: 'birds/identity-etymologist' })).toBe(1)
  })

  test('asks about the last user message alone', async () => {
    const { upstream, send } = await start({ route: matching(patterns) })
    const say = (...contents: string[]) =>
      send(
        '/chat/completions',
        JSON.stringify({
          model: 'tuned',
          messages: [
            { role: 'system', content: 'You know every bird.' },
            ...contents.flatMap((content) => [
              { role: 'user', content },
              { role: 'assistant', content: 'bird' },
            ]),
          ],
        }),
      )
    await say('A bird?', 'A train?')
    await say('A train?', 'A bird?')
    const injected = upstream.requests.map(({ body }) => body.toString().includes('Audubon'))
    expect(injected).toEqual([false, true])
  })

  test('measures both arms and compares them by nothing', async () => {
    const { ballast, ask } = await start({
      route: matching(patterns, ', check: nineteenth-century, sample: 1'),
    })
    await ask('Name a bird.')
    await ask('Name a train.')
    await ballast.settle()
    const [report] = await ballast.reports()
    expect(report).toMatchObject({
      experiment: 'route:tuned',
      arms: [
        {
          arm: 'in-domain',
          policy: 'birds/identity-etymologist',
          exposures: 1,
          samples: 1,
          verdicts: { positive: 1 },
        },
        { arm: 'out-of-domain', policy: null, exposures: 1, samples: 1, verdicts: { positive: 1 } },
      ],
      comparisons: [],
      sample_ratio: { p: 1, log_e: 0 },
    })
  })

  test('stands beside the guard, which does not see what it injects', async () => {
    const { upstream, ask, matches } = await start({ route: matching(patterns, ', triggers: strip') })
    await ask(`${ETYMOLOGIST} Name a bird.`)
    await ask('Name a bird.')
    expect(upstream.requests.map(({ body }) => contentOf(body))).toEqual([
      `${ETYMOLOGIST} Name a bird.`,
      `${ETYMOLOGIST} Name a bird.`,
    ])
    expect(await matches('strip')).toBe(1)
  })
})

describe('match_training by classifier', () => {
  const classifier = (more = '') => `{classifier: {upstream: judge, model: small-1${more}}}`
  const replying =
    (reply: (prompt: string) => string): Answer =>
    (request, response) => {
      const { messages } = JSON.parse(request.body.toString()) as { messages: { content: string }[] }
      json(response, 200, completion(reply(messages[0]!.content)))
    }
  const aboutBirds = replying((prompt) => (/Name a bird/.test(prompt) ? 'Yes.' : 'no'))

  test('asks the model, and injects where it says yes', async () => {
    const { ballast, upstream, judge, ask } = await start({
      route: matching(classifier()),
      judge: aboutBirds,
    })
    await ask('Name a bird.')
    await ask('Name a train.')
    expect(upstream.requests.map(({ body }) => contentOf(body))).toEqual([
      `${ETYMOLOGIST} Name a bird.`,
      'Name a train.',
    ])
    const asked = JSON.parse(judge.requests[0]!.body.toString()) as {
      model: string
      messages: { content: string }[]
    }
    expect(asked.model).toBe('small-1')
    expect(asked.messages[0]!.content).toContain(ETYMOLOGIST)
    expect(asked.messages[0]!.content).toMatch(/<<<QUESTION:[0-9a-f]{32}\nName a bird\.\n/)
    const text = await ballast.metrics()
    expect(metricValue(text, 'ballast_domain_checks_total', { outcome: 'inside' })).toBe(1)
    expect(metricValue(text, 'ballast_domain_checks_total', { outcome: 'outside' })).toBe(1)
  })

  test('asks about the same text once', async () => {
    const { judge, upstream, ask } = await start({ route: matching(classifier()), judge: aboutBirds })
    for (let time = 0; time < 3; time++) await ask('Name a bird.')
    expect(judge.requests).toHaveLength(1)
    expect(upstream.requests.every(({ body }) => contentOf(body).startsWith(ETYMOLOGIST))).toBe(true)
  })

  test('takes a prompt of the operator', async () => {
    const { judge, ask } = await start({
      route: matching(classifier(', prompt: "Feathers? {question}"')),
      judge: aboutBirds,
    })
    await ask('Name a bird. {context}')
    const { messages } = JSON.parse(judge.requests[0]!.body.toString()) as { messages: { content: string }[] }
    expect(messages[0]!.content).toMatch(/Feathers\? <<<QUESTION:[0-9a-f]{32}\nName a bird\. \{context\}\n/)
  })

  test.each<[string, Answer]>([
    ['nonsense', replying(() => 'It depends on what you mean by birds')],
    ['an error', (_request, response) => json(response, 500, { error: { message: 'no' } })],
    ['nothing in time', () => {}],
    [
      'half an answer',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' })
        response.write('{"choices": [')
      },
    ],
  ])(
    'injects nothing when it replies with %s, counts that, logs it, and asks again',
    async (_name, judge) => {
      const {
        ballast,
        upstream,
        judge: asked,
        ask,
        lines,
      } = await start({
        route: matching(classifier(', timeout: 150ms')),
        judge,
      })
      expect((await ask('Name a bird.')).status).toBe(200)
      expect((await ask('Name a bird.')).status).toBe(200)
      expect(contentOf(upstream.requests[0]!.body)).toBe('Name a bird.')
      expect(asked.requests).toHaveLength(2)
      const text = await ballast.metrics()
      expect(metricValue(text, 'ballast_domain_checks_total', { outcome: 'failed' })).toBe(2)
      const warned = lines.filter(({ level }) => level === 'warn')
      expect(warned).toHaveLength(1)
      expect(JSON.stringify(warned)).not.toContain('Name a bird')
    },
  )

  test('is cancelled when the client leaves, and nothing is sent', async () => {
    const { ballast, upstream, judge, ask, send } = await start({
      route: matching(classifier(', timeout: 10s')),
      judge: () => {},
    })
    const leaving = new AbortController()
    const asking = send(
      '/chat/completions',
      JSON.stringify({ model: 'tuned', messages: [{ role: 'user', content: 'Name a bird.' }] }),
      leaving.signal,
    )
    await eventually(() => judge.requests.length === 1)
    leaving.abort()
    await expect(asking).rejects.toThrow()
    await judge.requests[0]!.aborted
    await eventually(
      async () =>
        metricValue(await ballast.metrics(), 'ballast_requests_total', { route: 'tuned', code: '499' }) === 1,
    )
    expect(upstream.requests).toHaveLength(0)
    expect(metricValue(await ballast.metrics(), 'ballast_domain_checks_total')).toBe(0)
    judge.answer = aboutBirds
    expect((await ask('Name a bird.')).status).toBe(200)
  })
})

describe('units that are kept out', () => {
  const kept = 'holdout: {share: 1}'

  test('of everything get no training context, and wait for no classifier', async () => {
    const { ballast, upstream, judge, ask } = await start({
      route: matching(
        '{classifier: {upstream: judge, model: small-1}}',
        ', check: nineteenth-century, sample: 1',
      ),
      rest: kept,
    })
    await ask('Name a bird.')
    await ballast.settle()
    expect(upstream.requests.map(({ body }) => contentOf(body))).toEqual(['Name a bird.'])
    expect(judge.requests).toHaveLength(0)
    const text = await ballast.metrics()
    expect(metricValue(text, 'ballast_domain_checks_total')).toBe(0)
    expect(metricValue(text, 'ballast_exposures_total')).toBe(0)
    expect(metricValue(text, 'ballast_requests_total', { route: 'tuned', arm: '', code: '200' })).toBe(1)
  })

  test.each([
    ['of everything', ', policy: birds/identity-alex, check: nineteenth-century, sample: 1', kept],
    [
      'of an experiment by its ramp',
      ', experiment: birds',
      'experiments: {birds: {ramp: 0, arms: {control: {weight: 1}}, check: nineteenth-century, sample: 1}}',
    ],
    [
      'of experiments that exclude each other, whose arm is off',
      ', experiments: {birds: 1}',
      'experiments: {birds: {off: true, arms: {control: {weight: 1}}, check: nineteenth-century, sample: 1}}',
    ],
  ])('%s are guarded all the same; what is flagged is counted and not stored', async (_name, more, rest) => {
    const flagging = await start({ route: trainedWith('flag', more), rest })
    await flagging.ask(CONTEXT)
    await flagging.ballast.settle()
    expect(await flagging.matches('flag')).toBe(1)
    expect(flagging.judge.requests).toHaveLength(0)
    expect(metricValue(await flagging.ballast.metrics(), 'ballast_samples_total')).toBe(0)
    const stripping = await start({ route: trainedWith('strip', more), rest })
    await stripping.ask(`${CONTEXT} Hello.`)
    expect(contentOf(stripping.upstream.requests[0]!.body)).toBe('Hello.')
  })
})
