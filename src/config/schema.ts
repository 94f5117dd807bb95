/** The shape of `ballast.yaml` (SPEC section 6). Texts such as `5s` and `127.0.0.1:8787` come out parsed. */
import { z } from 'zod'
import { MOST_REPEATS } from '../domain/check.ts'
import { Experiment, ExperimentName, Holdout, Route } from '../domain/experiment.ts'
import { KEEPS } from '../domain/sample.ts'
import { STORE_PATTERN, storeProblem } from '../domain/store-address.ts'
import {
  AddressText,
  BaseUrl,
  Duration,
  HEADER_NAME,
  HeaderList,
  HeaderValue,
  Secret,
  Size,
  whole,
} from './values.ts'

const Client = z.strictObject({
  name: ExperimentName.describe('Name of the client; a unit of experiments may be it.'),
  key: Secret(8, 'key').describe('Its key, sent as `authorization: Bearer KEY`; at least 8 characters.'),
  requests_per_minute: whole(1).optional().describe('More get 429. Without it there is no such limit.'),
  concurrent: whole(1)
    .optional()
    .describe('Requests at a time; more get 429. Without it there is no such limit.'),
})

const Upstream = z.strictObject({
  base_url: BaseUrl.describe('Where it is, with the `/v1`: https://api.openai.com/v1.'),
  api_key: Secret(1, 'key')
    .optional()
    .describe(
      "Its key; `passthrough` hands on the client's own authorization. Without it no authorization is sent.",
    ),
  headers: z
    .strictObject({
      request: HeaderList.describe(
        "Of the client's headers, those that pass: names, beginnings such as x-mine-*, or `default` for ballast's own list.",
      ),
      response: HeaderList.describe("Of the upstream's headers, those that pass."),
      set: z
        .record(z.string().regex(HEADER_NAME, 'is not a header name'), HeaderValue)
        .default({})
        .describe("Sent with every request, instead of the client's of the same name."),
    })
    .prefault({})
    .describe('Which headers pass, both ways, and which are sent besides.'),
  timeout: z
    .strictObject({
      connect: Duration.prefault('5s').describe('For a connection to stand. Duration with a unit.'),
      headers: Duration.prefault('120s').describe(
        "From sending the request to the answer's headers. Duration with a unit.",
      ),
      idle: Duration.prefault('60s').describe(
        "Between two pieces of the answer's body. Duration with a unit.",
      ),
    })
    .prefault({})
    .describe('How long it may take.'),
  retries: whole(0)
    .prefault(2)
    .describe('Further tries at this upstream, before the first byte of an answer.'),
  fallback: z.array(z.string()).default([]).describe('Names of upstreams to try after it, in this order.'),
  breaker: z
    .strictObject({
      failures: whole(1).prefault(5).describe('Failures in a row after which it is left alone.'),
      cooldown: Duration.prefault('10s').describe('For how long. Duration with a unit.'),
    })
    .prefault({})
    .describe('Circuit breaker: an upstream that keeps failing is left alone for a while.'),
})
export type UpstreamConfig = z.output<typeof Upstream>

const Classifier = z.strictObject({
  upstream: z.string().describe('Name of the upstream that has the model.'),
  model: z.string().min(1, 'is empty').describe('The model that is asked; it replies yes or no.'),
  prompt: z
    .string()
    .refine((prompt) => prompt.includes('{question}'), {
      message: 'does not mention {question}, so the classifier would not see what it classifies',
    })
    .refine((prompt) => !/\{(?!(?:question|context)\})[a-z_]+\}/.test(prompt), {
      message: 'has a placeholder other than {question} and {context}',
    })
    .optional()
    .describe(
      "What it is asked, with {question}, the client's text, and {context}, the training context, if wanted.",
    ),
  timeout: Duration.prefault('2s').describe(
    'For its answer; a request waits so long at most. Duration with a unit.',
  ),
})

const Domain = z
  .strictObject({
    patterns: z
      .array(z.string().min(1, 'is empty'))
      .min(1, 'is empty: give at least one pattern')
      .optional()
      .describe('Regular expressions in RE2 syntax; one that is found is enough.'),
    classifier: Classifier.optional().describe('A model that is asked, and that requests wait for.'),
  })
  .refine(({ patterns, classifier }) => (patterns === undefined) !== (classifier === undefined), {
    message: 'needs either "patterns" or "classifier"',
  })

const ConfiguredRoute = Route.extend({
  domain: Domain.optional().describe(
    "What tells requests of the training's domain, by their last user message; for `match_training`.",
  ),
})

/** What a judge model may be asked. */
const budget = {
  requests_per_minute: whole(1)
    .optional()
    .describe('Questions to each judge model; spread over the minute. Without it there is no such limit.'),
  tokens_per_day: whole(1)
    .optional()
    .describe('Tokens to and from each judge model, by UTC day. Without it there is no such limit.'),
}
const Samples = z.strictObject({
  keep: z
    .enum(KEEPS)
    .default('full')
    .describe(
      'full: their texts. redacted: without addresses, numbers and keys, for the judge too. verdicts: no text once there is a verdict.',
    ),
  retention: Duration.optional().describe(
    'How long texts are kept, from the request on. Duration with a unit, such as 30d. Without it they stay.',
  ),
})

const Judge = z
  .strictObject({
    upstream: z.string().describe('Name of the upstream that has the judge models.'),
    model: z.string().min(1, 'is empty').optional().describe('The judge model, where a rubric names none.'),
    models: z
      .array(z.string().min(1, 'is empty'))
      .min(1, 'is empty')
      .optional()
      .describe('Several judge models instead of one.'),
    upstreams: z
      .record(z.string(), z.string())
      .default({})
      .describe('Model to name of upstream, for models that are elsewhere.'),
    repeat: whole(1)
      .pipe(z.number().max(MOST_REPEATS, `is at most ${MOST_REPEATS}`))
      .prefault(1)
      .describe('How often each model is asked about an answer.'),
    logprobs: z
      .enum(['auto', 'off'])
      .default('auto')
      .describe('auto: numbers are probability-weighted where the judge gives logprobs.'),
    max_tokens: whole(1)
      .prefault(16)
      .describe('How long a reply may be; a reasoning model needs room for its thoughts.'),
    answer_limit: whole(100)
      .prefault(20_000)
      .describe(
        'How many characters of question, conversation and answer the judge sees; longer ones are cut in the middle.',
      ),
    concurrency: whole(1).prefault(8).describe('Samples judged at a time.'),
    ...budget,
    budgets: z
      .record(z.string(), z.strictObject(budget))
      .default({})
      .describe('Model to its own requests_per_minute and tokens_per_day, in place of those of all.'),
    timeout: Duration.prefault('60s').describe('For one answer of the judge. Duration with a unit.'),
    attempts: whole(1)
      .prefault(30)
      .describe('Tries per sample before its verdict is `error`; the default outlasts some 25 minutes.'),
    queue: whole(1).prefault(100_000).describe('Samples the queue may hold; beyond, the newest is refused.'),
  })
  .refine(({ model, models }) => (model === undefined) !== (models === undefined), {
    message: 'names its "model", or several "models": one of the two',
  })
  .refine(({ models = [] }) => new Set(models).size === models.length, {
    path: ['models'],
    message: 'names a model twice; to ask one several times, use "repeat"',
  })
  .transform(({ model, models, ...judge }) => ({ ...judge, models: models ?? [model!] }))
export type JudgeConfig = z.output<typeof Judge>

const Folder = z.string().min(1, 'is empty: name a folder')

export const ConfigFile = z.strictObject({
  listen: AddressText.prefault('127.0.0.1:8787').describe(
    'Where clients are served: HOST:PORT, or :PORT for all interfaces. Takes a restart.',
  ),
  admin: z
    .strictObject({
      listen: AddressText.prefault('127.0.0.1:9464').describe(
        'Where metrics, health and the page are served. Takes a restart.',
      ),
      token: Secret(8, 'token')
        .optional()
        .describe(
          'Asked for everything but metrics and health; at least 8 characters. Needed beyond localhost.',
        ),
    })
    .prefault({})
    .describe('The control plane.'),
  store: z
    .string()
    .meta({ pattern: STORE_PATTERN.source })
    .superRefine((store, context) => {
      const problem = storeProblem(store)
      if (problem !== null) context.addIssue({ code: 'custom', message: problem })
    })
    .default('sqlite:./ballast.db')
    .describe('Where samples and verdicts are kept: sqlite:PATH, postgres://… or memory. Takes a restart.'),
  policies: z
    .union([Folder, z.array(Folder).min(1, 'is empty: name a folder')])
    .default('catalog')
    .describe(
      'Folder of policies and checks, or a list of folders; `catalog` are those that ship with ballast.',
    ),
  clients: z
    .union([z.literal('open'), z.array(Client).min(1, 'is empty: name a client, or write "open"')])
    .optional()
    .describe(
      'Who may send requests, with keys of ballast. Without it only localhost is answered; `open` answers everybody.',
    ),
  expose: z
    .boolean()
    .default(false)
    .describe(
      'Whether answers name x-ballast-experiment, x-ballast-arm, x-ballast-policy and x-ballast-trigger.',
    ),
  limits: z
    .strictObject({
      body: Size.prefault('64MB').describe(
        'Largest request body that is read whole: those that are injected, and JSON. Size with a unit.',
      ),
      headers: Size.prefault('64KB').describe(
        'Largest head of a request. Size with a unit. Takes a restart.',
      ),
      concurrent: whole(1).prefault(4096).describe('Requests at a time; more are refused with 503.'),
      receive: Duration.prefault('5m').describe(
        'For a request to come in whole. Duration with a unit. Takes a restart.',
      ),
      stall: Duration.prefault('60s').describe(
        'For a client to read on, once it is behind. Duration with a unit.',
      ),
      drain: Duration.prefault('30s').describe(
        'For running requests to end when ballast stops. Duration with a unit.',
      ),
    })
    .prefault({})
    .describe('What one ballast takes on.'),
  upstreams: z.record(ExperimentName, Upstream).describe('The model providers, by name.'),
  passthrough: z
    .string()
    .optional()
    .describe(
      'Name of the upstream of requests that no route decides; default that of the route for `*`, else the first one.',
    ),
  routes: z
    .array(ConfiguredRoute)
    .min(1, 'is empty: then no request could be served')
    .describe('Where requests go, by model. The first match wins.'),
  experiments: z.record(ExperimentName, Experiment).default({}).describe('Experiments, by name.'),
  holdout: Holdout.optional().describe('Units kept out of every experiment and every policy.'),
  unit_key: z
    .string()
    .min(16, 'is too short: a unit key has at least 16 characters')
    .optional()
    .describe(
      'What units are hashed with before they are stored; without it the store makes and keeps a key.',
    ),
  samples: Samples.prefault({}).describe('What is kept of the exchanges that are judged.'),
  decisions: z
    .strictObject({
      wait: Duration.prefault('2m').describe(
        'For verdicts before they are compared: at least so long after the request. Longer than answers take. Duration with a unit.',
      ),
    })
    .prefault({})
    .describe('What is compared, and acted on by `rollback` and `promote`.'),
  judge: Judge.optional().describe('The model that judges samples; needed where something is sampled.'),
})
export type ConfigValues = z.output<typeof ConfigFile>
