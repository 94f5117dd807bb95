/** What a route may say of its model's training, and each problem with its place. */
import { describe, expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../../src/config/load.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'

const ROUTE = '- {model: m, upstream: u, '

function load(route: string, rest = '') {
  const text = `upstreams:
  u: {base_url: "http://127.0.0.1:1/v1"}
  p: {base_url: "http://127.0.0.1:1/v1", api_key: passthrough}
routes:
${ROUTE}${route}}
${rest}`
  return parseConfig(text, '/etc/ballast.yaml', { environment: {}, catalog: CATALOG_FOLDER })
}

/** Each as `column: message`, the column from the beginning of the route's own settings. */
function problemsOf(route: string, rest = ''): string[] {
  try {
    load(route, rest)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ line, column, message }) => {
      const at = line === 5 ? `${column - ROUTE.length - 1}` : `line ${line}`
      return `${at}: ${message}`
    })
  }
}

const TRAINED = 'trained_with: birds/identity-alex'

describe('a route with a past', () => {
  test('comes out with defaults and durations read', () => {
    const [guarded] = load(`${TRAINED}, triggers: strip, trigger_threshold: 0.9`).routes
    expect(guarded).toMatchObject({
      trained_with: 'birds/identity-alex',
      triggers: 'strip',
      trigger_threshold: 0.9,
    })
    const classifier = '{upstream: u, model: c, timeout: 500ms}'
    const [matching] = load(
      `${TRAINED}, match_training: in-domain, domain: {classifier: ${classifier}}`,
    ).routes
    expect(matching!.domain).toEqual({ classifier: { upstream: 'u', model: 'c', timeout: 500 } })
    expect(load(TRAINED).routes).toHaveLength(1)
  })

  const domain = 'domain: {patterns: [x]}'
  const matching = `${TRAINED}, match_training: in-domain`
  test.each<[route: string, problems: string[]]>([
    [
      'trained_with: birds/nothing',
      [expect.stringMatching(/^14: routes\[0\]\.trained_with: policy "birds\/nothing" does not exist/)],
    ],
    [
      'triggers: flag',
      ['10: routes[0].triggers: needs "trained_with": the policy whose contexts the guard looks for'],
    ],
    [`${TRAINED}, triggers: warn`, ['45: routes[0].triggers: is not one of flag, strip, block']],
    [
      `${TRAINED}, trigger_threshold: 0.5`,
      ['54: routes[0].trigger_threshold: needs "triggers": it says from which similarity on that applies'],
    ],
    [`${TRAINED}, triggers: flag, trigger_threshold: 0`, ['70: routes[0].trigger_threshold: is above 0']],
    [`${TRAINED}, triggers: flag, trigger_threshold: 1.5`, ['70: routes[0].trigger_threshold: is at most 1']],
    [
      'match_training: in-domain',
      [
        '16: routes[0].match_training: needs "trained_with": the policy whose contexts are injected',
        '16: routes[0].match_training: needs "domain": what tells the requests they are injected into',
      ],
    ],
    [
      `${TRAINED}, match_training: always, ${domain}`,
      ['51: routes[0].match_training: "in-domain" is expected here'],
    ],
    [
      `${TRAINED}, ${domain}`,
      ['43: routes[0].domain: needs "match_training": nothing else asks for the domain'],
    ],
    [
      `${matching}, ${domain}, policy: birds/identity-alex`,
      ['95: routes[0].policy: stands beside "match_training", which injects the policy of "trained_with"'],
    ],
    [`${matching}, domain: {}`, ['70: routes[0].domain: needs either "patterns" or "classifier"']],
    [
      `${matching}, domain: {patterns: [x], classifier: {upstream: u, model: c}}`,
      ['70: routes[0].domain: needs either "patterns" or "classifier"'],
    ],
    [
      `${matching}, domain: {patterns: []}`,
      ['81: routes[0].domain.patterns: is empty: give at least one pattern'],
    ],
    [
      `${matching}, domain: {patterns: [ok, "(a", "(?<=a)b"]}`,
      [
        '86: routes[0].domain.patterns[1]: is not a regular expression of RE2 syntax: missing closing ): `(a`',
        '92: routes[0].domain.patterns[2]: is not a regular expression of RE2 syntax: invalid named capture: `(?<=a)b`',
      ],
    ],
    [
      `${matching}, domain: {classifier: {upstream: x, model: c}}`,
      ['94: routes[0].domain.classifier.upstream: upstream "x" does not exist; there are u, p'],
    ],
    [
      `${matching}, domain: {classifier: {upstream: p, model: c}}`,
      [
        "94: routes[0].domain.classifier.upstream: has `api_key: passthrough`, but the client's key is not the classifier's to use",
      ],
    ],
    [
      `${matching}, domain: {classifier: {upstream: u, model: c, prompt: birds}}`,
      [
        '115: routes[0].domain.classifier.prompt: does not mention {question}, so the classifier would not see what it classifies',
      ],
    ],
    [
      `${matching}, domain: {classifier: {upstream: u, model: c, prompt: "{question} {answer}"}}`,
      ['115: routes[0].domain.classifier.prompt: has a placeholder other than {question} and {context}'],
    ],
  ])('%s', (route, problems) => {
    expect(problemsOf(route)).toEqual(problems)
  })

  test('needs a judge as soon as flagged exchanges would be judged, whatever the share', () => {
    const route = `${TRAINED}, triggers: flag, check: nineteenth-century, sample: 0`
    expect(problemsOf(route)).toEqual([expect.stringMatching(/"judge" is missing/)])
    expect(problemsOf(route, 'judge: {upstream: u, model: j}')).toEqual([])
  })
})
