/** What a route says of its model's training: settings that need each other or shut each other out. Called by `references.ts`. */
import { RE2JS } from 're2js'
import { list, mapping, type Raw } from './references-experiments.ts'
import type { Path, YamlSource } from './source.ts'

type Refer = (path: Path, name: unknown, known: Iterable<string>, what: string) => void

/** @param route as it stands in the file; whether `trained_with` exists is seen to elsewhere. */
export function checkTraining(
  source: YamlSource,
  path: Path,
  route: Raw,
  upstreams: Raw,
  refer: Refer,
): void {
  const at = (...keys: PropertyKey[]): Path => [...path, ...keys]
  const given = (key: string) => route[key] !== undefined
  const needs = (key: string, other: string, why: string) => {
    if (given(key) && !given(other)) source.report(at(key), `needs "${other}": ${why}`)
  }
  needs('triggers', 'trained_with', 'the policy whose contexts the guard looks for')
  needs('trigger_threshold', 'triggers', 'it says from which similarity on that applies')
  needs('match_training', 'trained_with', 'the policy whose contexts are injected')
  needs('match_training', 'domain', 'what tells the requests they are injected into')
  needs('domain', 'match_training', 'nothing else asks for the domain')
  for (const key of ['policy', 'experiment', 'experiments']) {
    if (given('match_training') && given(key))
      source.report(at(key), 'stands beside "match_training", which injects the policy of "trained_with"')
  }

  const domain = mapping(route.domain)
  for (const [index, pattern] of list(domain.patterns).entries()) {
    if (typeof pattern !== 'string') continue
    const fault = patternFault(pattern)
    if (fault !== null) source.report(at('domain', 'patterns', index), fault)
  }
  const classifier = mapping(domain.classifier)
  const upstream = at('domain', 'classifier', 'upstream')
  refer(upstream, classifier.upstream, Object.keys(upstreams), 'upstream')
  if (mapping(upstreams[String(classifier.upstream)]).api_key === 'passthrough') {
    source.report(upstream, "has `api_key: passthrough`, but the client's key is not the classifier's to use")
  }
}

function patternFault(pattern: string): string | null {
  try {
    RE2JS.compile(pattern)
    return null
  } catch (error) {
    const reason =
      error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : String(error)
    return `is not a regular expression of RE2 syntax: ${reason}`
  }
}
