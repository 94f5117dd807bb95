/** Policies in words: where a context goes, what is known of its effect, how to use it. Used by `policies` and `explain`. */
import { ANY_VALUE, type Placement, type Policy } from '../domain/policy.ts'

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

export const UNSUPPORTED: Readonly<Record<NonNullable<Policy['on_unsupported']>, string>> = {
  reject: 'a request without a place for it is refused',
  skip: 'a request without a place for it is sent as it came',
}

export interface ConditionInWords {
  /** As in the policy's file, such as `header.x-feature`. */
  readonly name: string
  /** As it goes on after "only where". */
  readonly words: string
}

/** When a policy is applied, each condition by itself. */
export function conditionsInWords({
  system,
  turn,
  header,
  metadata,
}: Policy['when'] = {}): ConditionInWords[] {
  const valued = (kind: string, what: string, values: NonNullable<typeof header> = {}) =>
    Object.entries(values).map(([key, wanted]) => ({
      name: `${kind}.${key}`,
      words: `${what} ${key} ${valuesInWords([wanted].flat())}`,
    }))
  return [
    ...(system === undefined
      ? []
      : [{ name: 'system', words: 'there is no system or developer message and no instructions' }]),
    ...(turn === undefined
      ? []
      : [{ name: 'turn', words: 'the model has not answered before the last user message' }]),
    ...valued('header', 'the header', header),
    ...valued('metadata', 'the metadata', metadata),
  ]
}

function valuesInWords(values: readonly string[]): string {
  if (values.includes(ANY_VALUE)) return 'has a value'
  return `is ${values.map((value) => `"${value}"`).join(' or ')}`
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
