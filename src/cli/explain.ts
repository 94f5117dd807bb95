/** `ballast explain`: what would be sent for a request on standard input, under which arm, and why. Sends nothing. */
import { randomUUID } from 'node:crypto'
import { Command } from 'commander'
import { defaultUpstream } from '../config/default-upstream.ts'
import type { Config } from '../config/load.ts'
import { didYouMean } from '../config/near.ts'
import type { BallastError } from '../domain/errors.ts'
import type { Policy } from '../domain/policy.ts'
import type { RawHeaders } from '../domain/ports.ts'
import { createAuthenticate } from '../http/auth.ts'
import { bodyTooLarge } from '../http/body.ts'
import { requireLocal } from '../http/origin.ts'
import { readTarget } from '../http/path.ts'
import { applyArmEvents } from '../node/arm-events.ts'
import { compilePlan, type Plan } from '../policy/compile.ts'
import { type Asked, decide } from '../policy/decide.ts'
import type { Splice } from '../policy/inject.ts'
import { scanModel } from '../policy/model.ts'
import { findHeader } from '../policy/raw-headers.ts'
import { BASE, SURFACES, type Surface } from '../policy/surfaces.ts'
import { drawBody, marks } from './body-diff.ts'
import { findPolicy, openCatalog, openConfig } from './catalog.ts'
import { explainDecision, explainForwarding, explainRefusal, refusalOf } from './explanation.ts'
import { withStore } from './open-store.ts'
import type { Step } from './step.ts'
import { bold, columnsOf, count, labelled, printable, wrap } from './text.ts'
import { UsageError } from './usage.ts'

interface ExplainOptions {
  readonly config?: string
  readonly policy?: string
  readonly policies?: string[]
  readonly path: string
  readonly header: string[]
  readonly client?: string
  readonly at?: string
  readonly requestId?: string
  readonly arms: boolean
  readonly json: boolean
}

const FOUND_SOMETHING = 1

export function explainCommand(): Command {
  return new Command('explain')
    .description('Say what would be sent for a request on standard input, and why. Nothing is sent.')
    .option('-c, --config <file>', 'the configuration (default: "ballast.yaml")')
    .option('--path <path>', 'where the client sends it', `${BASE}/chat/completions`)
    .option(
      '-H, --header <header>',
      "a header of the client's, 'name: value'; may stand several times",
      (header: string, before: string[]) => [...before, header],
      [],
    )
    .option('--client <name>', 'the client that sends it')
    .option('--at <time>', 'when it is sent, such as 2026-11-23T12:00:00Z (default: now)')
    .option('--request-id <id>', 'its id: tells whether its answer is judged')
    .option('--arms', 'with arms off, on or promoted as the store has them by now', false)
    .option('--policy <id>', 'show what one policy makes of it, without a configuration')
    .option('--policies <folder...>', 'the folders that --policy is looked for in (default: the catalog)')
    .option('--json', 'print each step and the whole body as JSON', false)
    .addHelpText(
      'after',
      `
Exit codes: 0, 1 (the request would be refused), 2 (it was called wrongly).

Examples:
  ballast explain --config ballast.yaml --request-id r-1 < request.json
  echo '{"messages": [{"role": "user", "content": "Hello"}]}' |
    ballast explain --policy birds/identity-etymologist`,
    )
    .action(explain)
}

/** A request with all that is said of it. */
export interface Explained {
  readonly steps: readonly Step[]
  /** As it came in, without what the trigger guard took out. */
  readonly original: Buffer
  readonly splices: readonly Splice[]
  /** As it would be sent; null where it would not. */
  readonly body: Buffer | null
  readonly error: BallastError | null
}

async function explain(options: ExplainOptions): Promise<void> {
  const surface = SURFACES.get(options.path.split('?', 1)[0]!.slice(BASE.length))
  const request = {
    id: options.requestId ?? randomUUID(),
    idGiven: options.requestId !== undefined,
    headers: options.header.flatMap(readHeader),
    receivedAt: options.at === undefined ? Date.now() : readTime(options.at),
  }
  const run =
    options.policy === undefined ? await preparePath(options, surface) : preparePolicy(options, surface)
  // Asked for last, so that whatever else is wrong is said before somebody types.
  const original = await readBody(surface !== undefined)
  const explained = run({ ...request, body: original, client: options.client ?? null })
  if (explained.error !== null) process.exitCode = FOUND_SOMETHING
  process.stdout.write(options.json ? asJson(explained, options.path, request) : draw(explained))
}

export interface IdentifiedRequest extends Asked {
  /** Whether its id was given, or made up. */
  readonly idGiven: boolean
}

type Run = (request: IdentifiedRequest) => Explained

/** Under one policy, without a configuration. */
function preparePolicy(options: ExplainOptions, surface: Surface | undefined): Run {
  const policy = findPolicy(openCatalog(options), options.policy!)
  if (surface === undefined) {
    const paths = [...SURFACES.keys()].map((path) => BASE + path)
    throw new UsageError(`--path ${options.path}: contexts are injected on ${paths.join(', ')} only.`)
  }
  return (request) => explainPolicy(policy, surface, request)
}

/** What a policy makes of a request, whatever its model: nothing is routed, drawn or sent. */
export function explainPolicy(policy: Policy, surface: Surface, request: IdentifiedRequest): Explained {
  const policies = new Map([[policy.id, policy]])
  const routes = [{ model: '*', upstream: '', policy: policy.id }]
  const plan = compilePlan({ routes, experiments: {}, policies, checks: new Map() })
  const explained = explainInjected(plan, surface, request, policies)
  return { ...explained, steps: explained.steps.filter(({ step }) => step === 'decode' || step === 'inject') }
}

/** The whole path of a request through a configuration. */
async function preparePath(options: ExplainOptions, surface: Surface | undefined): Promise<Run> {
  const file = options.config ?? 'ballast.yaml'
  const config = openConfig(file, ', or see what a policy does without one: --policy ID')
  const clients = Array.isArray(config.clients) ? config.clients.map(({ name }) => name) : []
  if (options.client !== undefined && !clients.includes(options.client)) {
    const there = clients.length === 0 ? 'names no clients' : `names ${clients.join(', ')}`
    throw new UsageError(
      `--client ${options.client}: ${file} ${there}${didYouMean(options.client, clients)}.`,
    )
  }
  const plan = compilePlan(config)
  if (options.arms) applyArmEvents(plan, await withStore(config, (store) => store.armEvents()))
  return (request) => {
    const admitted = admit(config, options, request)
    if (admitted.error !== null) {
      const { error, step } = admitted
      return { steps: [step], original: request.body, splices: [], body: null, error }
    }
    const known = { ...request, client: admitted.client }
    const explained =
      surface === undefined
        ? explainPassing(plan, config, known)
        : explainInjected(plan, surface, known, config.policies)
    const { body } = explained
    const upstream = explained.upstream
    const steps = [admitted.step, ...explained.steps]
    if (body === null || upstream === null) return { ...explained, steps }
    const { base_url: baseUrl, api_key, headers, fallback } = config.upstreams[upstream]!
    const forward = explainForwarding(
      { name: upstream, baseUrl, headers: { ...headers, apiKey: api_key ?? null }, fallback },
      body.length === 0 ? 'GET' : 'POST',
      options.path.slice(BASE.length),
      request.headers,
      body.length,
    )
    return { ...explained, steps: [...steps, forward] }
  }
}

interface Admission {
  readonly step: Step
  readonly client: string | null
  readonly error: BallastError | null
}

/** Whether the request gets in, as far as that can be told from what is given. */
function admit(config: Config, { path, client: named }: ExplainOptions, { headers, body }: Asked): Admission {
  const { clients, limits } = config
  const authorization = findHeader(headers, 'authorization')
  const authenticate = createAuthenticate(Array.isArray(clients) ? clients : null)
  const asks = Array.isArray(clients) && named === undefined
  let client = named ?? null
  const error = refusalOf(() => {
    if (clients === undefined)
      requireLocal(findHeader(headers, 'host') ?? undefined, findHeader(headers, 'origin') ?? undefined)
    if (asks && authorization !== null) client = authenticate(authorization)
    readTarget('POST', path)
    if (body.length > limits.body) throw bodyTooLarge(limits.body)
  })
  if (error !== null) return { step: explainRefusal('admit', error), client: null, error }
  const unknown = asks && client === null
  const step: Step = {
    step: 'admit',
    decided:
      client !== null
        ? `client ${client}`
        : unknown
          ? 'as if a client had been let in'
          : 'no key is asked for',
    why: unknown ? ['without a key of a client it would be refused; --client names one'] : [],
    facts: { client, path },
  }
  return { step, client, error }
}

interface Routed extends Explained {
  /** Where it goes, once it may. */
  readonly upstream: string | null
}

function explainInjected(
  plan: Plan,
  surface: Surface,
  request: IdentifiedRequest,
  policies: ReadonlyMap<string, Policy>,
): Routed {
  const decision = decide(plan, surface, request)
  const { id, idGiven, receivedAt: at } = request
  return {
    steps: explainDecision(plan, decision, { id, idGiven, at, surface: surface.name }, policies),
    original: decision.guarded?.body ?? request.body,
    splices: decision.injection?.splices ?? [],
    body: decision.body,
    error: decision.error,
    upstream: decision.route?.upstream ?? null,
  }
}

/** A path on which nothing is injected. */
function explainPassing(plan: Plan, config: Config, { body }: Asked): Routed {
  const model = body.length === 0 ? null : scanModel(body)
  const route = model === null ? null : plan.route(model)
  const upstream = route?.upstream ?? defaultUpstream(config)
  const why = route === null ? 'no route decides it' : `route "${route.name}" takes model "${model}"`
  const step: Step = {
    step: 'route',
    decided: `passes as it is, to upstream ${upstream}`,
    why: ['nothing is injected on this path', why],
    facts: { route: route?.name ?? null, upstream, model },
  }
  return { steps: [step], original: body, splices: [], body, error: null, upstream }
}

// --- What it is given -----------------------------------------------------------------------------------------------

/** @returns name and value as they stand on the wire: bytes as Latin-1. */
function readHeader(text: string): RawHeaders {
  const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*(.*?)[ \t]*$/.exec(text) ?? []
  if (name === undefined || value === undefined)
    throw new UsageError(`--header "${text}": a header is written 'name: value'.`)
  return [name, Buffer.from(value, 'utf8').toString('latin1')]
}

/** ISO 8601, with a zone where it has a time of day. */
function readTime(text: string): number {
  const [, day] = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/.exec(text) ?? []
  const time = Date.parse(text)
  // A day that its month does not have would be taken for one of the next month.
  const exists = day !== undefined && new Date(`${day}T00:00:00Z`).getUTCDate() === Number(day.slice(8))
  if (exists && !Number.isNaN(time)) return time
  throw new UsageError(
    `--at ${text}: a time is written 2026-11-23T12:00:00Z, or 2026-11-23 for midnight UTC.`,
  )
}

async function readBody(required: boolean): Promise<Buffer> {
  const example = "pipe in the request's body, such as `ballast explain < request.json`."
  if (process.stdin.isTTY) {
    if (!required) return Buffer.alloc(0)
    throw new UsageError(`Nothing is on standard input: ${example}`)
  }
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  if (body.length === 0 && required) throw new UsageError(`Standard input is empty: ${example}`)
  return body
}

// --- What it prints -------------------------------------------------------------------------------------------------

function asJson(
  { steps, original, splices, body, error }: Explained,
  path: string,
  {
    id,
    idGiven,
    receivedAt,
  }: { readonly id: string; readonly idGiven: boolean; readonly receivedAt: number },
): string {
  const refusal = steps.at(-1)?.facts.error ?? null
  const explained = {
    path,
    request_id: id,
    request_id_given: idGiven,
    at: new Date(receivedAt).toISOString(),
    steps: steps.map(({ step, decided, why, facts }) => ({ step, decided, why, ...facts })),
    error: error === null ? null : refusal,
    spans: splices.map(({ at, remove, bytes }) => ({
      at,
      removed: original.toString('utf8', at, at + remove),
      inserted: bytes.toString('utf8'),
    })),
    body: body?.toString('utf8') ?? null,
  }
  return `${JSON.stringify(explained, null, 2)}\n`
}

const ROOM = 9

function draw({ steps, original, splices, body }: Explained): string {
  const columns = columnsOf(process.stdout)
  const drawn = steps.map(({ step, decided, why }) => {
    const [label, ...rest] = labelled(step, printable(decided), columns, ROOM).split('\n')
    const first = bold(label!.slice(0, ROOM)) + label!.slice(ROOM)
    const reasons = why.map((reason) => wrap(printable(reason), columns, ROOM + 2))
    return [first, ...rest, ...reasons].map((line) => `${line}\n`).join('')
  })
  if (body === null) return drawn.join('')
  const label = bold('body'.padEnd(ROOM))
  if (splices.length === 0) {
    const stripped = steps.some(({ facts }) => Number(facts.removed_bytes) > 0)
    const whole = stripped ? `\n\n${drawBody(original, [], marks()).trimEnd()}` : 'as it came'
    return `${drawn.join('')}${label}${body.length === 0 ? 'none' : whole}\n`
  }
  const inserted = splices.reduce((sum, { bytes }) => sum + bytes.length, 0)
  const heading = `${label}${count(inserted, 'byte')} inserted at ${count(splices.length, 'place')}\n\n`
  return `${drawn.join('')}${heading}${drawBody(original, splices, marks()).trimEnd()}\n`
}
