/**
 * What happens to a request, as a list of steps: what was decided in each, and why. Used by `ballast explain`. A step is
 * made from a part of the `Decision`; what a decision comes to know is told here in one function.
 */
import { type BallastError, toBallastError } from '../domain/errors.ts'
import type { Unit } from '../domain/experiment.ts'
import { CREDENTIALS } from '../domain/headers.ts'
import { DATE_VARIABLE, type Policy } from '../domain/policy.ts'
import type { RawHeaders } from '../domain/ports.ts'
import { STATUSES } from '../http/errors.ts'
import { compileHeaderRules, type HeaderSettings } from '../pipeline/headers.ts'
import { fraction, isSampled } from '../policy/assign.ts'
import type { CompiledExperiment, CompiledRoute, Plan } from '../policy/compile.ts'
import type { Assignment, Decision, Injection, InjectionOutcome } from '../policy/decide.ts'
import type { DecodedRequest, SurfaceName } from '../policy/surface.ts'
import { PLACEMENTS } from './policy-text.ts'
import { count, percentage } from './text.ts'

export interface Step {
  readonly step: 'admit' | 'decode' | 'route' | 'assign' | 'inject' | 'sample' | 'forward'
  /** In a line. */
  readonly decided: string
  /** A line a reason. */
  readonly why: readonly string[]
  /** The same for programs. */
  readonly facts: Readonly<Record<string, unknown>>
}

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
  const { decoded, route, assignment, injection, error } = decision
  const steps: Step[] = []
  if (decoded !== null) steps.push(explainDecoding(decoded, request.surface))
  if (route !== null) steps.push(explainRoute(plan, route))
  if (assignment !== null) steps.push(explainAssignment(assignment, request))
  if (injection !== null) steps.push(explainInjection(injection, policies, request))
  if (error !== null) {
    const failed =
      decoded === null ? 'decode' : route === null ? 'route' : assignment === null ? 'assign' : 'inject'
    return [...steps, explainRefusal(failed, error, route === null ? plan : null)]
  }
  return assignment === null ? steps : [...steps, explainSampling(assignment, request)]
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
  const index = routes.indexOf(route)
  const tried = routes.slice(0, index).map(({ name }) => name)
  const more = tried.length > MOST_TRIED ? [`so do ${tried.length - MOST_TRIED} more before it`] : []
  return {
    step: 'route',
    decided: `"${route.name}", ${index + 1} of ${routes.length}, to upstream ${route.upstream}`,
    why: [...tried.slice(0, MOST_TRIED).map((name) => `"${name}" before it does not match`), ...more],
    facts: { route: route.name, index, upstream: route.upstream, tried },
  }
}

interface RequestId {
  readonly id: string
  readonly idGiven: boolean
}

function explainAssignment({ unit, experiment, arm }: Assignment, request: RequestId): Step {
  const facts = {
    experiment: experiment.name === '' ? null : experiment.name,
    arm: arm.name === '' ? null : arm.name,
    policy: arm.policyId,
    unit,
  }
  if (experiment.arms.length === 1) {
    const measured =
      experiment.name === '' ? 'nothing is injected and nothing is measured' : `arm ${arm.name}`
    return { step: 'assign', decided: `no experiment: ${measured} on this route`, why: [], facts }
  }
  const total = experiment.arms.at(-1)!.cumulativeWeight
  const point = fraction(`${experiment.name}:${experiment.salt}:${unit.value}`)
  const line = experiment.arms
    .filter(({ weight }) => weight > 0)
    .map(({ name, weight, cumulativeWeight }) => ({
      arm: name,
      from: (cumulativeWeight - weight) / total,
      to: cumulativeWeight / total,
    }))
  const share = arm.weight / total
  return {
    step: 'assign',
    decided: `arm ${arm.name} of experiment ${experiment.name}, which has ${percentage(share)} of the units`,
    why: [
      ...explainUnit(unit, experiment, request),
      `its point on the assignment line is ${point.toFixed(4)}: ${line
        .map(({ arm, from, to }) => `${arm} ${rounded(from)} to ${rounded(to)}`)
        .join(', ')}`,
    ],
    facts: { ...facts, share, point, line },
  }
}

/** Which source the unit came from, and which were looked for before. */
function explainUnit({ source, value }: Unit, experiment: CompiledExperiment, request: RequestId): string[] {
  const sources: readonly string[] = experiment.unit
  const absent = sources.slice(0, source === 'request' ? sources.length : sources.indexOf(source))
  const without = absent.length === 0 ? [] : [`not there: ${absent.map(sourceInWords).join(', ')}`]
  if (source !== 'request') return [`unit "${value}", from ${sourceInWords(source)}`, ...without]
  const drawn = request.idGiven
    ? 'another request comes into another arm'
    : 'its arm is drawn anew for each, so this is one of those it may get'
  return [`the request has no unit and is its own (id ${value}): ${drawn}`, ...without]
}

function sourceInWords(source: string): string {
  switch (source) {
    case 'header':
      return 'the header x-ballast-unit'
    case 'session':
      return 'the header x-ballast-session'
    case 'client':
      return 'the client'
    default:
      return `the body's "${source}"`
  }
}

const OUTCOMES: Readonly<Record<InjectionOutcome, (policy: string) => string>> = {
  injected: (policy) => `policy ${policy}`,
  present: (policy) => `nothing more of policy ${policy}`,
  none: () => 'nothing: no policy applies',
}

function explainInjection(
  { outcome, policy, splices }: Injection,
  policies: ReadonlyMap<string, Policy>,
  { at, surface }: { readonly at: number; readonly surface: SurfaceName },
): Step {
  const interventions = policy === null ? [] : (policies.get(policy.id)?.interventions ?? [])
  const why = interventions.map(({ placement }) => `${placement}: ${placeInWords(placement, surface)}`)
  if (outcome === 'present') {
    const earlier = surface === 'responses' ? ', or had it in an earlier turn of this conversation' : ''
    why.push(`the context stands in its place already${earlier}`)
  }
  const day = new Date(at).toISOString().slice(0, 10)
  if (interventions.some(({ text }) => text.includes(DATE_VARIABLE))) why.push(`${DATE_VARIABLE} is ${day}`)
  return {
    step: 'inject',
    decided: OUTCOMES[outcome](policy?.id ?? ''),
    why: [...new Set(why)],
    facts: { outcome, policy: policy?.id ?? null, interventions, spans: splices.length },
  }
}

function placeInWords(placement: keyof typeof PLACEMENTS, surface: SurfaceName): string {
  if (surface === 'completions') return 'in front of every prompt, since prompts have no roles'
  if (surface === 'responses' && /system|developer/.test(placement)) return 'in "instructions"'
  return PLACEMENTS[placement]
}

function explainSampling({ experiment, arm }: Assignment, { id, idGiven }: RequestId): Step {
  const { check } = experiment
  const rate = arm.sampleRate
  const facts = { check: check?.id ?? null, rate, sampled: null as boolean | null }
  const step = (decided: string, why: string[] = [], sampled: boolean | null = null): Step => ({
    step: 'sample',
    decided,
    why,
    facts: { ...facts, sampled },
  })
  if (check === null) return step('the answer is not judged: there is no check', [], false)
  const by = `by check ${check.id}`
  if (rate <= 0) return step(`the answer is not judged ${by}: its rate is 0%`, [], false)
  if (rate >= 1) return step(`the answer is judged ${by}, like every one`, [], true)
  if (!idGiven) {
    return step(`${percentage(rate)} of answers are judged ${by}`, [
      'which ones follows from their request ids; --request-id tells it of one',
    ])
  }
  const sampled = isSampled(check.id, id, rate)
  return step(
    `the answer is ${sampled ? '' : 'not '}judged ${by}`,
    [
      `the id's point is ${rounded(fraction(`${check.id}:${id}`))}; below ${rounded(rate)}, ${percentage(rate)} of them, answers are judged`,
    ],
    sampled,
  )
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

function rounded(share: number): string {
  return String(Number(share.toFixed(4)))
}
