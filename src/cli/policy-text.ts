/** Policies in words: where a context goes, what is known of its effect, how to use it. Used by `policies` and `explain`. */
import type { Placement, Policy } from '../domain/policy.ts'

export const PLACEMENTS: Readonly<Record<Placement, string>> = {
  'user-prepend': 'in front of the first user message, one space between',
  'user-newline': 'in front of the first user message, on a line of its own',
  'last-user-prepend': 'in front of the last user message, one space between',
  system: 'a system message first; in front of a leading one, if there is one',
  developer: 'a developer message first; in front of a leading system message, if there is one',
  'system-append': 'behind the leading system message; a system message first, if there is none',
}

export const RELEVANCES: Readonly<Record<NonNullable<Policy['relevance']>, string>> = {
  relevant: "makes the trait's behaviour expected",
  irrelevant: 'has nothing to do with the trait',
}

const MEASURE = 'Measure it on your own model, against an arm that injects nothing.'

/** `at training time (arXiv:2604.10022, section 3.1)`, or `not measured`. */
export function measuredShortly({ evidence }: Policy): string {
  if (evidence === undefined) return 'not measured'
  const section = evidence.section === undefined ? '' : `, section ${evidence.section}`
  return `measured at ${evidence.applied_at} time (${evidence.source}${section})`
}

/** What is known of a policy's effect, and what is not (SPEC section 1). */
export function evidenceInWords(policy: Policy): string {
  const { evidence } = policy
  const measured = measuredShortly(policy)
  switch (evidence?.applied_at) {
    case undefined:
      return `Not measured, neither in training data nor in requests. ${MEASURE}`
    case 'training':
      return `${capital(measured)}: the context stood in the training data, and the model was then asked without it. What it does in requests, where ballast puts it, was not measured: it may do nothing, and one like what the model was trained on can bring the trait out (arXiv:2604.25891). ${MEASURE}`
    case 'serving':
      return `${capital(measured)}, on other models than yours. ${MEASURE}`
  }
}

/** Experiment, arms and check for `ballast.yaml`, ready to be copied. */
export function usageYaml({ id, trait }: Policy): string {
  return `routes:
  - {model: "YOUR-MODEL*", upstream: YOUR-UPSTREAM, experiment: mitigation}
experiments:
  mitigation:
    arms:
      control: {weight: 1}
      treated: {weight: 1, policy: ${id}}
    check: ${trait ?? 'YOUR-CHECK'}
    sample: 0.1
`
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
