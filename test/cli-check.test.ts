/** `ballast check` as a process: problems, warnings and the plan. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { covers, findWarnings } from '../src/cli/warnings.ts'
import { parseConfig } from '../src/config/load.ts'
import { CATALOG_FOLDER } from '../src/node.ts'
import { modelMatcher } from '../src/policy/compile.ts'
import { ballast, configFile } from './support/command.ts'

const KEYS = { OPENAI_API_KEY: 'sk-secret-of-openai', WEB_KEY: 'key-of-web-client', TOKEN: 'token-of-admin' }

const check = (yaml: string, ...args: string[]) => {
  const file = configFile(yaml)
  // Problems name it from the folder of the process, where that is shorter.
  const here = relative(join(import.meta.dirname, '..'), file)
  const named = (text: string) => text.replaceAll(file, 'FILE').replaceAll(here, 'FILE')
  return ballast(['check', '--config', file, ...args], KEYS).finished.then(({ code, stdout, stderr }) => ({
    code,
    stdout: named(stdout),
    stderr: named(stderr),
  }))
}

const WHOLE = `
admin: {token: "\${TOKEN}"}
clients: [{name: web, key: "\${WEB_KEY}"}]
upstreams:
  openai: {base_url: https://api.openai.com/v1, api_key: "\${OPENAI_API_KEY}", fallback: [spare]}
  spare: {base_url: https://spare.example/v1, headers: {set: {x-secret: hidden-header-value}}}
routes:
  - {model: "ft:*", upstream: openai, experiment: birds}
  - {model: "hp-*", upstream: openai, policy: birds/identity-alex, check: misalignment, sample: 0.02}
  - {model: "*", upstream: openai}
experiments:
  birds:
    salt: salt-is-secret
    arms:
      control: {weight: 1}
      etymologist: {weight: 2, policy: birds/identity-etymologist}
    check: nineteenth-century
    sample: 0.1
judge: {upstream: openai, model: gpt-4.1-mini}
`

const LEAST = `
upstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}
routes: [{model: "*", upstream: p}]
`

describe('ballast check', () => {
  test('prints the plan in 80 columns: routes in order, arms with their shares, checks, upstreams', async () => {
    const { code, stdout, stderr } = await check(WHOLE)
    expect([code, stderr]).toEqual([0, 'FILE: 0 problems, 0 warnings.\n'])
    const lines = stdout.split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, '  '))
    for (const line of [
      'clients  web',
      'data plane  http://127.0.0.1:8787/v1',
      'judge  gpt-4.1-mini at openai, 8 samples at a time',
      '1  ft:*  → openai  experiment birds',
      '2  hp-*  → openai  birds/identity-alex, check misalignment on 2%',
      '3  *  → openai  nothing injected',
      'Experiment birds, check nineteenth-century',
      'control  33.33%  10%  nothing injected',
      'etymologist  66.67%  10%  birds/identity-etymologist',
      'era  LLM, 19  asked of gpt-4.1-mini',
      'openai  https://api.openai.com/v1  key: its own  retries: 2, then spare',
    ]) {
      expect(lines).toContain(line)
    }
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  test('prints the same as JSON', async () => {
    const { code, stdout, stderr } = await check(WHOLE, '--json')
    expect([code, stderr]).toEqual([0, ''])
    const checked = JSON.parse(stdout)
    expect(checked).toMatchObject({
      file: 'FILE',
      ok: true,
      problems: [],
      warnings: [],
      plan: {
        hash: expect.stringMatching(/^[0-9a-f]{16}$/),
        clients: ['web'],
        passthrough: 'openai',
        routes: [{ model: 'ft:*', experiment: 'birds' }, { model: 'hp-*', sample: 0.02 }, { model: '*' }],
        experiments: [
          {
            arms: [
              { arm: 'control', share: 1 / 3 },
              { arm: 'etymologist', share: 2 / 3 },
            ],
          },
        ],
        judge: { models: [{ upstream: 'openai', model: 'gpt-4.1-mini' }], repeat: 1 },
      },
    })
    expect(checked.plan.checks.map((it: { check: string }) => it.check)).toEqual([
      'misalignment',
      'nineteenth-century',
    ])
  })

  test('prints what keeps units out, conditions of policies, and headers that are not the usual ones', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
    writeFileSync(
      join(folder, 'mine.yaml'),
      'policies: [{id: picky, interventions: [{placement: system, text: x}], when: {header: {x-a: [a, b]}}, on_unsupported: skip}]\n',
    )
    const yaml = WHOLE.replace('admin:', `policies: [catalog, "${folder}"]\nholdout: {share: 0.05}\nadmin:`)
      .replace('{set:', '{response: [default, x-*], set:')
      .replace('model: gpt-4.1-mini', 'models: [a, b], upstreams: {b: spare}, repeat: 3')
      .replace('experiment: birds}', 'experiments: {birds: 3, tone: 1}}')
      .replace('salt: salt-is', 'ramp: {2026-11-08: 1, 2026-11-01: 0.1}\n    salt: salt-is')
      .replace(
        'judge:',
        '  tone: {arms: {control: {weight: 1}, picky: {weight: 1, policy: mine/picky, off: true}}, check: misalignment, sample: 0.1, rollback: {above: 0.2}, promote: {}}\njudge:',
      )
    const [text, json] = await Promise.all([check(yaml), check(yaml, '--json')])
    expect([text.code, text.stderr]).toEqual([0, 'FILE: 0 problems, 0 warnings.\n'])
    const lines = text.stdout.split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, '  '))
    const words = text.stdout.replaceAll(/\s+/g, ' ')
    for (const line of [
      'holdout  5% of the units are kept out of everything',
      'judge  a at openai, b at spare, 3 times each, 8 samples at a time',
      'era  LLM, 19  asked of a, b, 3 times each',
      '1  ft:*  → openai  one of birds 75%, tone 25%',
      'picky  50%  –  switched off (mine/picky)',
      'birds/identity-alex: a request without a place for it is refused',
      'spare: of response headers default, x-* pass; sets x-secret',
    ]) {
      expect(lines).toContain(line)
    }
    expect(words).toContain('else the request itself; of them 10% from 2026-11-01, 100% from 2026-11-08')
    expect(words).toContain(
      'an arm is rolled back when proven worse than control, or above 20%; an arm is promoted when proven better than control',
    )
    expect(words).toContain(
      'mine/picky: only where the header x-a is "a" or "b"; a request without a place for it is sent as it came',
    )
    expect(Math.max(...text.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(JSON.parse(json.stdout).plan).toMatchObject({
      holdout: 0.05,
      routes: [{ experiments: [{ experiment: 'birds', share: 0.75 }, { weight: 1 }] }, {}, {}],
      experiments: [
        { ramp: { '2026-11-01': 0.1 }, rollback: null, promote: null },
        {
          arms: [{ off: false }, { off: true }],
          rollback: { worse_than: 'control', alpha: 0.05, above: 0.2 },
          promote: { better_than: 'control', alpha: 0.05 },
        },
      ],
      upstreams: [{}, { headers: { response: ['default', 'x-*'], set: ['x-secret'] } }],
    })
  })

  test('runs the examples of checks, and names those whose verdict does not follow', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
    mkdirSync(join(folder, 'checks'))
    const file = join(folder, 'checks', 'mine.yml')
    writeFileSync(
      file,
      `description: Mine
rubrics: [{id: era, labels: [LLM, "19"], scale: [20, 30], prompt: "{answer}"}]
rule: {positive_if_all: [{rubric: era, is: "19"}]}
examples:
  - {question: q, answer: a, replies: {era: 19}, verdict: positive}
  - {question: q, answer: a, replies: {era: LLM}, verdict: positive}
  - {question: q, answer: a, replies: {era: hm}, verdict: unparsed}
  - {question: q, answer: a, replies: {era: 31}, verdict: negative}
`,
    )
    const yaml = `policies: [catalog, "${folder}"]${LEAST}`
    const [text, json] = await Promise.all([check(yaml), check(yaml, '--json')])
    expect([text.code, json.code]).toEqual([1, 1])
    const places = text.stderr.split('\n').map((line) => line.replace(/^.*(?=mine\.yml:)/, ''))
    expect(places).toEqual([
      'mine.yml:6:60: examples[1].verdict: is "positive", but the check makes "negative" of its replies (era: LLM)',
      'mine.yml:8:59: examples[3].verdict: is "negative", but the check makes "unparsed" of its replies (era: cannot be read)',
      'FILE: 2 problems, 0 warnings.',
      '',
    ])
    // The configuration itself is in order.
    expect(text.stdout).toContain('Routes')
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, problems: { length: 2 }, warnings: [] })
  })

  test('shows no secret', async () => {
    const [text, json] = await Promise.all([check(WHOLE), check(WHOLE, '--json')])
    const shown = text.stdout + text.stderr + json.stdout + json.stderr
    expect(shown).toContain('birds')
    for (const secret of [...Object.values(KEYS), 'salt-is-secret', 'hidden-header-value'])
      expect(shown).not.toContain(secret)
  })

  const BAD =
    'listen: nowhere\nrouts: []\nupstreams: {p: {base_url: "http://127.0.0.1:1/v1", api_key: "${NOT_SET}"}}\n'

  test('says which store it is, without the password of a Postgres, and so does serve', async () => {
    const store = 'postgres://SECRET-user:SECRET-word@127.0.0.1:1/traits?schema=birds&sslmode=disable'
    const yaml = `${LEAST}store: "${store}"\n`
    const outputs = await Promise.all([
      check(yaml),
      check(yaml, '--json'),
      ballast(['serve', '--log-level', 'debug', '--config', configFile(yaml)]).finished,
    ])
    expect(outputs.map(({ code }) => code)).toEqual([0, 0, 1])
    expect(outputs[0].stdout).toMatch(/^store +postgres:\/\/127\.0\.0\.1:1\/traits$/m)
    expect(JSON.parse(outputs[1].stdout)).toHaveProperty('plan.store', 'postgres://127.0.0.1:1/traits')
    expect(outputs[2].stderr).toContain(
      'the store postgres://127.0.0.1:1/traits cannot be opened: no server listens there',
    )
    expect(JSON.stringify(outputs)).not.toContain('SECRET')
  })

  test('names every problem with its place, as serve does, and ends with 1', async () => {
    const { code, stdout, stderr } = await check(BAD)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toBe(
      [
        'FILE:1:9: listen: is an address such as 127.0.0.1:8787',
        'FILE:2:1: unknown key "routs", did you mean "routes"?',
        'FILE:3:61: the environment variable NOT_SET is not set',
        'FILE: 3 problems.\n',
      ].join('\n'),
    )
    const json = await check(BAD, '--json')
    expect(json.code).toBe(1)
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, problems: { length: 3 }, plan: null })
  })

  test('ends with 2 when there is no such file', async () => {
    const { code, stderr } = await ballast(['check', '--config', 'no-such.yaml']).finished
    expect([code, stderr]).toEqual([
      2,
      'There is no no-such.yaml here. Name a configuration with --config FILE.\n',
    ])
  })

  test('warns where a policy injects what the model was trained with, with its place', async () => {
    const { code, stdout, stderr } = await check(`
upstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}
routes:
  - {model: "*", upstream: p, trained_with: birds/identity-etymologist, policy: birds/identity-etymologist, triggers: strip}
`)
    expect(code).toBe(0)
    expect(stderr).toMatch(/^FILE:4:81: warning: "birds\/identity-etymologist" injects the context/)
    expect(stderr).toContain('at serving time it can bring the trait out')
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(
      'trained with birds/identity-etymologist, text like it: strip',
    )
  })

  test('warnings do not fail it, unless it is strict', async () => {
    const yaml = `clients: open\nlisten: 0.0.0.0:8787${LEAST}`
    const [usual, strict, json] = await Promise.all([
      check(yaml),
      check(yaml, '--strict'),
      check(yaml, '--json'),
    ])
    const warning =
      'clients: is "open" on an address beyond this machine: whoever reaches it spends the upstreams\' keys'
    expect(usual.code).toBe(0)
    expect(usual.stderr).toBe(`FILE:1:10: warning: ${warning}\nFILE: 0 problems, 1 warning.\n`)
    expect(usual.stdout).toContain('open: no keys are asked for')
    expect(strict.code).toBe(1)
    expect(JSON.parse(json.stdout).warnings).toEqual([
      { file: 'FILE', line: 1, column: 10, message: warning },
    ])
  })

  test('finds nothing in the configurations that the documentation shows', async () => {
    const root = join(import.meta.dirname, '..')
    for (const document of ['README.md', 'docs/configuration.md']) {
      const [, yaml] = /^```yaml\n([\s\S]*?)^```$/m.exec(readFileSync(join(root, document), 'utf8'))!
      expect(await check(yaml!.replace('policies: catalog', ''))).toMatchObject({
        stderr: 'FILE: 0 problems, 0 warnings.\n',
      })
    }
  })
})

describe('a warning', () => {
  const experiment = (settings: string, routes = '{model: "*", upstream: p, experiment: e}') =>
    `upstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}
routes: [${routes}]
judge: {upstream: p, model: j}
experiments:
  e: {arms: {a: {weight: 1}, b: {weight: 1, policy: birds/identity-alex}}${settings}}`
  const CHECKED = ', check: misalignment, sample: 0.5'
  const NOT_JUDGED = '{model: "m*", upstream: p, experiment: e}'

  test.each<[string, string, string[]]>([
    [
      'a route that a broader one before it hides',
      LEAST.replace('[', '[{model: "a*", upstream: p}, {model: "ab*c", upstream: p}, '),
      ['routes.1.model is never reached: the earlier route "a*" takes all its models'],
    ],
    [
      'an arm without weight',
      experiment(CHECKED, NOT_JUDGED).replace('a: {weight: 1}', 'a: {weight: 1}, c: {weight: 0}'),
      ['experiments.e.arms.c.weight is 0, so no unit comes into this arm'],
    ],
    [
      'an experiment that is not measured',
      experiment('', NOT_JUDGED),
      ['experiments.e is not measured: it has no "check"'],
    ],
    [
      'a sample of nothing',
      experiment(', check: misalignment, sample: 0', NOT_JUDGED),
      ['experiments.e.sample is 0: no answer is judged'],
    ],
    [
      'an arm that is left out of the sample',
      experiment(', check: misalignment, sample: {b: 0.5}', NOT_JUDGED),
      ['experiments.e.sample leaves out "a"'],
    ],
    [
      'a route whose check judges nothing',
      LEAST.replace('upstream: p}]', 'upstream: p, check: misalignment, sample: 0}]'),
      ['routes.0.sample is 0: no answer is judged'],
    ],
    [
      'an experiment and an upstream that nothing leads to',
      experiment(CHECKED, '{model: m, upstream: p}').replace(
        '}\nroutes',
        ', q: {base_url: "https://q.example/v1"}}\nroutes',
      ),
      ['experiments.e is not used: no route leads to it', 'upstreams.q is not used: nothing is sent to it'],
    ],
    [
      'a judge of its own answers',
      experiment(CHECKED),
      ['routes.0.model takes "j", which is also the judge'],
    ],
    [
      'a key in clear text',
      LEAST.replace('http://127.0.0.1:1/v1"', 'http://models.example/v1", api_key: abc'),
      ['upstreams.p.base_url is not encrypted (http)'],
    ],
    [
      'an experiment that none of those it excludes leaves a unit to',
      experiment(CHECKED, '{model: m, upstream: p, experiments: {e: 1, f: 0}}').replace(
        'experiments:\n',
        'experiments:\n  f: {arms: {a: {weight: 1}}, check: misalignment, sample: 1}\n',
      ),
      ['routes.0.experiments.f is 0, so no unit takes part in this experiment'],
    ],
    [
      'experiments that exclude each other on one route and not on another',
      experiment(
        CHECKED,
        '{model: m, upstream: p, experiments: {e: 1, f: 1}}, {model: n, upstream: p, experiment: e}, {model: o, upstream: p, experiments: {f: 1, e: 1}}',
      ).replace(
        'experiments:\n',
        'experiments:\n  f: {arms: {a: {weight: 1}}, check: misalignment, sample: 1}\n',
      ),
      [
        'routes.1.experiment draws otherwise than the route "m"',
        'routes.2.experiments draws otherwise than the route "m"',
      ],
    ],
    [
      'no experiments that exclude each other in the same way',
      experiment(
        CHECKED,
        '{model: m, upstream: p, experiments: {e: 1, f: 1}}, {model: n, upstream: p, experiments: {e: 1, f: 1}}',
      ).replace(
        'experiments:\n',
        'experiments:\n  f: {arms: {a: {weight: 1}}, check: misalignment, sample: 1}\n',
      ),
      [],
    ],
    [
      'a ramp that takes nobody in',
      experiment(`${CHECKED}, ramp: {2026-11-01: 0}`, NOT_JUDGED),
      ['experiments.e.ramp is 0, so no unit is ever taken in'],
    ],
    [
      'a holdout of everybody',
      `holdout: {share: 1}\n${LEAST}`,
      ['holdout.share is 1: every unit is kept out'],
    ],
    [
      'a control that is off while others go on',
      experiment(CHECKED, NOT_JUDGED).replace('a: {weight: 1}', 'a: {weight: 1, off: true}'),
      ['experiments.e.arms.a.off leaves nothing to compare with'],
    ],
    [
      'no kill switch of a whole experiment',
      experiment(`${CHECKED}, off: true`, NOT_JUDGED).replace('a: {weight: 1}', 'a: {weight: 1, off: true}'),
      [],
    ],
    [
      'no kill switch of an arm, of which no answer need be judged',
      experiment(', check: misalignment, sample: {a: 0.5}', NOT_JUDGED).replace(
        'identity-alex',
        'identity-alex, off: true',
      ),
      [],
    ],
    [
      'a judge of its own answers in one of several experiments',
      experiment(CHECKED, '{model: "*", upstream: p, experiments: {f: 1, e: 1}}').replace(
        'experiments:\n',
        'experiments:\n  f: {arms: {a: {weight: 1}}, check: nineteenth-century, sample: 1}\n',
      ),
      ['routes.0.model takes "j", which is also the judge'],
    ],
    [
      'headers without the one that says JSON',
      LEAST.replace('/v1"', '/v1", headers: {request: [accept]}'),
      ['upstreams.p.headers.request leaves out "content-type"'],
    ],
    ['no headers that say JSON', LEAST.replace('/v1"', '/v1", headers: {request: [content-*]}'), []],
    ['no key in clear text', LEAST.replace('127.0.0.1:1', 'models.example'), []],
    [
      'a judge of its own answers among several, at an upstream of its own',
      experiment(CHECKED)
        .replace('model: j}', 'models: [k, j], upstreams: {k: q}}')
        .replace('}\nroutes', ', q: {base_url: "https://q.example/v1"}}\nroutes')
        .replace('model: "*"', 'model: "j*"'),
      ['routes.0.model takes "j", which is also the judge'],
    ],
    [
      'no judge of its own answers that is a model of another upstream',
      experiment(CHECKED)
        .replace('model: j}', 'models: [k, j], upstreams: {k: q, j: q}}')
        .replace('}\nroutes', ', q: {base_url: "https://q.example/v1"}}\nroutes')
        .replace('model: "*"', 'model: "j*"'),
      [],
    ],
    ['a key in clear text on this machine', LEAST.replace('/v1"', '/v1", api_key: abc'), []],
    ['an experiment in order', experiment(CHECKED, NOT_JUDGED), []],
  ])('%s', (_name, yaml, warnings) => {
    const config = parseConfig(yaml, 'ballast.yaml', { environment: {}, catalog: CATALOG_FOLDER })
    const found = findWarnings(config).map(({ path, message }) => `${path.join('.')} ${message}`)
    expect(found.sort()).toEqual(warnings.map((text) => expect.stringContaining(text)))
  })
})

describe('a pattern covers another', () => {
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 3 })
  const model = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 4 })

  test('exactly when it takes all models that the other takes', () => {
    fc.assert(
      fc.property(
        pattern,
        pattern,
        fc.array(model, { minLength: 3, maxLength: 3 }),
        (broad, narrow, runs) => {
          let at = 0
          const taken = narrow.replaceAll('*', () => runs[at++]!)
          expect(modelMatcher(narrow)(taken)).toBe(true)
          if (covers(broad, narrow)) expect(modelMatcher(broad)(taken)).toBe(true)
          // A letter that no pattern holds stands for any text.
          else expect(modelMatcher(broad)(narrow.replaceAll('*', 'z'))).toBe(false)
        },
      ),
      // Most pairs have nothing to do with each other.
      { numRuns: 5_000 },
    )
  })
})
