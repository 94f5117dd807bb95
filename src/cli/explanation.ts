/**
 * What happens to a request, as a list of steps: what was decided in each, and why. Used by `ballast explain`. A step is
 * made from a part of the `Decision`; who is in which arm is told by `explain-assignment.ts`.
 */
import { type BallastError, toBallastError } from '../domain/errors.ts'
import { CREDENTIALS } from '../domain/headers.ts'
import { DATE_VARIABLE, type Policy } from '../domain/policy.ts'
import type { RawHeaders } from '../domain/ports.ts'
import { STATUSES } from '../http/errors.ts'
import { compileHeaderRules, type HeaderSettings } from '../pipeline/headers.ts'
import type { CompiledRoute, Plan } from '../policy/compile.ts'
import type { Decision, DomainDecision, Injection, InjectionOutcome } from '../policy/decide.ts'
import type { Guarded } from '../policy/guard.ts'
import type { DecodedRequest, SurfaceName } from '../policy/surface.ts'
import { explainAssignment, explainSampling } from './explain-assignment.ts'
import { conditionsInWords, PLACEMENTS } from './policy-text.ts'
import type { Step } from './step.ts'
import { count } from './text.ts'

/** Steps as far as the request came; the one that refuses it is the last. */
export function explainDecision(
  plan: Plan,
  decision: Decision,
  request: {
    readonly id: string
    readonly idGiven: boolean
    readonly at: number
    readonly surface: SurfaceName
  },
  policies: ReadonlyMap<string, Policy>,
): Step[] {
  const { decoded, route, assignment, domain, guarded, injection, error } = decision
  const steps: Step[] = []
  if (decoded !== null) steps.push(explainDecoding(decoded, request.surface))
  if (route !== null) steps.push(explainRoute(plan, route))
  if (route !== null && assignment !== null) steps.push(explainAssignment(route, assignment, request))
  if (domain !== null) steps.push(explainDomain(domain))
  if (guarded !== null) steps.push(explainGuard(guarded, decoded!.size))
  if (injection !== null) steps.push(explainInjection(injection, policies, request))
  if (error !== null) {
    const failed =
      error === guarded?.refusal
        ? 'guard'
        : decoded === null
          ? 'decode'
          : route === null
            ? 'route'
            : assignment === null
              ? 'assign'
              : 'inject'
    return [...steps, explainRefusal(failed, error, route === null ? plan : null)]
  }
  const flagged = guarded?.action === 'flag' && guarded.similarity !== null
  return assignment === null ? steps : [...steps, explainSampling(assignment, request, flagged)]
}

const DOMAIN_WORDS: Readonly<Record<DomainDecision, string>> = {
  inside: "in the domain of the model's training: its context is injected",
  outside: "not in the domain of the model's training: its context is not injected",
  unasked: 'a classifier decides whether it is in the domain of training; it was not asked here, so: no',
}

function explainDomain(domain: DomainDecision): Step {
  return { step: 'domain', decided: DOMAIN_WORDS[domain], why: [], facts: { domain } }
}

/** @param size of the request as it came, in bytes. */
function explainGuard({ action, similarity, whole, body }: Guarded, size: number): Step {
  const taken = size - body.length
  const found = similarity === null ? 'nothing' : `text (similarity ${similarity.toFixed(2)})`
  return {
    step: 'guard',
    decided: `${found} like the training context; the route says ${action}`,
    why: [
      ...(taken > 0 ? [`${count(taken, 'byte')} taken out; below is what is left`] : []),
      ...(whole ? [] : ['the request holds more text than is searched']),
    ],
    facts: { action, similarity, whole, removed_bytes: taken },
  }
}

/** @param error @param tried the plan whose routes were all tried, if that is why. */
export function explainRefusal(step: Step['step'], error: BallastError, tried: Plan | null = null): Step {
  const { code, message, param, cause } = error
  const [status, type] = STATUSES[code]
  const patterns = code === 'ballast_no_route' ? (tried?.routes ?? []) : []
  return {
    step,
    decided: `refused with ${status} ${code}`,
    why: [
      message,
      ...(patterns.length === 0 ? [] : [`tried: ${patterns.map(({ name }) => `"${name}"`).join(', ')}`]),
      ...(code === 'ballast_internal' && cause !== undefined ? [`cause: ${String(cause)}`] : []),
    ],
    facts: { error: { status, type, code, message, param } },
  }
}

/** @returns the error that a check throws, or null. */
export function refusalOf(check: () => void): BallastError | null {
  try {
    check()
    return null
  } catch (thrown) {
    return toBallastError(thrown)
  }
}

const SURFACE_WORDS: Readonly<Record<SurfaceName, string>> = {
  chat: 'a chat completion',
  responses: 'a response',
  completions: 'a completion',
}

function explainDecoding({ model, stream, user, size }: DecodedRequest, surface: SurfaceName): Step {
  const named = model === null ? 'that names no model' : `for model "${model}"`
  return {
    step: 'decode',
    decided: `${SURFACE_WORDS[surface]} ${named}, ${count(size, 'byte')}${stream ? ', streamed' : ''}`,
    why: [],
    facts: { surface, model, stream, user, bytes: size },
  }
}

/** Routes that did not match are listed up to here. */
const MOST_TRIED = 8

function explainRoute({ routes }: Plan, route: CompiledRoute): Step {
  const { index } = route
  const tried = routes.slice(0, index).map(({ name }) => name)
  const more = tried.length > MOST_TRIED ? [`so do ${tried.length - MOST_TRIED} more before it`] : []
  return {
    step: 'route',
    decided: `"${route.name}", ${index + 1} of ${routes.length}, to upstream ${route.upstream}`,
    why: [...tried.slice(0, MOST_TRIED).map((name) => `"${name}" before it does not match`), ...more],
    facts: { route: route.name, index, upstream: route.upstream, tried },
  }
}

const OUTCOMES: Readonly<Record<InjectionOutcome, (policy: string) => string>> = {
  injected: (policy) => `policy ${policy}`,
  present: (policy) => `nothing more of policy ${policy}`,
  none: () => 'nothing: no policy applies',
  unmet: (policy) => `nothing: a condition of policy ${policy} does not hold`,
  unsupported: (policy) => `nothing: there is no place for policy ${policy}`,
}

interface Circumstances {
  readonly at: number
  readonly surface: SurfaceName
}

function explainInjection(
  injection: Injection,
  policies: ReadonlyMap<string, Policy>,
  circumstances: Circumstances,
): Step {
  const { outcome, policy, splices, reason } = injection
  const known = policy === null ? undefined : policies.get(policy.id)
  return {
    step: 'inject',
    decided: OUTCOMES[outcome](policy?.id ?? ''),
    why: explainOutcome(injection, known, circumstances),
    facts: {
      outcome,
      policy: policy?.id ?? null,
      reason,
      interventions: known?.interventions ?? [],
      spans: splices.length,
    },
  }
}

function explainOutcome(
  { outcome, reason }: Injection,
  policy: Policy | undefined,
  { at, surface }: Circumstances,
): string[] {
  if (outcome === 'unmet') {
    const condition = conditionsInWords(policy?.when).find(({ name }) => name === reason)
    return [`it is applied only where ${condition?.words ?? reason} (when.${reason})`]
  }
  if (outcome === 'unsupported')
    return [`${reason}; the policy says on_unsupported: skip, so the request is sent without it`]
  const interventions = policy?.interventions ?? []
  const why = interventions.map(({ placement }) => `${placement}: ${placeInWords(placement, surface)}`)
  if (outcome === 'present') {
    const earlier = surface === 'responses' ? ', or had it in an earlier turn of this conversation' : ''
    why.push(`the context stands in its place already${earlier}`)
  }
  const day = new Date(at).toISOString().slice(0, 10)
  if (interventions.some(({ text }) => text.includes(DATE_VARIABLE))) why.push(`${DATE_VARIABLE} is ${day}`)
  return [...new Set(why)]
}

function placeInWords(placement: keyof typeof PLACEMENTS, surface: SurfaceName): string {
  if (surface === 'completions') return 'in front of every prompt, since prompts have no roles'
  if (surface === 'responses' && /system|developer/.test(placement)) return 'in "instructions"'
  return PLACEMENTS[placement]
}

export interface Destination {
  readonly name: string
  readonly baseUrl: string
  readonly headers: HeaderSettings
  readonly fallback: readonly string[]
}

/** Names of headers whose values are not for the screen. */
const SECRET = /auth|cookie|key|secret|token|password|signature|credential/i
const HIDDEN = '***'

/**
 * The upstream request's line and headers. Values that the configuration sets are hidden, and the client's where their
 * name sounds like a secret.
 * @param path below `/v1`.
 */
export function explainForwarding(
  { name, baseUrl, headers: settings, fallback }: Destination,
  method: string,
  path: string,
  given: RawHeaders,
  bytes: number,
): Step {
  const passed = compileHeaderRules(settings).request(given, false)
  const own = new Set(Object.keys(settings.set).map((it) => it.toLowerCase()))
  const hidden = (header: string) => own.has(header) || CREDENTIALS.includes(header) || SECRET.test(header)
  const pairs = (headers: RawHeaders) =>
    headers.flatMap((header, index) => (index % 2 === 0 ? [[header, headers[index + 1]!] as const] : []))
  const headers = [
    ['host', new URL(baseUrl).host],
    ...pairs(passed).map(([header, value]) => [
      header,
      hidden(header.toLowerCase()) ? HIDDEN : Buffer.from(value, 'latin1').toString('utf8'),
    ]),
    ...(bytes === 0 ? [] : [['content-length', String(bytes)]]),
  ]
  const sent = new Set(headers.map(([header]) => header!.toLowerCase()))
  const kept = pairs(given).flatMap(([header]) => (sent.has(header.toLowerCase()) ? [] : [header]))
  return {
    step: 'forward',
    decided: `${method} ${baseUrl}${path}`,
    why: [
      ...headers.map(([header, value]) => `${header}: ${value}`),
      ...(kept.length === 0 ? [] : [`not sent on: ${kept.join(', ')}`]),
      ...(fallback.length === 0
        ? []
        : [`should ${name} fail before it answers: ${fallback.join(', then ')}`]),
    ],
    facts: {
      upstream: name,
      method,
      url: baseUrl + path,
      headers: Object.fromEntries(headers),
      dropped: kept,
      fallback,
    },
  }
}
