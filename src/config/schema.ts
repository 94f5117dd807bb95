/** The shape of `ballast.yaml` (SPEC section 6). Texts such as `5s` and `127.0.0.1:8787` come out parsed. */
import { isIPv6 } from 'node:net'
import bytes from 'bytes'
import ms from 'ms'
import { z } from 'zod'
import { Experiment, ExperimentName, Route } from '../domain/experiment.ts'

/** `5s`, `2m`, `1h` -> milliseconds. */
const Duration = z.string('is a duration with a unit, such as 500ms, 5s or 2m').transform((text, context) => {
  const value = /[a-z]/i.test(text) ? ms(text as ms.StringValue) : undefined
  if (value !== undefined && Number.isFinite(value) && value > 0) return value
  context.addIssue({ code: 'custom', message: 'is a duration with a unit, such as 500ms, 5s or 2m' })
  return z.NEVER
})

/** `64MB` -> bytes. */
const Size = z.string('is a size with a unit, such as 512KB or 64MB').transform((text, context) => {
  const value = /[a-z]/i.test(text) ? bytes.parse(text) : null
  if (value !== null && value > 0) return value
  context.addIssue({ code: 'custom', message: 'is a size with a unit, such as 512KB or 64MB' })
  return z.NEVER
})

export interface Address {
  readonly host: string
  readonly port: number
}

/** `127.0.0.1:8787`, `[::1]:8787`, `:8787` (all interfaces). Port 0 lets the system choose. */
const AddressText = z.string('is an address such as 127.0.0.1:8787').transform((text, context): Address => {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match !== null && port <= 65_535 && (match[1] === undefined || isIPv6(match[1]))) {
    return { host: match[1] ?? (match[2] || '0.0.0.0'), port }
  }
  context.addIssue({ code: 'custom', message: 'is an address such as 127.0.0.1:8787' })
  return z.NEVER
})

export function isLoopback({ host }: Address): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Numbers may come from the environment, as text. */
const whole = (least: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
    z.number().int('is a whole number').min(least, `is at least ${least}`),
  )

/** A secret that is sent in a header. */
const Secret = (least: number, what: string) =>
  z
    .string()
    .min(least, `is too short: a ${what} has at least ${least} characters`)
    .regex(/^[\x21-\x7e]*$/, `holds a space, a line end or another character that no header can carry`)

const Client = z.strictObject({
  name: ExperimentName,
  key: Secret(8, 'key'),
  requests_per_minute: whole(1).optional(),
  /** Requests at a time. */
  concurrent: whole(1).optional(),
})

const BaseUrl = z.string().transform((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : null
  const problem =
    url === null || !/^https?:$/.test(url.protocol)
      ? 'is not an http(s) URL'
      : url.username !== '' || url.password !== ''
        ? 'holds credentials: put them in api_key'
        : url.search !== '' || url.hash !== ''
          ? 'has a query or fragment, which would be lost'
          : null
  if (url !== null && problem === null) return url.href.replace(/\/+$/, '')
  context.addIssue({ code: 'custom', message: `${problem}; an example is https://api.openai.com/v1` })
  return z.NEVER
})

const Upstream = z.strictObject({
  /** With the `/v1`, without a slash at the end. */
  base_url: BaseUrl,
  /** `passthrough` hands on the client's own authorization; omitted, none is sent. */
  api_key: Secret(1, 'key').optional(),
  timeout: z
    .strictObject({
      connect: Duration.default(5_000),
      /** From sending the request to the answer's headers. */
      headers: Duration.default(120_000),
      /** Between two pieces of the answer's body. */
      idle: Duration.default(60_000),
    })
    .prefault({}),
  /** Further tries at this upstream, before the first byte. */
  retries: whole(0).default(2),
  /** Upstreams to try after it, in this order. */
  fallback: z.array(z.string()).default([]),
  breaker: z.strictObject({ failures: whole(1).default(5), cooldown: Duration.default(10_000) }).prefault({}),
})
export type UpstreamConfig = z.output<typeof Upstream>

const Domain = z
  .strictObject({
    patterns: z.array(z.string().min(1, 'is empty')).min(1, 'is empty: give at least one pattern').optional(),
    classifier: z
      .strictObject({
        upstream: z.string(),
        model: z.string().min(1, 'is empty'),
        prompt: z
          .string()
          .refine((prompt) => prompt.includes('{question}'), {
            message: 'does not mention {question}, so the classifier would not see what it classifies',
          })
          .refine((prompt) => !/\{(?!(?:question|context)\})[a-z_]+\}/.test(prompt), {
            message: 'has a placeholder other than {question} and {context}',
          })
          .optional(),
        /** For its answer; a request waits so long at most. */
        timeout: Duration.default(2_000),
      })
      .optional(),
  })
  .refine(({ patterns, classifier }) => (patterns === undefined) !== (classifier === undefined), {
    message: 'needs either "patterns" or "classifier"',
  })

const ConfiguredRoute = Route.extend({
  /** What tells a request of the training's domain; for `match_training`. */
  domain: Domain.optional(),
})

const Judge = z.strictObject({
  upstream: z.string(),
  model: z.string().min(1, 'is empty'),
  /** Samples judged at a time. */
  concurrency: whole(1).default(8),
  /** For one answer of the judge. */
  timeout: Duration.default(60_000),
  /** Tries per sample before its verdict is `error`; the default outlasts some 25 minutes. */
  attempts: whole(1).default(30),
  /** Samples the queue may hold; the newest is refused beyond. */
  queue: whole(1).default(100_000),
})
export type JudgeConfig = z.output<typeof Judge>

export const ConfigFile = z.strictObject({
  listen: AddressText.prefault('127.0.0.1:8787'),
  admin: z
    .strictObject({
      listen: AddressText.prefault('127.0.0.1:9464'),
      token: Secret(8, 'token').optional(),
    })
    .prefault({}),
  store: z
    .string()
    .regex(/^(memory|sqlite:.+)$/, 'is not a store: use sqlite:PATH or memory')
    .default('sqlite:./ballast.db'),
  policies: z.union([z.string(), z.array(z.string()).min(1, 'is empty')]).default('catalog'),
  clients: z
    .union([z.literal('open'), z.array(Client).min(1, 'is empty: name a client, or write "open"')])
    .optional(),
  /** Adds `x-ballast-experiment`, `-arm` and `-policy` to answers. */
  expose: z.boolean().default(false),
  limits: z
    .strictObject({
      /** Largest request body that is read whole: those that are injected, and JSON. */
      body: Size.default(64 * 1024 * 1024),
      /** Largest head of a request. */
      headers: Size.default(64 * 1024),
      /** Requests at a time; more are refused with 503. */
      concurrent: whole(1).default(4096),
      /** For a request to come in whole. */
      receive: Duration.default(300_000),
      /** For a client to read on, once it is behind. */
      stall: Duration.default(60_000),
      /** For running requests to end when ballast stops. */
      drain: Duration.default(30_000),
    })
    .prefault({}),
  upstreams: z.record(ExperimentName, Upstream),
  /** The upstream of requests that no route decides; default that of the route for `*`, else the first one. */
  passthrough: z.string().optional(),
  routes: z.array(ConfiguredRoute).min(1, 'is empty: then no request could be served'),
  experiments: z.record(ExperimentName, Experiment).default({}),
  judge: Judge.optional(),
})
export type ConfigValues = z.output<typeof ConfigFile>
