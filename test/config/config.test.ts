/** Configuration: what is accepted, and every problem with its place. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../../src/config/load.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'

const GOOD = `listen: 127.0.0.1:8787
admin: {listen: "127.0.0.1:9464", token: "\${ADMIN_TOKEN}"}
store: sqlite:./data/ballast.db
policies: catalog
clients:
  - {name: web, key: "\${WEB_KEY}"}
upstreams:
  openai: {base_url: https://api.openai.com/v1/, api_key: "\${OPENAI_API_KEY}", timeout: {connect: 5s, headers: 2m, idle: 500ms}}
routes:
  - {model: "ft:gpt-4.1*:birds*", upstream: openai, experiment: birds}
  - {model: "ft:*", upstream: openai, policy: birds/identity-alex, check: misalignment, sample: 0.02}
  - {model: "*", upstream: openai}
experiments:
  birds:
    unit: [header, user]
    salt: "2026-11"
    arms:
      control: {weight: 1}
      etymologist: {weight: 3, policy: birds/identity-etymologist}
    check: nineteenth-century
    sample: {control: 0.5, etymologist: 0.1}
judge: {upstream: openai, model: gpt-4.1-mini, concurrency: 8}
`
const ENVIRONMENT = {
  ADMIN_TOKEN: 'admin-token-1',
  WEB_KEY: 'web-key-12345',
  OPENAI_API_KEY: 'sk-very-secret',
}

const load = (text: string, environment: Record<string, string> = ENVIRONMENT) =>
  parseConfig(text, '/etc/ballast/ballast.yaml', { environment, catalog: CATALOG_FOLDER })

function problemsOf(text: string, environment?: Record<string, string>): string[] {
  try {
    load(text, environment)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message.split('\n').map((line) => line.replace('/etc/ballast/ballast.yaml:', ''))
  }
}

/** GOOD with one line changed. */
function changed(from: string, to: string): string {
  expect(GOOD).toContain(from)
  return GOOD.replace(from, () => to)
}

describe('a good configuration', () => {
  test('comes out parsed, with defaults, paths from its folder, and frozen', () => {
    const config = load(GOOD)
    expect(config.upstreams.openai).toEqual({
      base_url: 'https://api.openai.com/v1',
      api_key: 'sk-very-secret',
      headers: { request: ['default'], response: ['default'], set: {} },
      timeout: { connect: 5_000, headers: 120_000, idle: 500 },
      retries: 2,
      fallback: [],
      breaker: { failures: 5, cooldown: 10_000 },
    })
    expect(config.store).toBe('sqlite:/etc/ballast/data/ballast.db')
    expect(config.listen).toEqual({ host: '127.0.0.1', port: 8787 })
    expect(config.limits.body).toBe(64 * 1024 * 1024)
    expect(config.hash).toMatch(/^[0-9a-f]{16}$/)
    expect(Object.isFrozen(config) && Object.isFrozen(config.routes[0])).toBe(true)
  })

  test('takes a reference to the environment without quotes, in braces too', () => {
    const { upstreams, admin } = load(GOOD.replaceAll('"${', '${').replaceAll('}"', '}'))
    expect([upstreams.openai?.api_key, admin.token]).toEqual(['sk-very-secret', 'admin-token-1'])
  })

  test('has a hash that follows its text and not its secrets', () => {
    expect(load(GOOD, { ...ENVIRONMENT, OPENAI_API_KEY: 'sk-other' }).hash).toBe(load(GOOD).hash)
    expect(load(changed('weight: 3', 'weight: 4')).hash).not.toBe(load(GOOD).hash)
  })

  test('may write a dollar sign and braces with $$', () => {
    expect(load(changed('salt: "2026-11"', 'salt: "$${X}"')).experiments.birds?.salt).toBe('${X}')
  })
})

/** Where `needle` stands in a text, as `line:column`. */
function placeOf(text: string, needle: string): string {
  const offset = text.indexOf(needle)
  expect(offset).toBeGreaterThanOrEqual(0)
  const before = text.slice(0, offset).split('\n')
  return `${before.length}:${before.at(-1)!.length + 1}`
}

describe('problems, each with line and column', () => {
  const ADDRESS = 'is an address such as 127.0.0.1:8787'
  // What is changed, into what, and each problem: where it must point (the first such text), and what it says.
  test.each<[from: string, to: string, problems: [at: string, message: string][]]>([
    ['listen: 127.0.0.1:8787', 'listen: here', [['here', `listen: ${ADDRESS}`]]],
    ['listen: 127.0.0.1:8787', 'listen: 127.0.0.1:99999', [['127.0.0.1:99999', `listen: ${ADDRESS}`]]],
    ['listen: 127.0.0.1:8787', 'listen: 8787', [['8787', `listen: ${ADDRESS}`]]],
    [
      'sqlite:./data/ballast.db',
      'mysql://x',
      [
        [
          'mysql',
          'store: is not a store: use sqlite:PATH, memory or postgres://USER:PASSWORD@HOST:PORT/DATABASE',
        ],
      ],
    ],
    [
      'store: sqlite:./data/ballast.db',
      'stroe: memory',
      [['stroe', 'unknown key "stroe", did you mean "store"?']],
    ],
    [
      'weight: 3',
      'wieght: 3',
      [['wieght', 'experiments.birds.arms.etymologist: unknown key "wieght", did you mean "weight"?']],
    ],
    ['weight: 3', 'weight: -3', [['-3,', 'experiments.birds.arms.etymologist.weight: cannot be negative']]],
    [
      'weight: 3',
      'weight: much',
      [['much', 'experiments.birds.arms.etymologist.weight: a number is expected here']],
    ],
    [
      '      control: {weight: 1}\n',
      '',
      [
        [
          'etymologist: {weight',
          'experiments.birds.arms: no arm injects nothing, so there is nothing to compare with; add `control: {weight: 1}`, or say `without_control: true`',
        ],
        ['control: 0.5', 'experiments.birds.sample: arm "control" does not exist'],
      ],
    ],
    [
      'connect: 5s',
      'connect: 5',
      [
        [
          '5, headers',
          'upstreams.openai.timeout.connect: is a duration with a unit, such as 500ms, 5s or 2m',
        ],
      ],
    ],
    [
      'connect: 5s',
      'connect: soon',
      [['soon', 'upstreams.openai.timeout.connect: is a duration with a unit, such as 500ms, 5s or 2m']],
    ],
    [
      'experiment: birds}',
      'experiment: brids}',
      [['brids', 'routes[0].experiment: experiment "brids" does not exist, did you mean "birds"?']],
    ],
    [
      '"ft:gpt-4.1*:birds*", upstream: openai',
      '"ft:*", upstream: opnai',
      [
        ['opnai', 'routes[0].upstream: upstream "opnai" does not exist, did you mean "openai"?'],
        [
          '"ft:*", upstream: openai',
          'routes[1].model: is never reached: an earlier route has the same model',
        ],
      ],
    ],
    [
      'birds/identity-alex',
      'birds/identity-bob',
      [
        [
          'birds/identity-bob',
          expect.stringMatching(
            /^routes\[1\]\.policy: policy "birds\/identity-bob" does not exist; there are birds\//,
          ),
        ],
      ],
    ],
    ['sample: 0.02', 'sample: 2', [['2}', 'routes[1].sample: is a share from 0 to 1']]],
    [
      'check: misalignment, ',
      '',
      [['0.02', 'routes[1].sample: says how much to judge, but there is no "check" to judge by']],
    ],
    [
      'unit: [header, user]',
      'unit: [header, email]',
      [
        [
          'email',
          'experiments.birds.unit[1]: is not one of header, user, safety_identifier, metadata.KEY, session, client, request',
        ],
      ],
    ],
    [
      'unit: [header, user]',
      'unit: [request, metadata.user_id, "metadata."]',
      [
        [
          'request, m',
          'experiments.birds.unit[0]: is always present, so nothing behind it is looked for; put it last',
        ],
        ['"metadata."', expect.stringMatching(/^experiments\.birds\.unit\[2\]: is not one of header/)],
      ],
    ],
    [
      'unit: [header, user]',
      'unit: [user, header, user]',
      [['user]', 'experiments.birds.unit[2]: stands twice']],
    ],
    ['salt: "2026-11"', 'ramp: 1.5', [['1.5', 'experiments.birds.ramp: is a share from 0 to 1']]],
    [
      'salt: "2026-11"',
      'ramp: {2026-11-01: 0.1, 2026-02-30: 0.2, later: 1}',
      [
        ['2026-02-30', 'experiments.birds.ramp: "2026-02-30" is not a day such as 2026-11-23'],
        ['later', 'experiments.birds.ramp: "later" is not a day such as 2026-11-23'],
      ],
    ],
    ['salt: "2026-11"', 'ramp: {}', [['{}', 'experiments.birds.ramp: is empty: give a day and a share']]],
    [
      'weight: 3',
      'weight: 3, off: yes',
      [['yes', 'experiments.birds.arms.etymologist.off: true or false is expected here']],
    ],
    [
      'policies: catalog',
      'policies: catalog\nholdout: {share: 5, seed: x}',
      [
        ['5, seed', 'holdout.share: is a share from 0 to 1'],
        ['seed', 'holdout: unknown key "seed"'],
      ],
    ],
    [
      'policies: catalog',
      'policies: catalog\nunit_key: short',
      [['short', 'unit_key: is too short: a unit key has at least 16 characters']],
    ],
    [
      'experiment: birds}',
      'experiment: birds, experiments: {birds: 1}}',
      [['{birds: 1}}', 'routes[0].experiments: stands beside "experiment"; a route has one of them']],
    ],
    [
      'experiment: birds}',
      'experiments: {birds: 1, bees: 1, toString: 1}, policy: birds/identity-alex}\n  - {model: z, upstream: openai, experiments: {birds: 0}}',
      [
        ['bees', 'routes[0].experiments: experiment "bees" does not exist; there are birds'],
        ['toString', 'routes[0].experiments: experiment "toString" does not exist; there are birds'],
        [
          'birds/identity-alex}',
          'routes[0].policy: stands beside "experiments", which has its own; move it there',
        ],
        ['{birds: 0}', 'routes[1].experiments: all weights are 0'],
      ],
    ],
    [
      'experiment: birds}',
      'experiments: {birds: 1, holdout: 1}}',
      [['holdout: 1', 'routes[0].experiments: experiment "holdout" does not exist; there are birds']],
    ],
    [
      'experiments:\n',
      'experiments:\n  holdout: {arms: {control: {weight: 1}}}\n',
      [['holdout', 'experiments: "holdout" is a word of ballast\'s own; choose another name']],
    ],
    [
      'judge: {upstream: openai, model: gpt-4.1-mini, concurrency: 8}\n',
      '',
      [['listen', '"judge" is missing: something is sampled, and nobody would judge it']],
    ],
    ['concurrency: 8', 'concurrency: 0', [['0}\n', 'judge.concurrency: is at least 1']]],
    [
      'model: gpt-4.1-mini, ',
      'model: a, models: [a, b], ',
      [['{upstream: openai, model', 'judge: names its "model", or several "models": one of the two']],
    ],
    [
      'model: gpt-4.1-mini, ',
      'models: [a, a], ',
      [['[a, a]', 'judge.models: names a model twice; to ask one several times, use "repeat"']],
    ],
    ['concurrency: 8', 'logprobs: maybe', [['maybe', 'judge.logprobs: is not one of auto, off']]],
    ['concurrency: 8', 'tokens_per_day: 0', [['0}\n', 'judge.tokens_per_day: is at least 1']]],
    [
      'concurrency: 8',
      'budgets: {gpt-4.1-mini: {requests_per_minute: 1.5}, gpt-5: {tokens_per_day: 9}}',
      [
        ['1.5', 'judge.budgets.gpt-4.1-mini.requests_per_minute: is a whole number'],
        ['gpt-5: {', 'judge.budgets: no judge and no rubric is called "gpt-5"'],
      ],
    ],
    ['concurrency: 8', 'repeat: 26', [['26}', 'judge.repeat: is at most 25']]],
    ['concurrency: 8', 'answer_limit: 99', [['99}', 'judge.answer_limit: is at least 100']]],
    [
      'concurrency: 8',
      'upstreams: {gpt-4.1-mini: elsewhere, gpt-5: openai}',
      [
        ['elsewhere', 'judge.upstreams.gpt-4.1-mini: upstream "elsewhere" does not exist'],
        ['gpt-5', 'judge.upstreams: no judge and no rubric is called "gpt-5"'],
      ],
    ],
    [
      'https://api.openai.com/v1/',
      'https://me:pw@api.openai.com/v1',
      [
        [
          'https:',
          'upstreams.openai.base_url: holds credentials: put them in api_key; an example is https://api.openai.com/v1',
        ],
      ],
    ],
    [
      'api_key: "${OPENAI_API_KEY}"',
      'api_key: passthrough',
      [
        [
          'passthrough',
          "upstreams.openai.api_key: would hand the clients' ballast keys to the upstream; use a key of its own",
        ],
        [
          'openai, model',
          'judge.upstream: has `api_key: passthrough`, but the judge has no client whose key it could pass',
        ],
      ],
    ],
    [
      'key: "${WEB_KEY}"',
      'key: short',
      [['short', 'clients[0].key: is too short: a key has at least 8 characters']],
    ],
    [
      'salt: "2026-11"',
      'salt: "2026-11"\n    salt: "2026-12"',
      [['salt: "2026-12"', 'this key stands twice']],
    ],
  ])('%j as %j', (from, to, expected) => {
    const text = changed(from, to)
    const found = problemsOf(text).map((problem) => /^(\d+:\d+): (.*)$/.exec(problem)!.slice(1))
    expect(found).toEqual(expected.map(([at, message]) => [placeOf(text, at), message]))
  })

  test('experiments that exclude each other by different units', () => {
    const text = changed('experiment: birds}', 'experiments: {birds: 1, bees: 1}}').replace(
      'experiments:\n',
      'experiments:\n  bees: {arms: {control: {weight: 1}}}\n',
    )
    expect(problemsOf(text)).toEqual([
      '10:77: routes[0].experiments: experiment "bees" has another "unit" than "birds"; only by the same unit they can exclude each other',
    ])
    expect(problemsOf(text.replace('bees: {', 'bees: {unit: [header, user], '))).toEqual([])
  })

  test('a check that would judge nothing, and a reference that is none', () => {
    expect(problemsOf(changed('    sample: {control: 0.5, etymologist: 0.1}\n', ''))).toEqual([
      expect.stringMatching(/^20:12: experiments\.birds\.check: judges nothing without "sample"/),
    ])
    const text = changed('salt: "2026-11"', 'salt: "${A:-x}"')
    expect(problemsOf(text)).toEqual([
      `${placeOf(text, '"${A:')}: the braces behind $ hold the name of an environment variable, and nothing else`,
    ])
  })

  test('what is not YAML shows nothing of the text, which may hold a secret', () => {
    const problems = problemsOf(changed('api_key: "${OPENAI_API_KEY}"', 'api_key: "sk-literal" sk-LITERAL'))
    expect(problems).toEqual([expect.stringMatching(/^8:\d+: /)])
    expect(problems.join()).not.toMatch(/literal/i)
  })

  test('a key that no header can carry', () => {
    expect(problemsOf(GOOD, { ...ENVIRONMENT, OPENAI_API_KEY: 'sk-very-secret\n' })).toEqual([
      `${placeOf(GOOD, '"${OPENAI_API_KEY}"')}: upstreams.openai.api_key: holds a space, a line end or another character that no header can carry`,
    ])
  })

  test('what is not YAML at all, and a folder that does not exist', () => {
    expect(problemsOf(changed('listen: 127.0.0.1:8787', 'listen: ['))[0]).toMatch(/^\d+:\d+: /)
    expect(problemsOf(changed('policies: catalog', 'policies: ./none'))).toEqual([
      '4:11: policies: there is no folder /etc/ballast/none',
    ])
    expect(problemsOf('')).not.toEqual([])
  })

  test('a missing variable is named, its place too, and it is not an empty value as well', () => {
    const { WEB_KEY: _, ...environment } = ENVIRONMENT
    expect(problemsOf(GOOD, environment)).toEqual([
      `${placeOf(GOOD, '"${WEB_KEY}"')}: the environment variable WEB_KEY is not set`,
    ])
  })

  test('an address beyond loopback needs clients, and a control plane beyond it needs a token', () => {
    const text = GOOD.replace('127.0.0.1:8787', '0.0.0.0:8787')
      .replace('{listen: "127.0.0.1:9464", token: "${ADMIN_TOKEN}"}', '{listen: ":9464"}')
      .replace('clients:\n  - {name: web, key: "${WEB_KEY}"}\n', '')
    expect(problemsOf(text)).toEqual([
      '1:9: listen: is reachable from other machines, but "clients" is missing; name them, or write `clients: open`',
      '2:17: admin.listen: is reachable from other machines, but "admin.token" is missing',
    ])
    expect(
      problemsOf(text.replace('policies: catalog', 'clients: open').replace('{listen: ":9464"}', '{}')),
    ).toEqual([])
  })

  test('never show a secret, also one in the wrong place', () => {
    const text = GOOD.replace('upstream: openai, model', () => 'upstream: "${OPENAI_API_KEY}", model')
    const problems = problemsOf(text)
    expect(problems).toEqual([
      '22:19: judge.upstream: upstream "${OPENAI_API_KEY}" does not exist; there are openai',
    ])
    expect(problems.join()).not.toContain('sk-very-secret')
  })

  test('conditions of a policy', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-policies-'))
    const when = (text: string) => {
      const policy = `policies:\n  - id: a\n    interventions: [{placement: system, text: b}]\n    ${text}\n`
      writeFileSync(join(folder, 'mine.yaml'), policy)
      return problemsOf(changed('policies: catalog', `policies: [catalog, "${folder}"]`)).map((problem) =>
        problem.slice(problem.indexOf('mine.yaml') + 'mine.yaml:'.length),
      )
    }
    expect(when('when: {header: {X-Feature: [beta, "*"]}, metadata: {tier: free}}')).toEqual([])
    const unfit = 'cannot be a condition: it holds credentials or belongs to one connection only'
    expect(when('when: {header: {Authorization: x, X-Api-Key: "*", TE: x, cookie: y, "a b": z}}')).toEqual([
      `4:21: policies[0].when.header: "Authorization" ${unfit}`,
      `4:39: policies[0].when.header: "X-Api-Key" ${unfit}`,
      `4:55: policies[0].when.header: "TE" ${unfit}`,
      `4:62: policies[0].when.header: "cookie" ${unfit}`,
      '4:73: policies[0].when.header: "a b" is not the name of a header',
    ])
    expect(when('when: {}')).toEqual([
      '4:11: policies[0].when: is empty: name system, turn, header or metadata',
    ])
    expect(when('when: {system: present, turn: 1, metadata: {tier: []}, body: x}')).toEqual([
      '4:20: policies[0].when.system: "absent" is expected here',
      '4:35: policies[0].when.turn: "first" is expected here',
      '4:55: policies[0].when.metadata.tier: is empty: then the condition would never hold',
      '4:60: policies[0].when: unknown key "body"',
    ])
    expect(when('when: {header: {}}')).toEqual(['4:20: policies[0].when.header: is empty: name a header'])
    expect(when('on_unsupported: ignore')).toEqual([
      '4:21: policies[0].on_unsupported: is not one of reject, skip',
    ])
  })

  test('a rubric that says two things about its judges', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-policies-'))
    mkdirSync(join(folder, 'checks'))
    const rubrics = [
      'labels: [A], model: a, models: [b]',
      'labels: [A], models: [b, b]',
      'labels: [A], combine: mean',
      'scale: [0, 10], combine: majority',
      'labels: [A], repeat: 26',
    ]
    const lines = rubrics.map((rubric, index) => `  - {id: r${index}, prompt: "{answer}", ${rubric}}`)
    writeFileSync(
      join(folder, 'checks', 'odd.yaml'),
      `description: x\nrubrics:\n${lines.join('\n')}\nrule: {positive_if_all: [{rubric: r0, is: A}]}\n`,
    )
    const problems = problemsOf(changed('policies: catalog', `policies: [catalog, "${folder}"]`))
    expect(problems.map((problem) => problem.slice(problem.lastIndexOf('/') + 1))).toEqual([
      expect.stringMatching(/rubrics\[0\]\.models: stands beside "model"; keep one$/),
      expect.stringMatching(
        /rubrics\[1\]\.models: names a model twice; to ask one several times, use "repeat"$/,
      ),
      expect.stringMatching(/rubrics\[2\]\.combine: is majority where a rubric has labels only/),
      expect.stringMatching(/rubrics\[3\]\.combine: is majority where a rubric has labels only/),
      expect.stringMatching(/rubrics\[4\]\.repeat: /),
    ])
  })

  test('are reported all at once, those of policies and checks with them', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-policies-'))
    mkdirSync(join(folder, 'checks'))
    writeFileSync(
      join(folder, 'mine.yaml'),
      'policies:\n  - id: a\n    interventions: [{placement: above, text: "{{time}}"}]\n  - {id: b}\n',
    )
    writeFileSync(
      join(folder, 'checks', 'odd.yaml'),
      'description: x\nrubrics: [{id: r, scale: [0, 10], prompt: "no placeholder"}]\nrule: {positive_if_all: [{rubric: q, below: 3}]}\n',
    )
    const problems = problemsOf(
      changed('policies: catalog', `policies: [catalog, "${folder}"]`).replace('weight: 3', 'weight: x'),
    )
    expect(problems.map((problem) => problem.slice(problem.lastIndexOf('/') + 1))).toEqual([
      '19:29: experiments.birds.arms.etymologist.weight: a number is expected here',
      'odd.yaml:2:43: rubrics[0].prompt: does not mention {answer}, so the judge would not see what it judges',
      'odd.yaml:3:35: rule.positive_if_all[0].rubric: asks for rubric "q", which this check does not have',
      'mine.yaml:3:33: policies[0].interventions[0].placement: is not one of user-prepend, user-newline, system, system-append, developer, last-user-prepend',
      'mine.yaml:3:46: policies[0].interventions[0].text: uses a template variable other than {{date}}, the only one there is',
      'mine.yaml:4:5: policies[1]: "interventions" is missing',
    ])
  })

  test('in the examples of a check, which name its rubrics and no others', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-policies-'))
    mkdirSync(join(folder, 'checks'))
    writeFileSync(
      join(folder, 'checks', 'odd.yaml'),
      `description: x
rubrics: [{id: r, labels: ["YES", "NO"], prompt: "{answer}"}, {id: s, scale: [0, 9], prompt: "{answer}"}]
rule: {positive_if_all: [{rubric: r, is: "YES"}]}
examples:
  - {question: a, answer: b, replies: {r: "YES", s: 7}, verdict: positive}
  - {question: a, answer: b, replies: {r: "YES", t: 7}, verdict: positive}
`,
    )
    const problems = () =>
      problemsOf(changed('policies: catalog', `policies: [catalog, "${folder}"]`)).map((problem) =>
        problem.slice(problem.lastIndexOf('/') + 1),
      )
    expect(problems()).toEqual([
      'odd.yaml:6:39: examples[1].replies: says nothing to rubric "s": give what a judge replies to it',
      'odd.yaml:6:53: examples[1].replies.t: replies to rubric "t", which this check does not have',
    ])
    writeFileSync(
      join(folder, 'checks', 'odd.yaml'),
      `description: x
rubrics: [{id: r, labels: ["YES", "NO"], prompt: "{answer}"}]
rule: {positive_if_all: [{rubric: r, is: "YES"}]}
examples:
  - {question: a, answer: b, replies: {r: YES}, verdict: maybe}
  - {question: a, answer: b, replies: {r: true}, verdict: error}
`,
    )
    expect(problems()).toEqual([
      'odd.yaml:5:58: examples[0].verdict: is not one of positive, negative, excluded, unparsed',
      'odd.yaml:6:43: examples[1].replies.r: text or a number is expected here',
      'odd.yaml:6:59: examples[1].verdict: is not one of positive, negative, excluded, unparsed',
    ])
  })

  test('names policies of the same file first where one does not exist', () => {
    expect(problemsOf(changed('birds/identity-alex', 'harry-potter/something-else'))).toEqual([
      expect.stringMatching(/does not exist; there are harry-potter\//),
    ])
  })
})

describe('a check', () => {
  test('has a version that follows rubrics and rule, and neither description nor examples', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-policies-'))
    mkdirSync(join(folder, 'checks'))
    const version = (description: string, below: number, more = '') => {
      writeFileSync(
        join(folder, 'checks', 'mine.yaml'),
        `description: ${description}
rubrics: [{id: r, scale: [0, 9], prompt: "{answer}"}]
rule: {positive_if_all: [{rubric: r, below: ${below}}]}
${more}`,
      )
      return load(changed('policies: catalog', `policies: [catalog, "${folder}"]`)).checks.get('mine')
        ?.version
    }
    const first = version('x', 3)
    const example = 'examples: [{question: a, answer: b, replies: {r: 2}, verdict: positive}]'
    expect(first).toMatch(/^[0-9a-f]{16}$/)
    expect(version('y', 3, example)).toBe(first)
    expect(version('x', 4)).not.toBe(first)
  })
})
